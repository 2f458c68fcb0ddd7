"""The identification registers that translation asks, as the Arm ARM (DDI 0487) lays them out.

Source of every class: the section of its own name in chapter D, "AArch64 System Register Descriptions".
"""

from __future__ import annotations

from collections.abc import Mapping

from gdbtools.arch.aarch64.registers.translation import PHYSICAL_ADDRESS_SIZE
from gdbtools.bits import NO_YES, Field, Word


def _feature(high: int, low: int, doc: str, values: Mapping[int, str] | None = None) -> Field:
    return Field((high, low), doc=doc, values=values or {0: "not implemented", 1: "implemented"})


_LEVEL = {0: "no", 1: "AArch64", 2: "AArch64 and AArch32"}


class ID_AA64PFR0_EL1(Word):
    """AArch64 Processor Feature Register 0."""

    CSV3 = _feature(63, 60, "no speculative use of faulting data")
    CSV2 = _feature(59, 56, "branch targets are not shared between contexts")
    RME = _feature(55, 52, "Realm Management Extension")
    DIT = _feature(51, 48, "data independent timing")
    AMU = _feature(47, 44, "activity monitors")
    MPAM = _feature(43, 40, "memory partitioning")
    SEL2 = _feature(39, 36, "Secure EL2")
    SVE = _feature(35, 32, "Scalable Vector Extension")
    RAS = _feature(31, 28, "RAS extension")
    GIC = _feature(27, 24, "system registers of the GIC CPU interface")
    AdvSIMD = _feature(23, 20, "Advanced SIMD", {15: "no"})
    FP = _feature(19, 16, "floating-point", {15: "no"})
    EL3 = _feature(15, 12, "EL3", _LEVEL)
    EL2 = _feature(11, 8, "EL2", _LEVEL)
    EL1 = _feature(7, 4, "EL1", _LEVEL)
    EL0 = _feature(3, 0, "EL0", _LEVEL)


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
    SNSMem = _feature(15, 12, "Secure and Non-secure memory are distinct", NO_YES)
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
        3, 0, "hardware updates",
        {
            0: "none", 1: "access flag", 2: "access flag and dirty state",
            3: "access flag (of tables too) and dirty state",
        },
    )  # fmt: skip


class ID_AA64MMFR2_EL1(Word):
    """AArch64 Memory Model Feature Register 2."""

    E0PD = _feature(63, 60, "EL0 access to a half of the map faults at level 0")
    EVT = _feature(59, 56, "enhanced virtualization traps")
    BBM = _feature(55, 52, "break-before-make when block size changes", {0: "level 0", 1: "level 1", 2: "level 2"})
    TTL = _feature(51, 48, "TTL hint in TLBI")
    FWB = _feature(43, 40, "stage 2 forced write-back")
    IDS = _feature(39, 36, "ID space trapping")
    AT = _feature(35, 32, "unaligned single-copy atomicity")
    ST = _feature(31, 28, "small translation tables: TnSZ up to 48", NO_YES)
    NV = _feature(27, 24, "nested virtualization")
    CCIDX = _feature(23, 20, "64-bit CCSIDR_EL1")
    VARange = _feature(19, 16, "virtual address range", {0: "48 bits", 1: "52 bits at 64KB", 2: "56 bits"})
    IESB = _feature(15, 12, "implicit error synchronisation")
    LSM = _feature(11, 8, "LSMAOE and nTLSMD")
    UAO = _feature(7, 4, "User Access Override")
    CnP = _feature(3, 0, "Common not Private translations")


class ID_AA64MMFR3_EL1(Word):
    """AArch64 Memory Model Feature Register 3."""

    D128_2 = _feature(39, 36, "128-bit descriptors at stage 2")
    D128 = _feature(35, 32, "128-bit descriptors at stage 1")
    MEC = _feature(31, 28, "Memory Encryption Contexts")
    AIE = _feature(27, 24, "attribute indexing extended")
    S2POE = _feature(23, 20, "stage 2 permission overlays")
    S1POE = _feature(19, 16, "stage 1 permission overlays")
    S2PIE = _feature(15, 12, "stage 2 permission indirection")
    S1PIE = _feature(11, 8, "stage 1 permission indirection")
    SCTLRX = _feature(7, 4, "SCTLR2_ELx")
    TCRX = _feature(3, 0, "TCR2_ELx")


class CTR_EL0(Word):
    """Cache Type Register."""

    RES1 = 1 << 31

    TminLine = Field((37, 32), doc="smallest tag line, log2 of words")
    DIC = Field(29, doc="instruction caches need no invalidation for coherence", values=NO_YES)
    IDC = Field(28, doc="data caches need no cleaning for coherence with instructions", values=NO_YES)
    CWG = Field((27, 24), doc="cache write-back granule, log2 of words")
    ERG = Field((23, 20), doc="exclusives reservation granule, log2 of words")
    DminLine = Field((19, 16), doc="smallest data cache line, log2 of words")
    L1Ip = Field((15, 14), doc="level 1 instruction cache", values={0: "VPIPT", 1: "AIVIVT", 2: "VIPT", 3: "PIPT"})
    IminLine = Field((3, 0), doc="smallest instruction cache line, log2 of words")


class CSSELR(Word):
    """Cache Size Selection Register: the cache that CCSIDR_EL1 is about."""

    TnD = Field(4, doc="tags, not data", values=NO_YES)
    Level = Field((3, 1), doc="level of the cache, less 1")
    InD = Field(0, doc="instructions, not data", values=NO_YES)


class CCSIDR(Word):
    """Cache Size ID Register, without FEAT_CCIDX."""

    NumSets = Field((27, 13), doc="sets, less 1")
    Associativity = Field((12, 3), doc="ways, less 1")
    LineSize = Field((2, 0), doc="line, log2 of words, less 2")

    @property
    def line_bits(self) -> int:
        """log2 of the bytes of a line."""
        return self.LineSize + 4


class CCSIDR_CCIDX(CCSIDR):
    """Cache Size ID Register, with FEAT_CCIDX."""

    NumSets = Field((55, 32), doc="sets, less 1")
    Associativity = Field((23, 3), doc="ways, less 1")


class MPIDR(Word):
    """Multiprocessor Affinity Register (MPIDR_EL1, and VMPIDR_EL2, which is what a guest reads for it)."""

    RES1 = 1 << 31

    Aff3 = Field((39, 32), doc="affinity level 3")
    U = Field(30, doc="the only processor", values=NO_YES)
    MT = Field(24, doc="affinity level 0 is a thread of a core", values=NO_YES)
    Aff2 = Field((23, 16), doc="affinity level 2")
    Aff1 = Field((15, 8), doc="affinity level 1")
    Aff0 = Field((7, 0), doc="affinity level 0")

    @property
    def affinity(self) -> int:
        """Its four levels as one number, the highest first."""
        return self.Aff3 << 24 | self.Aff2 << 16 | self.Aff1 << 8 | self.Aff0
