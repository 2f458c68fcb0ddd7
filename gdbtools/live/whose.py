"""Which architecture a source is of that does not say so itself: that which the user has told GDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gdb

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import Architecture
from gdbtools.errors import ArchitectureUnsaid, UsageError
from gdbtools.machine.layers import no_source
from gdbtools.machine.model import Machine


def told() -> Architecture | None:
    """Return what GDB was told, by `set architecture` or with a program; None where it follows its own host's habit."""
    name, inferior = str(gdb.parameter("architecture")), gdb.selected_inferior()
    if name == "auto":
        name = inferior.architecture().name() if inferior.progspace.filename else ""
    return ARCHITECTURES.of_gdb(name)


def stand_in() -> Machine | None:
    """Return a machine of what GDB was told, for sources to be like that do not say themselves; None of nothing."""
    architecture = told()
    return None if architecture is None else no_source(architecture)


@contextmanager
def in_gdbs_words() -> Iterator[None]:
    """Have what nobody said be asked for by what says it here: GDB has no `--arch`."""
    try:
        yield
    except ArchitectureUnsaid as unsaid:
        names = [ARCHITECTURES.identity(name).gdb_names[0] for name in unsaid.names]
        raise UsageError(f"{unsaid.WHY}; say: set architecture {'|'.join(names)}") from None
