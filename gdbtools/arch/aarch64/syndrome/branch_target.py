"""Branches in a guarded page to what is no target for them (FEAT_BTI)."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.bits import Field


class BranchTarget(Encoding):
    """ISS encoding for an exception from a Branch Target Identification instruction."""

    BTYPE = Field(
        (1, 0),
        doc="PSTATE.BTYPE when the target was executed",
        values={
            0b00: "no indirect branch",
            0b01: "BR by X16 or X17, or from a page that is not guarded",
            0b10: "BLR",
            0b11: "BR by another register, from a guarded page",
        },
    )
