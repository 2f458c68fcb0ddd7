"""A command as its help has it where it is known whose source it is asked of: with the words of that architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gdbtools.arch.capabilities import Architecture
from gdbtools.commands.arguments import EXCEPTION_LEVEL, REGIMES
from gdbtools.commands.model import Argument, Command


def own(command: Command, architecture: Architecture) -> Command:
    """Return a command without the options that mean nothing to an architecture, and with its own regimes."""
    return replace(command, arguments=tuple(_arguments(command, architecture)))


def _arguments(command: Command, architecture: Architecture) -> Iterator[Argument]:
    numbered = any("el" in each.record for each in architecture.privileges)
    classes = architecture.has("exceptions") and architecture.exceptions.syndrome_of(0, 0) is not None
    fetches = architecture.has("exceptions") and architecture.exceptions.decode_fetch(0) is not None
    formats = architecture.wider_regime(architecture.bare_regimes[0]) is not None
    lacking = {name for name, has in (("--class", classes), ("--fetch", fetches), ("--bits", formats)) if not has}
    for each in command.arguments:
        if each == EXCEPTION_LEVEL and not numbered:
            continue
        if each.name in lacking:
            continue
        yield replace(each, choices=tuple(architecture.regime_names), groups=()) if each.choices == REGIMES else each
