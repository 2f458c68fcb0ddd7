"""Whether the tables that a crash's own notes name lead where the same notes say that the kernel is."""

from __future__ import annotations

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import overlaid
from gdbtools.arch.model import Derived, Mapped, Read, ReadRegister
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable


def contradicted(architecture: Architecture, derived: Derived, register: ReadRegister, read: Read) -> str:
    """Return what speaks against registers that notes imply, in a few words; empty where nothing does.

    Notes may be older than the tables: those of a kernel before this one stay in memory.  What cannot be read is no
    contradiction.  Where a kernel writes that it is, is where its own tables lead: a second stage that the registers
    hold besides may be that of a guest of its.
    """
    seen = overlaid(register, derived.values)
    for va, pa in derived.places.items():
        try:
            outcome = walk(architecture.regime_for(seen, va, derived.regime).alone(), va, read).outcome
        except (Unavailable, Unreadable):
            continue
        if not isinstance(outcome, Mapped):
            return f"the tables that it names do not map {va:#x}, which it has at PA {pa:#x}"
        if outcome.address != pa:
            return f"the tables that it names lead {va:#x} to PA {outcome.address:#x}, and it has that at {pa:#x}"
    return ""
