"""SME instructions that are trapped, or illegal in the mode the PE is in."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.bits import Field


class SMEAccess(Encoding):
    """ISS encoding for an exception due to SME functionality."""

    SMTC = Field(
        (2, 0),
        doc="SME trap code",
        values={
            0b000: "access to SME is trapped by CPACR_EL1, CPTR_EL2 or CPTR_EL3",
            0b001: "illegal in Streaming SVE mode: PSTATE.SM is 1",
            0b010: "illegal outside Streaming SVE mode: PSTATE.SM is 0",
            0b011: "ZA is not accessible: PSTATE.ZA is 0",
            0b100: "access to ZT0 is trapped by SMCR_ELx.EZT0",
        },
    )
