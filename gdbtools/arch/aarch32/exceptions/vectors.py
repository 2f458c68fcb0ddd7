"""Where exceptions are taken: eight entries of four bytes at VBAR, or at 0xffff0000.

Source: DDI 0487, "Exception vectors and the exception base address", "The vector tables and exception offsets".
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch32.registers.processor_state import VBAR32
from gdbtools.arch.aarch32.registers.translation import SCTLR32
from gdbtools.arch.aarch32.translation.regimes import is_in_hyp_mode
from gdbtools.arch.model import ReadRegister, VectorEntry

ENTRY_BYTES: Final = 4
PREFETCH_ABORT, DATA_ABORT, HYP_TRAP = "Prefetch Abort", "Data Abort", "Hyp Trap"
ENTRIES: Final = (
    VectorEntry("Reset"),
    VectorEntry("Undefined Instruction"),
    VectorEntry("Supervisor Call"),
    VectorEntry(PREFETCH_ABORT),
    VectorEntry(DATA_ABORT),
    VectorEntry(HYP_TRAP),
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
    return _named(base(register), (PREFETCH_ABORT, DATA_ABORT))


def of_hyp_mode(register: ReadRegister, own: bool, lower: bool) -> dict[VA, str]:
    """Return where Hyp mode takes aborts: its `own`, and all that comes from `lower` levels."""
    wanted = (*((PREFETCH_ABORT, DATA_ABORT) if own else ()), *((HYP_TRAP,) if lower else ()))
    return _named(hyp_base(register), wanted)


def hyp_base(register: ReadRegister) -> VA:
    return VA(VBAR32(register("HVBAR")).VBA)


def _named(first: VA, wanted: Collection[str]) -> dict[VA, str]:
    named = ((VA(first + at * ENTRY_BYTES), each.name) for at, each in enumerate(ENTRIES))
    return {at: name for at, name in named if name in wanted}


def entry_at(register: ReadRegister, pc: int) -> VectorEntry | None:
    """Return the entry that is at `pc`; None where there is none."""
    place, beyond = divmod(pc - (hyp_base if is_in_hyp_mode(register) else base)(register), ENTRY_BYTES)
    return None if beyond or not 0 <= place < len(ENTRIES) else ENTRIES[place]
