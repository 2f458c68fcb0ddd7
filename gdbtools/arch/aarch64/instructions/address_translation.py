"""PAR_EL1: what an `AT` instruction has found.  Source: DDI 0487, "PAR_EL1, Physical Address Register"."""

from __future__ import annotations

from typing import cast

from gdbtools.addresses import VA, Output
from gdbtools.arch.arm.fault_status import fault_of
from gdbtools.arch.model import Fault
from gdbtools.bits import Field, Word
from gdbtools.units import PAGE_BYTES


class PAR(Word):
    """Physical Address Register after a translation that succeeded."""

    ATTR = Field((63, 56), doc="memory attributes")
    PA = Field((51, 12), doc="output address", scale=1 << 12)
    NSE = Field(11, doc="with NS: the physical address space (FEAT_RME)")
    NS = Field(9, doc="Non-secure")
    SH = Field((8, 7), doc="shareability")
    F = Field(0, doc="failed", values={0: "no", 1: "yes"})


class PARFault(Word):
    """Physical Address Register after a translation that failed."""

    S = Field(9, doc="the stage that failed", values={0: "stage 1", 1: "stage 2"})
    PTW = Field(8, doc="stage 2 failed on a stage 1 table walk")
    FST = Field((6, 1), doc="fault status")
    F = Field(0, doc="failed", values={0: "no", 1: "yes"})


def result(par: int, address: VA) -> Output | Fault | None:
    """Return where `address` leads by PAR_EL1, or the fault; None for a status code that is reserved."""
    if not PAR(par).F:
        return cast(Output, PAR(par).PA | address % PAGE_BYTES)
    failed = PARFault(par)
    found = fault_of(failed.FST, bool(failed.PTW))
    return found and Fault(found.kind, 1 + failed.S, found.level, found.s1ptw)
