"""SVC, HVC and SMC: calls to a higher Exception level."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Conditional, Encoding
from gdbtools.arch.aarch64.syndrome.exception_class import EC
from gdbtools.bits import Field

_MNEMONIC = {EC.SVC: "SVC", EC.HVC: "HVC", EC.SMC: "SMC", EC.SVC_AARCH32: "SVC", EC.HVC_AARCH32: "HVC"}


class Call(Encoding):
    """ISS encoding for an exception from HVC or SVC instruction execution, or from SMC in AArch64 state."""

    imm16 = Field((15, 0), doc="the instruction's immediate")

    @property
    def immediate(self) -> int:
        return self.imm16

    @property
    def instruction(self) -> str:
        return f"{_MNEMONIC[EC(self.EC)]} #{self.imm16:#x}"


class SMCAArch32(Conditional):
    """ISS encoding for an exception from SMC instruction execution in AArch32 state."""

    CCKNOWNPASS = Field(
        19,
        doc="it may have failed its condition code",
        values={0: "unconditional, or it passed", 1: "conditional, and may have failed"},
    )

    def applies(self, field: Field) -> bool:
        if field in (SMCAArch32.CV, SMCAArch32.COND) and not self.CCKNOWNPASS:
            return False
        return super().applies(field)

    @property
    def instruction(self) -> str:
        return "SMC"
