"""MSRR, MRRS and System instructions with 128 bits (FEAT_SYSREG128, FEAT_SYSINSTR128)."""

from __future__ import annotations

from gdbtools.arch.aarch64.instructions.system_instructions import Operation, assembly_pair, name
from gdbtools.arch.aarch64.syndrome.encoding import DIRECTION, Encoding
from gdbtools.bits import Field


class System128(Encoding):
    """ISS encoding for an exception from MSRR, MRRS, or 128-bit System instruction execution in AArch64 state."""

    Op0 = Field((21, 20), doc="Op0 of the encoding")
    Op2 = Field((19, 17), doc="Op2 of the encoding")
    Op1 = Field((16, 14), doc="Op1 of the encoding")
    CRn = Field((13, 10), doc="CRn of the encoding")
    Rt = Field((9, 6), doc="first register of the pair", scale=2)
    CRm = Field((4, 1), doc="CRm of the encoding")
    Direction = Field(0, doc="direction", values=DIRECTION)

    @property
    def operation(self) -> Operation:
        return Operation(self.Op0, self.Op1, self.CRn, self.CRm, self.Op2)

    @property
    def target(self) -> str:
        return name(self.operation, bool(self.Direction))

    @property
    def instruction(self) -> str:
        return assembly_pair(self.operation, bool(self.Direction), self.Rt)
