"""MCRR and MRRC: AArch32 accesses to a 64-bit register of a coprocessor."""

from __future__ import annotations

from gdbtools.arch.aarch64.instructions.coprocessor_instructions import coprocessor_pair_assembly, coprocessor_pair_name
from gdbtools.arch.aarch64.syndrome.encoding import DIRECTION, Conditional
from gdbtools.arch.aarch64.syndrome.exception_class import EC
from gdbtools.bits import Field


class CoprocessorPair(Conditional):
    """ISS encoding for an exception from an MCRR or MRRC access."""

    Opc1 = Field((19, 16), doc="opcode 1")
    Rt2 = Field((14, 10), doc="second general-purpose register, by its AArch64 number")
    Rt = Field((9, 5), doc="first general-purpose register, by its AArch64 number")
    CRm = Field((4, 1), doc="coprocessor register")
    Direction = Field(0, doc="direction", values=DIRECTION)

    @property
    def coproc(self) -> int:
        return 14 if self.EC == EC.CP14_MRRC else 15

    @property
    def target(self) -> str:
        return coprocessor_pair_name(self.coproc, self.Opc1, self.CRm)

    @property
    def instruction(self) -> str:
        return coprocessor_pair_assembly(self.coproc, self.Opc1, self.CRm, self.Rt, self.Rt2, read=bool(self.Direction))
