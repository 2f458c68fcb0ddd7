"""What a user can ask: the commands, listed in the order that help shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.commands import (
    capture,
    catch,
    clear_af,
    diff,
    esr,
    fault,
    find_roots,
    fixup,
    map,  # noqa: A004
    probe,
    pte,
    redact,
    regs,
    report,
    service,
    status,
    tlbi,
    trace,
    undo,
    walk,
    watch,
    who,
    working_set,
)
from gdbtools.commands.model import Command

_MODULES = (
    status,
    regs,
    esr,
    walk,
    map,
    fault,
    catch,
    fixup,
    service,
    trace,
    watch,
    who,
    working_set,
    pte,
    clear_af,
    tlbi,
    probe,
    undo,
    capture,
    redact,
    find_roots,
    diff,
    report,
)
COMMANDS: Final[Mapping[str, Command]] = {module.COMMAND.name: module.COMMAND for module in _MODULES}
