"""MCR and MRC, and VMRS: AArch32 accesses to one register of a coprocessor."""

from __future__ import annotations

from gdbtools.arch.aarch64.instructions import set_way
from gdbtools.arch.aarch64.instructions.coprocessor_instructions import coprocessor_assembly, coprocessor_name
from gdbtools.arch.aarch64.syndrome.encoding import DIRECTION, Conditional
from gdbtools.arch.aarch64.syndrome.exception_class import EC
from gdbtools.bits import Field

# "VMRS": the values of its reg field.
_VMRS = {0b0000: "FPSID", 0b0001: "FPSCR", 0b0101: "MVFR2", 0b0110: "MVFR1", 0b0111: "MVFR0", 0b1000: "FPEXC"}


class Coprocessor(Conditional):
    """ISS encoding for an exception from an MCR or MRC access."""

    Opc2 = Field((19, 17), doc="opcode 2")
    Opc1 = Field((16, 14), doc="opcode 1")
    CRn = Field((13, 10), doc="first coprocessor register; for VMRS, its reg field")
    Rt = Field((9, 5), doc="general-purpose register, by its AArch64 number")
    CRm = Field((4, 1), doc="second coprocessor register")
    Direction = Field(0, doc="direction", values=DIRECTION)

    @property
    def coproc(self) -> int:
        return 14 if self.EC == EC.CP14_MCR_MRC else 15

    @property
    def target(self) -> str:
        if self.EC == EC.VMRS:
            return _VMRS.get(self.CRn, "")
        return coprocessor_name(self.coproc, self.Opc1, self.CRn, self.CRm, self.Opc2, read=bool(self.Direction))

    @property
    def instruction(self) -> str:
        if self.EC == EC.VMRS:
            return f"VMRS R{self.Rt}, {self.target or f'#{self.CRn}'}"
        return coprocessor_assembly(
            self.coproc, self.Opc1, self.CRn, self.CRm, self.Opc2, self.Rt, read=bool(self.Direction)
        )  # fmt: skip

    @property
    def notes(self) -> tuple[str, ...]:
        return set_way.NOTES if self.target in set_way.AARCH32 else ()
