"""What the next lower mode may use: menvcfg, senvcfg, henvcfg, mseccfg.

Source: The RISC-V Privileged Architecture, "Machine Environment Configuration (menvcfg) Register", "Machine Security
Configuration (mseccfg) Register", "Supervisor Environment Configuration (senvcfg) Register", "Hypervisor Environment
Configuration Register (henvcfg)".
"""

from __future__ import annotations

from gdbtools.bits import OFF_ON, Field, Word

PMLEN = {0b00: 0, 0b10: 7, 0b11: 16}
"""How many upper bits of an address pointer masking leaves out, where XLEN is 64; 0b01 is reserved."""
_PMM = {0b00: "off", 0b01: "reserved", 0b10: "7 bits", 0b11: "16 bits"}
_CBIE = {0b00: "traps", 0b01: "flushes", 0b11: "invalidates"}


class Environment(Word):
    """What all of them have of a mode's environment."""

    CBZE = Field(7, doc="cbo.zero", values=OFF_ON)
    CBCFE = Field(6, doc="cbo.clean and cbo.flush", values=OFF_ON)
    CBIE = Field((5, 4), doc="cbo.inval", values=_CBIE)
    SSE = Field(3, doc="shadow stacks (Zicfiss)", values=OFF_ON)
    LPE = Field(2, doc="landing pads (Zicfilp)", values=OFF_ON)
    FIOM = Field(0, doc="a fence of I/O is one of memory", values=OFF_ON)


class SENVCFG64(Environment):
    """Supervisor Environment Configuration, where SXLEN is 64: user mode's."""

    PMM = Field((33, 32), doc="pointer masking (Ssnpm)", values=_PMM)


class SENVCFG32(Environment):
    """Supervisor Environment Configuration, where SXLEN is 32: user mode's."""

    width = 32


class HENVCFG(Environment):
    """Hypervisor Environment Configuration: a guest's."""

    STCE = Field(63, doc="stimecmp", values=OFF_ON)
    PBMTE = Field(62, doc="memory types in entries (Svpbmt), of the VS-stage", values=OFF_ON)
    ADUE = Field(61, doc="hardware sets A and D (Svadu), of the VS-stage", values=OFF_ON)
    DTE = Field(59, doc="double traps (Ssdbltrp)", values=OFF_ON)
    PMM = Field((33, 32), doc="pointer masking (Ssnpm)", values=_PMM)


class MENVCFG(HENVCFG):
    """Machine Environment Configuration: that of all modes below."""

    PBMTE = Field(62, doc="memory types in entries (Svpbmt), of S-mode and the G-stage", values=OFF_ON)
    ADUE = Field(61, doc="hardware sets A and D (Svadu), of S-mode and the G-stage", values=OFF_ON)
    CDE = Field(60, doc="counters are delegated (Smcdeleg)", values=OFF_ON)


class ENVCFG32(Environment):
    """The lower half of menvcfg or henvcfg, where XLEN is 32."""

    width = 32


class ENVCFGH(Word):
    """The upper half of menvcfg or henvcfg, where XLEN is 32."""

    width = 32
    STCE = Field(31, doc="stimecmp", values=OFF_ON)
    PBMTE = Field(30, doc="memory types in entries (Svpbmt)", values=OFF_ON)
    ADUE = Field(29, doc="hardware sets A and D (Svadu)", values=OFF_ON)
    CDE = Field(28, doc="counters are delegated (Smcdeleg; menvcfgh only)", values=OFF_ON)
    DTE = Field(27, doc="double traps (Ssdbltrp)", values=OFF_ON)
    PMM = Field((1, 0), doc="pointer masking: none where XLEN is 32")


class MSECCFG(Word):
    """Machine Security Configuration."""

    PMM = Field((33, 32), doc="pointer masking of M-mode (Smmpm)", values=_PMM)
    MLPE = Field(10, doc="landing pads in M-mode (Zicfilp)", values=OFF_ON)
    SSEED = Field(9, doc="supervisor mode may read the entropy source (Zkr)", values=OFF_ON)
    USEED = Field(8, doc="user mode may read the entropy source (Zkr)", values=OFF_ON)
    RLB = Field(2, doc="locked rules of memory protection may be changed (Smepmp)", values=OFF_ON)
    MMWP = Field(1, doc="M-mode is denied what no rule matches (Smepmp)", values=OFF_ON)
    MML = Field(0, doc="locked rules are of M-mode only (Smepmp)", values=OFF_ON)


class MSECCFG32(MSECCFG):
    """The lower half of mseccfg, where MXLEN is 32."""

    width = 32
    PMM = None  # type: ignore[assignment]


class MSECCFGH(Word):
    """The upper half of mseccfg, where MXLEN is 32."""

    width = 32
    PMM = Field((1, 0), doc="pointer masking: none where XLEN is 32")
