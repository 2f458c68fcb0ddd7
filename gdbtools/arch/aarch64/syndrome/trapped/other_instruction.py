"""The class for what no other class is about: 64-byte loads and stores, some barriers."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.bits import Field


class OtherInstruction(Encoding):
    """ISS encoding for an exception from an LD64B or ST64B* instruction, and what joined them in this class."""

    ISS = Field(
        (24, 0),
        doc="trapped instruction",
        values={0: "ST64BV", 1: "ST64BV0", 2: "LD64B or ST64B", 3: "TSB CSYNC", 4: "PSB CSYNC"},
    )

    @property
    def instruction(self) -> str:
        return OtherInstruction.ISS.meaning(self.ISS)
