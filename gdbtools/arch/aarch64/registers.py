"""The registers that VMSAv8-64 translation and its faults need, as the Arm ARM (DDI 0487) lays them out.

Source of every class: the section of its own name in chapter D, "AArch64 System Register Descriptions".  Each declares
what is architected, whether or not the CPU at hand implements it: a feature's field in a CPU without it is RES0.
"""

from __future__ import annotations

from gdbtools.bits import Field, Word

_OFF_ON = {0: "off", 1: "on"}
_NO_YES = {0: "no", 1: "yes"}


def _feature(high: int, low: int, doc: str, values: dict[int, str] | None = None) -> Field:
    return Field((high, low), doc=doc, values=values or {0: "not implemented", 1: "implemented"})


class TTBR(Word):
    """Translation Table Base Register of EL1&0."""

    ASID = Field((63, 48), doc="address space identifier")
    BADDR = Field((47, 1), doc="translation table base address", scale=2)
    CnP = Field(0, doc="Common not Private: the same table on every PE of the Inner Shareable domain", values=_NO_YES)


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

    MTX1 = Field(61, doc="extended memory tag checking, TTBR1", values=_OFF_ON)
    MTX0 = Field(60, doc="extended memory tag checking, TTBR0", values=_OFF_ON)
    DS = Field(59, doc="52-bit output addresses and level -1 at 4KB and 16KB (FEAT_LPA2)", values=_OFF_ON)
    TCMA1 = Field(58, doc="unchecked accesses for addresses with tag 0b1111, TTBR1", values=_OFF_ON)
    TCMA0 = Field(57, doc="unchecked accesses for addresses with tag 0b0000, TTBR0", values=_OFF_ON)
    E0PD1 = Field(56, doc="EL0 access to TTBR1's range faults at level 0 (FEAT_E0PD)", values=_OFF_ON)
    E0PD0 = Field(55, doc="EL0 access to TTBR0's range faults at level 0 (FEAT_E0PD)", values=_OFF_ON)
    NFD1 = Field(54, doc="non-fault accesses do not walk TTBR1", values=_OFF_ON)
    NFD0 = Field(53, doc="non-fault accesses do not walk TTBR0", values=_OFF_ON)
    TBID1 = Field(52, doc="top byte ignored for data only, TTBR1", values=_OFF_ON)
    TBID0 = Field(51, doc="top byte ignored for data only, TTBR0", values=_OFF_ON)
    HWU162 = Field(50, doc="bit 62 of TTBR1's leaves is for hardware's use", values=_NO_YES)
    HWU161 = Field(49, doc="bit 61 of TTBR1's leaves is for hardware's use", values=_NO_YES)
    HWU160 = Field(48, doc="bit 60 of TTBR1's leaves is for hardware's use", values=_NO_YES)
    HWU159 = Field(47, doc="bit 59 of TTBR1's leaves is for hardware's use", values=_NO_YES)
    HWU062 = Field(46, doc="bit 62 of TTBR0's leaves is for hardware's use", values=_NO_YES)
    HWU061 = Field(45, doc="bit 61 of TTBR0's leaves is for hardware's use", values=_NO_YES)
    HWU060 = Field(44, doc="bit 60 of TTBR0's leaves is for hardware's use", values=_NO_YES)
    HWU059 = Field(43, doc="bit 59 of TTBR0's leaves is for hardware's use", values=_NO_YES)
    HPD1 = Field(42, doc="hierarchical permissions of TTBR1's tables are disabled", values=_NO_YES)
    HPD0 = Field(41, doc="hierarchical permissions of TTBR0's tables are disabled", values=_NO_YES)
    HD = Field(40, doc="hardware management of the dirty state", values=_OFF_ON)
    HA = Field(39, doc="hardware management of the access flag", values=_OFF_ON)
    TBI1 = Field(38, doc="top byte ignored, TTBR1", values=_NO_YES)
    TBI0 = Field(37, doc="top byte ignored, TTBR0", values=_NO_YES)
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


class TCR2_EL1(Word):
    """Extended Translation Control Register (EL1): only what changes the meaning of a descriptor."""

    D128 = Field(5, doc="128-bit descriptors (FEAT_D128)", values=_OFF_ON)
    POE = Field(3, doc="permission overlays for EL1 (FEAT_S1POE)", values=_OFF_ON)
    E0POE = Field(2, doc="permission overlays for EL0 (FEAT_S1POE)", values=_OFF_ON)
    PIE = Field(1, doc="permission indirection (FEAT_S1PIE)", values=_OFF_ON)


