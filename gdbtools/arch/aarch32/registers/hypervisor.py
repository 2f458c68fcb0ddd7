"""Hyp mode's registers: its own translation, what it makes of PL1's, and what an exception taken to it leaves.

Source of every class: the section of its own name in chapter G8 of the Arm ARM (DDI 0487), "AArch32 System Register
Descriptions".  HSR has ESR_EL2's classes, and is decoded where those are.
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch32.registers.translation import REGION, SHAREABILITY, Word32
from gdbtools.bits import NO_YES, OFF_ON, Field, Word

_TRAPPED: Final = {0: "not trapped", 1: "trapped to Hyp mode"}
_BARRIERS: Final = {0: "no effect", 1: "Inner Shareable", 2: "Outer Shareable", 3: "full system"}


class HSCTLR(Word32):
    """Hyp System Control Register."""

    TE = Field(30, doc="exceptions are taken in T32", values=NO_YES)
    EE = Field(25, doc="byte order of exceptions and table walks", values={0: "little-endian", 1: "big-endian"})
    WXN = Field(19, doc="what is writable is not executable", values=OFF_ON)
    I = Field(12, doc="instruction caches", values=OFF_ON)  # noqa: E741
    SED = Field(8, doc="SETEND is disabled", values=NO_YES)
    ITD = Field(7, doc="some uses of IT are disabled", values=NO_YES)
    CP15BEN = Field(5, doc="CP15 barrier instructions", values=OFF_ON)
    C = Field(2, doc="data caches", values=OFF_ON)
    A = Field(1, doc="alignment check", values=OFF_ON)
    M = Field(0, doc="MMU", values=OFF_ON)
    RES1 = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 18 | 1 << 16 | 1 << 11 | 1 << 4 | 1 << 3


class HTCR(Word32):
    """Hyp Translation Control Register."""

    SH0 = Field((13, 12), doc="shareability of walks", values=SHAREABILITY)
    ORGN0 = Field((11, 10), doc="outer cacheability of walks", values=REGION)
    IRGN0 = Field((9, 8), doc="inner cacheability of walks", values=REGION)
    T0SZ = Field((2, 0), doc="size offset: the lowest 2^(32-T0SZ) bytes")
    RES1 = 1 << 31 | 1 << 23


class HTTBR(Word):
    """Hyp Translation Table Base Register."""

    BADDR = Field((47, 1), doc="translation table base address", scale=2)
    CnP = Field(0, doc="Common not Private: the same table on every PE of the Inner Shareable domain", values=NO_YES)


class HCR(Word32):
    """Hyp Configuration Register."""

    TRVM = Field(30, doc="reads of virtual memory controls", values=_TRAPPED)
    HCD = Field(29, doc="HVC is disabled", values=NO_YES)
    TGE = Field(27, doc="general exceptions are trapped to Hyp mode", values=OFF_ON)
    TVM = Field(26, doc="writes of virtual memory controls", values=_TRAPPED)
    TTLB = Field(25, doc="TLB maintenance", values=_TRAPPED)
    TPU = Field(24, doc="cache maintenance to the Point of Unification", values=_TRAPPED)
    TPC = Field(23, doc="cache maintenance to the Point of Coherency", values=_TRAPPED)
    TSW = Field(22, doc="set/way cache maintenance", values=_TRAPPED)
    TAC = Field(21, doc="Auxiliary Control Registers", values=_TRAPPED)
    TIDCP = Field(20, doc="IMPLEMENTATION DEFINED functionality", values=_TRAPPED)
    TSC = Field(19, doc="SMC", values=_TRAPPED)
    TID3 = Field(18, doc="identification registers, group 3", values=_TRAPPED)
    TID2 = Field(17, doc="identification registers, group 2", values=_TRAPPED)
    TID1 = Field(16, doc="identification registers, group 1", values=_TRAPPED)
    TID0 = Field(15, doc="identification registers, group 0", values=_TRAPPED)
    TWE = Field(14, doc="WFE", values=_TRAPPED)
    TWI = Field(13, doc="WFI", values=_TRAPPED)
    DC = Field(12, doc="default cacheable: memory is Normal while stage 1 is off", values=OFF_ON)
    BSU = Field((11, 10), doc="least shareability of barriers", values=_BARRIERS)
    FB = Field(9, doc="TLB and branch predictor maintenance is broadcast", values=NO_YES)
    VA = Field(8, doc="a virtual asynchronous abort is pending", values=NO_YES)
    VI = Field(7, doc="a virtual IRQ is pending", values=NO_YES)
    VF = Field(6, doc="a virtual FIQ is pending", values=NO_YES)
    AMO = Field(5, doc="asynchronous aborts go to Hyp mode", values=NO_YES)
    IMO = Field(4, doc="IRQ goes to Hyp mode", values=NO_YES)
    FMO = Field(3, doc="FIQ goes to Hyp mode", values=NO_YES)
    PTW = Field(2, doc="walks of Device memory fault at stage 2", values=OFF_ON)
    SWIO = Field(1, doc="invalidation by set/way cleans, too", values=NO_YES)
    VM = Field(0, doc="stage 2 translation", values=OFF_ON)


class VTCR(Word32):
    """Virtualization Translation Control Register: stage 2 of PL1&0."""

    SH0 = Field((13, 12), doc="shareability of walks", values=SHAREABILITY)
    ORGN0 = Field((11, 10), doc="outer cacheability of walks", values=REGION)
    IRGN0 = Field((9, 8), doc="inner cacheability of walks", values=REGION)
    SL0 = Field((7, 6), doc="starting level", values={0: "2", 1: "1"})
    S = Field(4, doc="sign of T0SZ: has to be its highest bit")
    T0SZ = Field((3, 0), doc="size offset, signed: the IPA space has 2^(32-T0SZ) bytes")
    RES1 = 1 << 31

    @property
    def input_bits(self) -> int:
        """How many bits an IPA has: 25 to 40."""
        return 32 - (self.T0SZ - (self.T0SZ >> 3 << 4))


class VTTBR32(Word):
    """Virtualization Translation Table Base Register."""

    VMID = Field((55, 48), doc="virtual machine identifier")
    BADDR = Field((47, 1), doc="translation table base address", scale=2)
    CnP = Field(0, doc="Common not Private: the same table on every PE of the Inner Shareable domain", values=NO_YES)


class HSR(Word32):
    """Hyp Syndrome Register, of a class whose ISS is not taken apart."""

    EC = Field((31, 26), doc="exception class")
    IL = Field(25, doc="instruction length", values={0: "16-bit instruction", 1: "32-bit instruction"})
    ISS = Field((24, 0), doc="instruction specific syndrome")


class HPFAR(Word32):
    """Hyp IPA Fault Address Register: the page of an IPA."""

    FIPA = Field((31, 4), doc="faulting intermediate physical address, [39:12]", scale=1 << 12)
