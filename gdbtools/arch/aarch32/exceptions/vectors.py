"""Where exceptions are taken: eight entries of four bytes at VBAR, or at 0xffff0000.

Source: DDI 0487, "Exception vectors and the exception base address", "The vector tables and exception offsets".
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch32.registers.processor_state import VBAR32
from gdbtools.arch.aarch32.registers.translation import SCTLR32
from gdbtools.arch.model import ReadRegister, VectorEntry

ENTRY_BYTES: Final = 4
PREFETCH_ABORT, DATA_ABORT = "Prefetch Abort", "Data Abort"
ENTRIES: Final = (
    VectorEntry("Reset"),
    VectorEntry("Undefined Instruction"),
    VectorEntry("Supervisor Call"),
    VectorEntry(PREFETCH_ABORT),
    VectorEntry(DATA_ABORT),
    VectorEntry("Hyp Trap"),
    VectorEntry("IRQ", "IRQ"),
    VectorEntry("FIQ", "FIQ"),
)
VECTORS_BYTES: Final = ENTRY_BYTES * len(ENTRIES)
HIGH_VECTORS: Final = VA(0xFFFF_0000)


def has_high_vectors(register: ReadRegister) -> bool:
    """Return whether the vectors are where SCTLR.V puts them, and not at VBAR."""
    return bool(SCTLR32(register("SCTLR")).V)


def base(register: ReadRegister) -> VA:
    """Return where the first entry is of the vectors that PL1 takes exceptions at."""
    return HIGH_VECTORS if has_high_vectors(register) else VA(VBAR32(register("VBAR")).VBA)


def aborts(register: ReadRegister) -> dict[VA, str]:
    """Return where aborts are taken: the exceptions that leave a fault status."""
    first = base(register)
    named = ((VA(first + at * ENTRY_BYTES), each.name) for at, each in enumerate(ENTRIES))
    return {at: name for at, name in named if name in (PREFETCH_ABORT, DATA_ABORT)}


def entry_at(register: ReadRegister, pc: int) -> VectorEntry | None:
    """Return the entry that is at `pc`; None where there is none."""
    place, beyond = divmod(pc - base(register), ENTRY_BYTES)
    return None if beyond or not 0 <= place < len(ENTRIES) else ENTRIES[place]