_TRAP = {0: "trapped", 1: "not trapped"}
_TAG_FAULT = {0: "no effect", 1: "synchronous", 2: "asynchronous", 3: "synchronous reads, asynchronous writes"}


class SCTLR_EL1(Word):
    """System Control Register (EL1)."""

    TIDCP = Field(63, doc="trap EL0 accesses to IMPLEMENTATION DEFINED encodings", values=_OFF_ON)
    SPINTMASK = Field(62, doc="SP interrupt mask (FEAT_NMI)", values=_OFF_ON)
    NMI = Field(61, doc="non-maskable interrupts", values=_OFF_ON)
    EnTP2 = Field(60, doc="EL0 access to TPIDR2_EL0", values=_TRAP)
    TCSO = Field(59, doc="tag checking store only, EL1", values=_OFF_ON)
    TCSO0 = Field(58, doc="tag checking store only, EL0", values=_OFF_ON)
    EPAN = Field(57, doc="PAN also covers pages that EL0 may only execute (FEAT_PAN3)", values=_OFF_ON)
    EnALS = Field(56, doc="LD64B and ST64B at EL0", values=_TRAP)
    EnAS0 = Field(55, doc="ST64BV0 at EL0", values=_TRAP)
    EnASR = Field(54, doc="ST64BV at EL0", values=_TRAP)
    TME = Field(53, doc="transactions at EL1", values=_OFF_ON)
    TME0 = Field(52, doc="transactions at EL0", values=_OFF_ON)
    TMT = Field(51, doc="trivial implementation of transactions at EL1", values=_NO_YES)
    TMT0 = Field(50, doc="trivial implementation of transactions at EL0", values=_NO_YES)
    TWEDEL = Field((49, 46), doc="TWE delay")
    TWEDEn = Field(45, doc="TWE delay enable", values=_OFF_ON)
    DSSBS = Field(44, doc="PSTATE.SSBS on exception entry")
    ATA = Field(43, doc="allocation tag access at EL1", values=_OFF_ON)
    ATA0 = Field(42, doc="allocation tag access at EL0", values=_OFF_ON)
    TCF = Field((41, 40), doc="tag check fault at EL1", values=_TAG_FAULT)
    TCF0 = Field((39, 38), doc="tag check fault at EL0", values=_TAG_FAULT)
    ITFSB = Field(37, doc="synchronise asynchronous tag faults on entry", values=_NO_YES)
    BT1 = Field(36, doc="PACIxSP is not a branch target for BTYPE 0b11 at EL1", values=_NO_YES)
    BT0 = Field(35, doc="PACIxSP is not a branch target for BTYPE 0b11 at EL0", values=_NO_YES)
    EnFPM = Field(34, doc="access to FPMR", values=_TRAP)
    MSCEn = Field(33, doc="memory copy and set instructions at EL0", values=_OFF_ON)
    CMOW = Field(32, doc="cache maintenance at EL0 needs write permission", values=_NO_YES)
    EnIA = Field(31, doc="pointer authentication, instruction key A", values=_OFF_ON)
    EnIB = Field(30, doc="pointer authentication, instruction key B", values=_OFF_ON)
    LSMAOE = Field(29, doc="load/store multiple atomicity and ordering (A32, T32)")
    nTLSMD = Field(28, doc="load/store multiple to Device memory (A32, T32)", values=_TRAP)
    EnDA = Field(27, doc="pointer authentication, data key A", values=_OFF_ON)
    UCI = Field(26, doc="cache maintenance by address at EL0", values=_TRAP)
    EE = Field(25, doc="endianness of EL1 data and of table walks", values={0: "little-endian", 1: "big-endian"})
    E0E = Field(24, doc="endianness of EL0 data", values={0: "little-endian", 1: "big-endian"})
    SPAN = Field(23, doc="PSTATE.PAN on exception entry", values={0: "set to 1", 1: "left as it is"})
    EIS = Field(22, doc="exception entry synchronises context", values=_NO_YES)
    IESB = Field(21, doc="implicit error synchronisation", values=_OFF_ON)
    TSCXT = Field(20, doc="trap EL0 access to SCXTNUM_EL0", values=_NO_YES)
    WXN = Field(19, doc="write implies execute-never", values=_OFF_ON)
    nTWE = Field(18, doc="WFE at EL0", values=_TRAP)
    nTWI = Field(16, doc="WFI at EL0", values=_TRAP)
    UCT = Field(15, doc="EL0 access to CTR_EL0", values=_TRAP)
    DZE = Field(14, doc="DC ZVA at EL0", values=_TRAP)
    EnDB = Field(13, doc="pointer authentication, data key B", values=_OFF_ON)
    I = Field(12, doc="instruction cache", values=_OFF_ON)  # noqa: E741
    EOS = Field(11, doc="exception exit synchronises context", values=_NO_YES)
    EnRCTX = Field(10, doc="speculation restriction instructions at EL0", values=_TRAP)
    UMA = Field(9, doc="EL0 access to DAIF", values=_TRAP)
    SED = Field(8, doc="SETEND disabled (A32, T32)", values=_NO_YES)
    ITD = Field(7, doc="IT restricted (T32)", values=_NO_YES)
    nAA = Field(6, doc="unaligned accesses within 16 bytes that would fault do not", values=_NO_YES)
    CP15BEN = Field(5, doc="CP15 barrier instructions (A32, T32)", values=_OFF_ON)
    SA0 = Field(4, doc="SP alignment check at EL0", values=_OFF_ON)
    SA = Field(3, doc="SP alignment check at EL1", values=_OFF_ON)
    C = Field(2, doc="data cache", values=_OFF_ON)
    A = Field(1, doc="alignment check", values=_OFF_ON)
    M = Field(0, doc="MMU, stage 1 of EL1&0", values=_OFF_ON)


