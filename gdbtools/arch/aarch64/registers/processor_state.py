"""What an exception leaves behind, and where it goes: SPSR, FAR, ELR, VBAR.

Source of every class: the section of its own name in chapter D of the Arm ARM (DDI 0487), "AArch64 System Register
Descriptions".
"""

from __future__ import annotations

from gdbtools.bits import NO_YES, OFF_ON, Field, Word

_EXECUTION_STATE = {
    0b00000: "EL0t",
    0b00100: "EL1t",
    0b00101: "EL1h",
    0b01000: "EL2t",
    0b01001: "EL2h",
    0b01100: "EL3t",
    0b01101: "EL3h",
    0b10000: "AArch32 User",
    0b10001: "AArch32 FIQ",
    0b10010: "AArch32 IRQ",
    0b10011: "AArch32 Supervisor",
    0b10110: "AArch32 Monitor",
    0b10111: "AArch32 Abort",
    0b11010: "AArch32 Hyp",
    0b11011: "AArch32 Undefined",
    0b11111: "AArch32 System",
}
_AARCH32_LEVELS = {0b10000: 0, 0b11010: 2, 0b10110: 3}
"""AArch32's modes that are not EL1's: User, Hyp and Monitor ("Mapping of AArch32 modes to Exception levels")."""
_MASKED = {0: "not masked", 1: "masked"}


class SPSR(Word):
    """Saved Program Status Register, for an exception taken from AArch64; QEMU's `cpsr` has the same layout."""

    UINJ = Field(36, doc="an Undefined exception is injected (FEAT_UINJ)", values=NO_YES)
    PACM = Field(35, doc="PACIASPPC and its like sign with pc, too (FEAT_PAuth_LR)", values=NO_YES)
    EXLOCK = Field(34, doc="ELR, SPSR and the return are locked by the Guarded Control Stack", values=NO_YES)
    PPEND = Field(33, doc="a profiling exception is pending (FEAT_SEBEP)", values=NO_YES)
    PM = Field(32, doc="PMU exceptions (FEAT_EBEP)", values=_MASKED)
    N = Field(31, doc="negative")
    Z = Field(30, doc="zero")
    C = Field(29, doc="carry")
    V = Field(28, doc="overflow")
    TCO = Field(25, doc="tag check override", values=OFF_ON)
    DIT = Field(24, doc="data independent timing", values=OFF_ON)
    UAO = Field(23, doc="User Access Override", values=OFF_ON)
    PAN = Field(22, doc="Privileged Access Never", values=OFF_ON)
    SS = Field(21, doc="software step")
    IL = Field(20, doc="illegal execution state", values=NO_YES)
    ALLINT = Field(13, doc="all interrupts", values=_MASKED)
    SSBS = Field(12, doc="speculative store bypass safe", values=NO_YES)
    BTYPE = Field((11, 10), doc="branch target identification")
    D = Field(9, doc="debug exceptions", values=_MASKED)
    A = Field(8, doc="SError", values=_MASKED)
    I = Field(7, doc="IRQ", values=_MASKED)  # noqa: E741
    F = Field(6, doc="FIQ", values=_MASKED)
    M = Field((4, 0), doc="execution state and level", values=_EXECUTION_STATE)

    @property
    def el(self) -> int:
        """The exception level: of AArch32's modes, User is EL0, and most others are EL1 under an AArch64 EL3."""
        return _AARCH32_LEVELS.get(self.M, 1) if self.is_aarch32 else self.M >> 2

    @property
    def is_aarch32(self) -> bool:
        """M[4]: the execution state."""
        return bool(self.M & 0b10000)


class SPSR_AArch32(Word):
    """Saved Program Status Register, for an exception taken from AArch32."""

    N = Field(31, doc="negative")
    Z = Field(30, doc="zero")
    C = Field(29, doc="carry")
    V = Field(28, doc="overflow")
    Q = Field(27, doc="saturated", values=NO_YES)
    DIT = Field(24, doc="data independent timing", values=OFF_ON)
    SSBS = Field(23, doc="speculative store bypass safe", values=NO_YES)
    PAN = Field(22, doc="Privileged Access Never", values=OFF_ON)
    SS = Field(21, doc="software step")
    IL = Field(20, doc="illegal execution state", values=NO_YES)
    GE = Field((19, 16), doc="greater than or equal")
    IT = Field((15, 10), (26, 25), doc="If-Then state")
    E = Field(9, doc="byte order of data", values={0: "little-endian", 1: "big-endian"})
    A = Field(8, doc="SError", values=_MASKED)
    I = Field(7, doc="IRQ", values=_MASKED)  # noqa: E741
    F = Field(6, doc="FIQ", values=_MASKED)
    T = Field(5, doc="instruction set", values={0: "A32", 1: "T32"})
    M = SPSR.M


class FAR(Word):
    """Fault Address Register: the faulting virtual address."""

    VA = Field((63, 0), doc="faulting virtual address")


class ELR(Word):
    """Exception Link Register: where an `eret` goes back to."""

    ADDR = Field((63, 0), doc="return address")


class VBAR(Word):
    """Vector Base Address Register: 2KB aligned."""

    VBA = Field((63, 11), doc="vector base address", scale=1 << 11)


class CONTEXTIDR(Word):
    """Context ID Register: what a trace or a debugger may compare with."""

    PROCID = Field((31, 0), doc="process identifier")
