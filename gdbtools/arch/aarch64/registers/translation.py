"""The registers that VMSAv8-64 translation and its faults need, as the Arm ARM (DDI 0487) lays them out.

Source of every class: the section of its own name in chapter D, "AArch64 System Register Descriptions".  Each declares
what is architected, whether or not the CPU at hand implements it: a feature's field in a CPU without it is RES0.
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.arm.memory_names import memory_type
from gdbtools.bits import NO_YES, OFF_ON, Field, Word

WIDE_BASE = Field((5, 2), (47, 6), doc="a base of 52 bits: [51:48] are in [5:2]", scale=1 << 6, name="BADDR")


class TableBase(Word):
    """What every table base register has."""

    BADDR = Field((47, 1), doc="translation table base address", scale=2)
    CnP = Field(0, doc="Common not Private: the same table on every PE of the Inner Shareable domain", values=NO_YES)

    def base(self, wide: bool) -> int:
        """Return the base address as a regime reads it that has 52-bit table addresses, or one that has not."""
        return WIDE_BASE.of(self) if wide else self.BADDR


class TTBR(TableBase):
    """Translation Table Base Register of a stage 1."""

    ASID = Field((63, 48), doc="address space identifier")


SHAREABILITY = {0b00: "Non-shareable", 0b10: "Outer Shareable", 0b11: "Inner Shareable"}
WALK_CACHEABILITY = {
    0b00: "Non-cacheable",
    0b01: "Write-Back Read-Allocate Write-Allocate",
    0b10: "Write-Through Read-Allocate No Write-Allocate",
    0b11: "Write-Back Read-Allocate No Write-Allocate",
}
# The two halves encode the same three granules differently: "TCR_EL1, Translation Control Register (EL1)".
TG0_GRANULE = {0b00: "4KB", 0b01: "64KB", 0b10: "16KB"}
TG1_GRANULE = {0b01: "16KB", 0b10: "4KB", 0b11: "64KB"}
PHYSICAL_ADDRESS_SIZE = {
    0b0000: "32 bits, 4GB",
    0b0001: "36 bits, 64GB",
    0b0010: "40 bits, 1TB",
    0b0011: "42 bits, 4TB",
    0b0100: "44 bits, 16TB",
    0b0101: "48 bits, 256TB",
    0b0110: "52 bits, 4PB",
    0b0111: "56 bits, 64PB",
}
_WALK = {0: "no", 1: "yes, a TLB miss faults"}


class TCR_EL1(Word):
    """Translation Control Register (EL1): stage 1 of the EL1&0 regime."""

    MTX1 = Field(61, doc="extended memory tag checking, TTBR1", values=OFF_ON)
    MTX0 = Field(60, doc="extended memory tag checking, TTBR0", values=OFF_ON)
    DS = Field(59, doc="52-bit output addresses and level -1 at 4KB and 16KB (FEAT_LPA2)", values=OFF_ON)
    TCMA1 = Field(58, doc="unchecked accesses for addresses with tag 0b1111, TTBR1", values=OFF_ON)
    TCMA0 = Field(57, doc="unchecked accesses for addresses with tag 0b0000, TTBR0", values=OFF_ON)
    E0PD1 = Field(56, doc="EL0 access to TTBR1's range faults at level 0 (FEAT_E0PD)", values=OFF_ON)
    E0PD0 = Field(55, doc="EL0 access to TTBR0's range faults at level 0 (FEAT_E0PD)", values=OFF_ON)
    NFD1 = Field(54, doc="non-fault accesses do not walk TTBR1", values=OFF_ON)
    NFD0 = Field(53, doc="non-fault accesses do not walk TTBR0", values=OFF_ON)
    TBID1 = Field(52, doc="top byte ignored for data only, TTBR1", values=OFF_ON)
    TBID0 = Field(51, doc="top byte ignored for data only, TTBR0", values=OFF_ON)
    HWU162 = Field(50, doc="bit 62 of TTBR1's leaves is for hardware's use", values=NO_YES)
    HWU161 = Field(49, doc="bit 61 of TTBR1's leaves is for hardware's use", values=NO_YES)
    HWU160 = Field(48, doc="bit 60 of TTBR1's leaves is for hardware's use", values=NO_YES)
    HWU159 = Field(47, doc="bit 59 of TTBR1's leaves is for hardware's use", values=NO_YES)
    HWU062 = Field(46, doc="bit 62 of TTBR0's leaves is for hardware's use", values=NO_YES)
    HWU061 = Field(45, doc="bit 61 of TTBR0's leaves is for hardware's use", values=NO_YES)
    HWU060 = Field(44, doc="bit 60 of TTBR0's leaves is for hardware's use", values=NO_YES)
    HWU059 = Field(43, doc="bit 59 of TTBR0's leaves is for hardware's use", values=NO_YES)
    HPD1 = Field(42, doc="hierarchical permissions of TTBR1's tables are disabled", values=NO_YES)
    HPD0 = Field(41, doc="hierarchical permissions of TTBR0's tables are disabled", values=NO_YES)
    HD = Field(40, doc="hardware management of the dirty state", values=OFF_ON)
    HA = Field(39, doc="hardware management of the access flag", values=OFF_ON)
    TBI1 = Field(38, doc="top byte ignored, TTBR1", values=NO_YES)
    TBI0 = Field(37, doc="top byte ignored, TTBR0", values=NO_YES)
    AS = Field(36, doc="ASID size", values={0: "8 bits", 1: "16 bits"})
    IPS = Field((34, 32), doc="intermediate physical address size", values=PHYSICAL_ADDRESS_SIZE)
    TG1 = Field((31, 30), doc="granule of TTBR1", values=TG1_GRANULE)
    SH1 = Field((29, 28), doc="shareability of TTBR1's walks", values=SHAREABILITY)
    ORGN1 = Field((27, 26), doc="outer cacheability of TTBR1's walks", values=WALK_CACHEABILITY)
    IRGN1 = Field((25, 24), doc="inner cacheability of TTBR1's walks", values=WALK_CACHEABILITY)
    EPD1 = Field(23, doc="walks of TTBR1 disabled", values=_WALK)
    A1 = Field(22, doc="which register defines the ASID", values={0: "TTBR0_EL1.ASID", 1: "TTBR1_EL1.ASID"})
    T1SZ = Field((21, 16), doc="size offset of TTBR1's range: 2^(64-T1SZ) bytes")
    TG0 = Field((15, 14), doc="granule of TTBR0", values=TG0_GRANULE)
    SH0 = Field((13, 12), doc="shareability of TTBR0's walks", values=SHAREABILITY)
    ORGN0 = Field((11, 10), doc="outer cacheability of TTBR0's walks", values=WALK_CACHEABILITY)
    IRGN0 = Field((9, 8), doc="inner cacheability of TTBR0's walks", values=WALK_CACHEABILITY)
    EPD0 = Field(7, doc="walks of TTBR0 disabled", values=_WALK)
    T0SZ = Field((5, 0), doc="size offset of TTBR0's range: 2^(64-T0SZ) bytes")


class TCR_EL2(Word):
    """Translation Control Register (EL2) while HCR_EL2.E2H is clear: one range."""

    RES1 = 1 << 31 | 1 << 23

    MTX = Field(33, doc="extended memory tag checking", values=OFF_ON)
    DS = Field(32, doc="52-bit output addresses and level -1 at 4KB and 16KB (FEAT_LPA2)", values=OFF_ON)
    TCMA = Field(30, doc="unchecked accesses for addresses with tag 0b0000", values=OFF_ON)
    TBID = Field(29, doc="top byte ignored for data only", values=OFF_ON)
    HWU62 = Field(28, doc="bit 62 of leaves is for hardware's use", values=NO_YES)
    HWU61 = Field(27, doc="bit 61 of leaves is for hardware's use", values=NO_YES)
    HWU60 = Field(26, doc="bit 60 of leaves is for hardware's use", values=NO_YES)
    HWU59 = Field(25, doc="bit 59 of leaves is for hardware's use", values=NO_YES)
    HPD = Field(24, doc="hierarchical permissions of tables are disabled", values=NO_YES)
    HD = Field(22, doc="hardware management of the dirty state", values=OFF_ON)
    HA = Field(21, doc="hardware management of the access flag", values=OFF_ON)
    TBI = Field(20, doc="top byte ignored", values=NO_YES)
    PS = Field((18, 16), doc="physical address size", values=PHYSICAL_ADDRESS_SIZE)
    TG0 = Field((15, 14), doc="granule", values=TG0_GRANULE)
    SH0 = Field((13, 12), doc="shareability of walks", values=SHAREABILITY)
    ORGN0 = Field((11, 10), doc="outer cacheability of walks", values=WALK_CACHEABILITY)
    IRGN0 = Field((9, 8), doc="inner cacheability of walks", values=WALK_CACHEABILITY)
    T0SZ = Field((5, 0), doc="size offset: the range has 2^(64-T0SZ) bytes")


class TCR_EL3(TCR_EL2):
    """Translation Control Register (EL3), which has in its upper half what TCR2_ELx has for the others."""

    DisCH0 = Field(43, doc="the Contiguous bit at the starting level does not count", values=NO_YES)
    HAFT = Field(42, doc="hardware sets the access flag of tables (FEAT_HAFT)", values=OFF_ON)
    PTTWI = Field(41, doc="table walks are incoherent with RCWS", values=NO_YES)
    D128 = Field(38, doc="128-bit descriptors (FEAT_D128)", values=OFF_ON)
    AIE = Field(37, doc="attribute indexing extended to AttrIndx[3] and MAIR2 (FEAT_AIE)", values=OFF_ON)
    POE = Field(36, doc="permission overlays (FEAT_S1POE)", values=OFF_ON)
    PIE = Field(35, doc="permission indirection (FEAT_S1PIE)", values=OFF_ON)
    PnCH = Field(34, doc="bit 52 of a table is Protected, and of a leaf too (FEAT_THE)", values=NO_YES)


class TCR2(Word):
    """Extended Translation Control Register, as TCR2_EL1 and TCR2_EL2 have it."""

    FNG1 = Field(18, doc="TTBR1's translations are not global (FEAT_ASID2)", values=NO_YES)
    FNG0 = Field(17, doc="TTBR0's translations are not global (FEAT_ASID2)", values=NO_YES)
    A2 = Field(16, doc="each half has its own ASID (FEAT_ASID2)", values=NO_YES)
    DisCH1 = Field(15, doc="the Contiguous bit at TTBR1's starting level does not count", values=NO_YES)
    DisCH0 = Field(14, doc="the Contiguous bit at TTBR0's starting level does not count", values=NO_YES)
    HAFT = Field(11, doc="hardware sets the access flag of tables (FEAT_HAFT)", values=OFF_ON)
    PTTWI = Field(10, doc="table walks are incoherent with RCWS", values=NO_YES)
    D128 = Field(5, doc="128-bit descriptors (FEAT_D128)", values=OFF_ON)
    AIE = Field(4, doc="attribute indexing extended to AttrIndx[3] and MAIR2 (FEAT_AIE)", values=OFF_ON)
    POE = Field(3, doc="permission overlays for the privileged level (FEAT_S1POE)", values=OFF_ON)
    E0POE = Field(2, doc="permission overlays for EL0 (FEAT_S1POE)", values=OFF_ON)
    PIE = Field(1, doc="permission indirection (FEAT_S1PIE)", values=OFF_ON)
    PnCH = Field(0, doc="bit 52 of a table is Protected, and of a leaf too (FEAT_THE)", values=NO_YES)


class TCR2_EL1(TCR2):
    """Extended Translation Control Register (EL1)."""

    FNGNA1 = Field(21, doc="nG has no effect, TTBR1 (FEAT_ASID2)", values=NO_YES)
    FNGNA0 = Field(20, doc="nG has no effect, TTBR0 (FEAT_ASID2)", values=NO_YES)


class TCR2_EL2(TCR2):
    """Extended Translation Control Register (EL2): what is about TTBR1 or EL0 counts under HCR_EL2.E2H only."""

    AMEC1 = Field(13, doc="alternate memory encryption context of TTBR1's leaves (FEAT_MEC)", values=OFF_ON)
    AMEC0 = Field(12, doc="alternate memory encryption context of TTBR0's leaves (FEAT_MEC)", values=OFF_ON)


_TRAP = {0: "trapped", 1: "not trapped"}
_TAG_FAULT = {0: "no effect", 1: "synchronous", 2: "asynchronous", 3: "synchronous reads, asynchronous writes"}


class SCTLR(Word):
    """System Control Register, in full as SCTLR_EL1 has it."""

    TIDCP = Field(63, doc="trap EL0 accesses to IMPLEMENTATION DEFINED encodings", values=OFF_ON)
    SPINTMASK = Field(62, doc="SP interrupt mask (FEAT_NMI)", values=OFF_ON)
    NMI = Field(61, doc="non-maskable interrupts", values=OFF_ON)
    EnTP2 = Field(60, doc="EL0 access to TPIDR2_EL0", values=_TRAP)
    TCSO = Field(59, doc="tag checking store only, EL1", values=OFF_ON)
    TCSO0 = Field(58, doc="tag checking store only, EL0", values=OFF_ON)
    EPAN = Field(57, doc="PAN also covers pages that EL0 may only execute (FEAT_PAN3)", values=OFF_ON)
    EnALS = Field(56, doc="LD64B and ST64B at EL0", values=_TRAP)
    EnAS0 = Field(55, doc="ST64BV0 at EL0", values=_TRAP)
    EnASR = Field(54, doc="ST64BV at EL0", values=_TRAP)
    TME = Field(53, doc="transactions at EL1", values=OFF_ON)
    TME0 = Field(52, doc="transactions at EL0", values=OFF_ON)
    TMT = Field(51, doc="trivial implementation of transactions at EL1", values=NO_YES)
    TMT0 = Field(50, doc="trivial implementation of transactions at EL0", values=NO_YES)
    TWEDEL = Field((49, 46), doc="TWE delay")
    TWEDEn = Field(45, doc="TWE delay enable", values=OFF_ON)
    DSSBS = Field(44, doc="PSTATE.SSBS on exception entry")
    ATA = Field(43, doc="allocation tag access at EL1", values=OFF_ON)
    ATA0 = Field(42, doc="allocation tag access at EL0", values=OFF_ON)
    TCF = Field((41, 40), doc="tag check fault at EL1", values=_TAG_FAULT)
    TCF0 = Field((39, 38), doc="tag check fault at EL0", values=_TAG_FAULT)
    ITFSB = Field(37, doc="synchronise asynchronous tag faults on entry", values=NO_YES)
    BT1 = Field(36, doc="PACIxSP is not a branch target for BTYPE 0b11 at EL1", values=NO_YES)
    BT0 = Field(35, doc="PACIxSP is not a branch target for BTYPE 0b11 at EL0", values=NO_YES)
    EnFPM = Field(34, doc="access to FPMR", values=_TRAP)
    MSCEn = Field(33, doc="memory copy and set instructions at EL0", values=OFF_ON)
    CMOW = Field(32, doc="cache maintenance at EL0 needs write permission", values=NO_YES)
    EnIA = Field(31, doc="pointer authentication, instruction key A", values=OFF_ON)
    EnIB = Field(30, doc="pointer authentication, instruction key B", values=OFF_ON)
    LSMAOE = Field(29, doc="load/store multiple atomicity and ordering (A32, T32)")
    nTLSMD = Field(28, doc="load/store multiple to Device memory (A32, T32)", values=_TRAP)
    EnDA = Field(27, doc="pointer authentication, data key A", values=OFF_ON)
    UCI = Field(26, doc="cache maintenance by address at EL0", values=_TRAP)
    EE = Field(25, doc="endianness of EL1 data and of table walks", values={0: "little-endian", 1: "big-endian"})
    E0E = Field(24, doc="endianness of EL0 data", values={0: "little-endian", 1: "big-endian"})
    SPAN = Field(23, doc="PSTATE.PAN on exception entry", values={0: "set to 1", 1: "left as it is"})
    EIS = Field(22, doc="exception entry synchronises context", values=NO_YES)
    IESB = Field(21, doc="implicit error synchronisation", values=OFF_ON)
    TSCXT = Field(20, doc="trap EL0 access to SCXTNUM_EL0", values=NO_YES)
    WXN = Field(19, doc="write implies execute-never", values=OFF_ON)
    nTWE = Field(18, doc="WFE at EL0", values=_TRAP)
    nTWI = Field(16, doc="WFI at EL0", values=_TRAP)
    UCT = Field(15, doc="EL0 access to CTR_EL0", values=_TRAP)
    DZE = Field(14, doc="DC ZVA at EL0", values=_TRAP)
    EnDB = Field(13, doc="pointer authentication, data key B", values=OFF_ON)
    I = Field(12, doc="instruction cache", values=OFF_ON)  # noqa: E741
    EOS = Field(11, doc="exception exit synchronises context", values=NO_YES)
    EnRCTX = Field(10, doc="speculation restriction instructions at EL0", values=_TRAP)
    UMA = Field(9, doc="EL0 access to DAIF", values=_TRAP)
    SED = Field(8, doc="SETEND disabled (A32, T32)", values=NO_YES)
    ITD = Field(7, doc="IT restricted (T32)", values=NO_YES)
    nAA = Field(6, doc="unaligned accesses within 16 bytes that would fault do not", values=NO_YES)
    CP15BEN = Field(5, doc="CP15 barrier instructions (A32, T32)", values=OFF_ON)
    SA0 = Field(4, doc="SP alignment check at EL0", values=OFF_ON)
    SA = Field(3, doc="SP alignment check at EL1", values=OFF_ON)
    C = Field(2, doc="data cache", values=OFF_ON)
    A = Field(1, doc="alignment check", values=OFF_ON)
    M = Field(0, doc="MMU, stage 1", values=OFF_ON)


class SCTLR_EL2(SCTLR):
    """System Control Register (EL2) under HCR_EL2.E2H: EL0 may not access DAIF at all, and one bit is named anew."""

    BT = Field(36, doc="PACIxSP is not a branch target for BTYPE 0b11 at EL2", values=NO_YES)
    BT1 = None  # type: ignore[assignment]
    UMA = None  # type: ignore[assignment]


class SCTLR_EL3(Word):
    """System Control Register of a level that has no EL0: of EL3, and of EL2 while HCR_EL2.E2H is clear."""

    RES1 = 0x30C5_0830

    SPINTMASK = Field(62, doc="SP interrupt mask (FEAT_NMI)", values=OFF_ON)
    NMI = Field(61, doc="non-maskable interrupts", values=OFF_ON)
    TCSO = Field(59, doc="tag checking store only", values=OFF_ON)
    TME = Field(53, doc="transactions", values=OFF_ON)
    TMT = Field(51, doc="trivial implementation of transactions", values=NO_YES)
    DSSBS = Field(44, doc="PSTATE.SSBS on exception entry")
    ATA = Field(43, doc="allocation tag access", values=OFF_ON)
    TCF = Field((41, 40), doc="tag check fault", values=_TAG_FAULT)
    ITFSB = Field(37, doc="synchronise asynchronous tag faults on entry", values=NO_YES)
    BT = Field(36, doc="PACIxSP is not a branch target for BTYPE 0b11", values=NO_YES)
    EnIA = Field(31, doc="pointer authentication, instruction key A", values=OFF_ON)
    EnIB = Field(30, doc="pointer authentication, instruction key B", values=OFF_ON)
    EnDA = Field(27, doc="pointer authentication, data key A", values=OFF_ON)
    EE = Field(25, doc="endianness of data and of table walks", values={0: "little-endian", 1: "big-endian"})
    EIS = Field(22, doc="exception entry synchronises context", values=NO_YES)
    IESB = Field(21, doc="implicit error synchronisation", values=OFF_ON)
    WXN = Field(19, doc="write implies execute-never", values=OFF_ON)
    EnDB = Field(13, doc="pointer authentication, data key B", values=OFF_ON)
    I = Field(12, doc="instruction cache", values=OFF_ON)  # noqa: E741
    EOS = Field(11, doc="exception exit synchronises context", values=NO_YES)
    nAA = Field(6, doc="unaligned accesses within 16 bytes that would fault do not", values=NO_YES)
    SA = Field(3, doc="SP alignment check", values=OFF_ON)
    C = Field(2, doc="data cache", values=OFF_ON)
    A = Field(1, doc="alignment check", values=OFF_ON)
    M = Field(0, doc="MMU, stage 1", values=OFF_ON)


def _attribute(index: int) -> Field:
    high = 8 * index + 7
    return Field((high, high - 7), doc=f"memory attribute of AttrIndx {index}", values=_MEMORY_TYPES)


_MEMORY_TYPES: Final = {attr: memory_type(attr) for attr in range(256)}


class MAIR(Word):
    """Memory Attribute Indirection Register."""

    Attr7 = _attribute(7)
    Attr6 = _attribute(6)
    Attr5 = _attribute(5)
    Attr4 = _attribute(4)
    Attr3 = _attribute(3)
    Attr2 = _attribute(2)
    Attr1 = _attribute(1)
    Attr0 = _attribute(0)


# "PIR_EL1, Permission Indirection Register 1 (EL1)": what each encoding grants before the overlay.
BASE_PERMISSION = {
    0b0000: "no access, overlay applied",
    0b0001: "read, overlay applied",
    0b0010: "execute, overlay applied",
    0b0011: "read, execute, overlay applied",
    0b0100: "reserved: no access, overlay applied",
    0b0101: "read, write, overlay applied",
    0b0110: "read, write, execute, WXN applied, overlay applied",
    0b0111: "read, write, execute, overlay applied",
    0b1000: "read",
    0b1001: "read, Guarded Control Stack",
    0b1010: "read, execute",
    0b1011: "reserved: no access",
    0b1100: "read, write",
    0b1101: "reserved: no access",
    0b1110: "read, write, execute",
    0b1111: "reserved: no access",
}
# "POR_EL1, Permission Overlay Register 1 (EL1)".
OVERLAY_PERMISSION = {
    0b0000: "no access",
    0b0001: "read",
    0b0010: "execute",
    0b0011: "read, execute",
    0b0100: "write",
    0b0101: "read, write",
    0b0110: "write, execute",
    0b0111: "read, write, execute",
}


def _sixteen(name: str, doc: str, what: str, values: dict[int, str]) -> type[Word]:
    fields = {
        f"Perm{index}": Field((4 * index + 3, 4 * index), doc=f"{what} {index}", values=values) for index in range(16)
    }
    return type(name, (Word,), {"__doc__": doc, **fields})


PIR = _sixteen(
    "PIR",
    "Permission Indirection Register: a base permission for each of 16 indexes.",
    "base permission of index",
    BASE_PERMISSION,
)
POR = _sixteen(
    "POR",
    "Permission Overlay Register: what each of 16 indexes leaves of the base permission.",
    "overlay of index",
    OVERLAY_PERMISSION,
)