class MAIR_EL1(Word):
    """Memory Attribute Indirection Register (EL1)."""

    Attr7 = Field((63, 56), doc="memory attribute of AttrIndx 7")
    Attr6 = Field((55, 48), doc="memory attribute of AttrIndx 6")
    Attr5 = Field((47, 40), doc="memory attribute of AttrIndx 5")
    Attr4 = Field((39, 32), doc="memory attribute of AttrIndx 4")
    Attr3 = Field((31, 24), doc="memory attribute of AttrIndx 3")
    Attr2 = Field((23, 16), doc="memory attribute of AttrIndx 2")
    Attr1 = Field((15, 8), doc="memory attribute of AttrIndx 1")
    Attr0 = Field((7, 0), doc="memory attribute of AttrIndx 0")


class ID_AA64MMFR0_EL1(Word):
    """AArch64 Memory Model Feature Register 0."""

    ECV = _feature(63, 60, "enhanced counter virtualization")
    FGT = _feature(59, 56, "fine-grained traps")
    ExS = _feature(47, 44, "non-context-synchronising exceptions")
    TGran4_2 = _feature(43, 40, "4KB granule at stage 2", {0: "as TGran4", 1: "no", 2: "yes", 3: "yes, 52 bits"})
    TGran64_2 = _feature(39, 36, "64KB granule at stage 2", {0: "as TGran64", 1: "no", 2: "yes"})
    TGran16_2 = _feature(35, 32, "16KB granule at stage 2", {0: "as TGran16", 1: "no", 2: "yes", 3: "yes, 52 bits"})
    TGran4 = _feature(31, 28, "4KB granule", {0: "yes", 1: "yes, 52 bits", 15: "no"})
    TGran64 = _feature(27, 24, "64KB granule", {0: "yes", 15: "no"})
    TGran16 = _feature(23, 20, "16KB granule", {0: "no", 1: "yes", 2: "yes, 52 bits"})
    BigEndEL0 = _feature(19, 16, "mixed endianness at EL0 only")
    SNSMem = _feature(15, 12, "Secure and Non-secure memory are distinct", _NO_YES)
    BigEnd = _feature(11, 8, "mixed endianness")
    ASIDBits = _feature(7, 4, "ASID bits", {0: "8", 2: "16"})
    PARange = _feature(3, 0, "physical address range", PHYSICAL_ADDRESS_SIZE)


class ID_AA64MMFR1_EL1(Word):
    """AArch64 Memory Model Feature Register 1."""

    ECBHB = _feature(63, 60, "branch history exploits across contexts")
    CMOW = _feature(59, 56, "cache maintenance without write permission")
    TIDCP1 = _feature(55, 52, "trapping of IMPLEMENTATION DEFINED encodings")
    nTLBPA = _feature(51, 48, "intermediate walk caching without physical address")
    AFP = _feature(47, 44, "alternate floating-point behaviour")
    HCX = _feature(43, 40, "HCRX_EL2")
    ETS = _feature(39, 36, "enhanced translation synchronisation")
    TWED = _feature(35, 32, "delayed trapping of WFE")
    XNX = _feature(31, 28, "execute-never by exception level at stage 2")
    SpecSEI = _feature(27, 24, "SError interrupts from speculative accesses")
    PAN = _feature(23, 20, "Privileged Access Never", {0: "no", 1: "PAN", 2: "PAN2: AT S1E1RP", 3: "PAN3: EPAN"})
    LO = _feature(19, 16, "limited ordering regions")
    HPDS = _feature(15, 12, "hierarchical permission disable", {0: "no", 1: "HPD", 2: "HPD, PBHA"})
    VH = _feature(11, 8, "Virtualization Host Extensions")
    VMIDBits = _feature(7, 4, "VMID bits", {0: "8", 2: "16"})
    HAFDBS = _feature(
        3, 0, "hardware updates", {0: "none", 1: "access flag", 2: "access flag, dirty state", 3: "and table AF"}
    )


