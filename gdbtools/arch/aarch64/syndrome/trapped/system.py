"""MSR, MRS and System instructions."""

from __future__ import annotations

from gdbtools.arch.aarch64.instructions import set_way
from gdbtools.arch.aarch64.instructions.system_instructions import Operation, assembly, name
from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.bits import Field


class TrappedSystem(Encoding):
    """ISS encoding for an exception from MSR, MRS, or System instruction execution in AArch64 state."""

    Op0 = Field((21, 20), doc="Op0 of the encoding")
    Op2 = Field((19, 17), doc="Op2 of the encoding")
    Op1 = Field((16, 14), doc="Op1 of the encoding")
    CRn = Field((13, 10), doc="CRn of the encoding")
    Rt = Field((9, 5), doc="general-purpose register")
    CRm = Field((4, 1), doc="CRm of the encoding")
    Direction = Field(0, doc="direction", values={0: "write: MSR, or a System instruction", 1: "read: MRS, or SYSL"})

    @property
    def operation(self) -> Operation:
        return Operation(self.Op0, self.Op1, self.CRn, self.CRm, self.Op2)

    @property
    def target(self) -> str:
        return name(self.operation, bool(self.Direction))

    @property
    def instruction(self) -> str:
        return assembly(self.operation, bool(self.Direction), self.Rt)

    @property
    def notes(self) -> tuple[str, ...]:
        return set_way.NOTES if self.target in set_way.AARCH64 else ()