class ID_AA64MMFR2_EL1(Word):
    """AArch64 Memory Model Feature Register 2."""

    E0PD = _feature(63, 60, "EL0 access to a half of the map faults at level 0")
    EVT = _feature(59, 56, "enhanced virtualization traps")
    BBM = _feature(55, 52, "break-before-make when block size changes", {0: "level 0", 1: "level 1", 2: "level 2"})
    TTL = _feature(51, 48, "TTL hint in TLBI")
    FWB = _feature(43, 40, "stage 2 forced write-back")
    IDS = _feature(39, 36, "ID space trapping")
    AT = _feature(35, 32, "unaligned single-copy atomicity")
    ST = _feature(31, 28, "small translation tables: TnSZ up to 48", _NO_YES)
    NV = _feature(27, 24, "nested virtualization")
    CCIDX = _feature(23, 20, "64-bit CCSIDR_EL1")
    VARange = _feature(19, 16, "virtual address range", {0: "48 bits", 1: "52 bits at 64KB", 2: "56 bits"})
    IESB = _feature(15, 12, "implicit error synchronisation")
    LSM = _feature(11, 8, "LSMAOE and nTLSMD")
    UAO = _feature(7, 4, "User Access Override")
    CnP = _feature(3, 0, "Common not Private translations")


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
    0b10111: "AArch32 Abort",
    0b11010: "AArch32 Hyp",
    0b11011: "AArch32 Undefined",
    0b11111: "AArch32 System",
}
_MASKED = {0: "not masked", 1: "masked"}


class SPSR(Word):
    """Saved Program Status Register, for an exception taken from AArch64; QEMU's `cpsr` has the same layout."""

    N = Field(31, doc="negative")
    Z = Field(30, doc="zero")
    C = Field(29, doc="carry")
    V = Field(28, doc="overflow")
    TCO = Field(25, doc="tag check override", values=_OFF_ON)
    DIT = Field(24, doc="data independent timing", values=_OFF_ON)
    UAO = Field(23, doc="User Access Override", values=_OFF_ON)
    PAN = Field(22, doc="Privileged Access Never", values=_OFF_ON)
    SS = Field(21, doc="software step")
    IL = Field(20, doc="illegal execution state", values=_NO_YES)
    ALLINT = Field(13, doc="all interrupts", values=_MASKED)
    SSBS = Field(12, doc="speculative store bypass safe", values=_NO_YES)
    BTYPE = Field((11, 10), doc="branch target identification")
    D = Field(9, doc="debug exceptions", values=_MASKED)
    A = Field(8, doc="SError", values=_MASKED)
    I = Field(7, doc="IRQ", values=_MASKED)  # noqa: E741
    F = Field(6, doc="FIQ", values=_MASKED)
    M = Field((4, 0), doc="execution state and level", values=_EXECUTION_STATE)

    @property
    def el(self) -> int:
        """The exception level: AArch32 modes are EL0 for a kernel that runs in AArch64."""
        nrw_aarch32 = 0b10000
        return 0 if self.M & nrw_aarch32 else self.M >> 2


class FAR(Word):
    """Fault Address Register: the faulting virtual address."""

    VA = Field((63, 0), doc="faulting virtual address")


class ELR(Word):
    """Exception Link Register: where an `eret` goes back to."""

    ADDRESS = Field((63, 0), doc="return address")


class VBAR(Word):
    """Vector Base Address Register: 2KB aligned."""

    ADDRESS = Field((63, 11), doc="vector base address", scale=1 << 11)


class CONTEXTIDR(Word):
    """Context ID Register: what a trace or a debugger may compare with."""

    PROCID = Field((31, 0), doc="process identifier")


class HCR_EL2(Word):
    """Hypervisor Configuration Register: only what says that EL1&0 is not alone; the rest comes with stage 2."""

    E2H = Field(34, doc="EL2 host: the EL2&0 regime", values=_OFF_ON)
    TGE = Field(27, doc="trap general exceptions: EL0 runs under EL2", values=_OFF_ON)
    DC = Field(12, doc="default cacheability: stage 1 off, stage 2 on", values=_OFF_ON)
    VM = Field(0, doc="stage 2 of EL1&0", values=_OFF_ON)
