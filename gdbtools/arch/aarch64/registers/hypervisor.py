"""The registers of EL2 and EL3 that configure stage 2 and what is below them, as the Arm ARM (DDI 0487) lays them out.

Source of every class: the section of its own name in chapter D, "AArch64 System Register Descriptions".
"""

from __future__ import annotations

from gdbtools.arch.aarch64.registers.translation import (
    PHYSICAL_ADDRESS_SIZE,
    SHAREABILITY,
    TG0_GRANULE,
    WALK_CACHEABILITY,
    TableBase,
)
from gdbtools.bits import NO_YES, OFF_ON, Field, Word

_TRAPPED = {0: "not trapped", 1: "trapped to EL2"}
_ENABLED = {0: "trapped to EL2", 1: "not trapped"}
_TO_EL3 = {0: "not trapped", 1: "trapped to EL3"}
_NOT_TO_EL3 = {0: "trapped to EL3", 1: "not trapped"}


class HCR_EL2(Word):
    """Hypervisor Configuration Register."""

    TWEDEL = Field((63, 60), doc="TWE delay")
    TWEDEn = Field(59, doc="TWE delay enable", values=OFF_ON)
    TID5 = Field(58, doc="GMID_EL1", values=_TRAPPED)
    DCT = Field(57, doc="with DC: stage 1 is Tagged", values=NO_YES)
    ATA = Field(56, doc="allocation tag access at EL1 and EL0", values=_ENABLED)
    TTLBOS = Field(55, doc="TLB maintenance, Outer Shareable", values=_TRAPPED)
    TTLBIS = Field(54, doc="TLB maintenance, Inner Shareable", values=_TRAPPED)
    EnSCXT = Field(53, doc="SCXTNUM_ELx", values=_ENABLED)
    TOCU = Field(52, doc="cache maintenance to the Point of Unification", values=_TRAPPED)
    AMVOFFEN = Field(51, doc="activity monitors virtual offsets", values=OFF_ON)
    TICAB = Field(50, doc="IC IALLUIS", values=_TRAPPED)
    TID4 = Field(49, doc="cache identification registers", values=_TRAPPED)
    GPF = Field(48, doc="granule protection faults are taken to EL2", values=NO_YES)
    FIEN = Field(47, doc="RAS fault injection registers", values=_ENABLED)
    FWB = Field(46, doc="stage 2 decides the memory type (FEAT_S2FWB)", values=OFF_ON)
    NV2 = Field(45, doc="nested virtualization by memory", values=OFF_ON)
    AT = Field(44, doc="AT S1E*", values=_TRAPPED)
    NV1 = Field(43, doc="nested virtualization, EL1 regime as EL2's", values=OFF_ON)
    NV = Field(42, doc="nested virtualization", values=OFF_ON)
    API = Field(41, doc="pointer authentication instructions", values=_ENABLED)
    APK = Field(40, doc="pointer authentication keys", values=_ENABLED)
    TME = Field(39, doc="transactions at EL1 and EL0", values=OFF_ON)
    MIOCNCE = Field(38, doc="mismatched inner and outer cacheability may be incoherent", values=NO_YES)
    TEA = Field(37, doc="external aborts are taken to EL2", values=NO_YES)
    TERR = Field(36, doc="error record registers", values=_TRAPPED)
    TLOR = Field(35, doc="limited ordering registers", values=_TRAPPED)
    E2H = Field(34, doc="EL2 host: the EL2&0 regime", values=OFF_ON)
    ID = Field(33, doc="stage 2 instruction cacheability disabled", values=NO_YES)
    CD = Field(32, doc="stage 2 data cacheability disabled", values=NO_YES)
    RW = Field(31, doc="EL1 runs in AArch64", values=NO_YES)
    TRVM = Field(30, doc="reads of virtual memory controls", values=_TRAPPED)
    HCD = Field(29, doc="HVC is disabled", values=NO_YES)
    TDZ = Field(28, doc="DC ZVA", values=_TRAPPED)
    TGE = Field(27, doc="trap general exceptions: EL0 runs under EL2", values=OFF_ON)
    TVM = Field(26, doc="writes of virtual memory controls", values=_TRAPPED)
    TTLB = Field(25, doc="TLB maintenance", values=_TRAPPED)
    TPU = Field(24, doc="cache maintenance to the Point of Unification", values=_TRAPPED)
    TPCP = Field(23, doc="cache maintenance to the Point of Coherency or Persistence", values=_TRAPPED)
    TSW = Field(22, doc="cache maintenance by set/way", values=_TRAPPED)
    TACR = Field(21, doc="ACTLR_EL1", values=_TRAPPED)
    TIDCP = Field(20, doc="IMPLEMENTATION DEFINED functionality", values=_TRAPPED)
    TSC = Field(19, doc="SMC", values=_TRAPPED)
    TID3 = Field(18, doc="identification registers, group 3", values=_TRAPPED)
    TID2 = Field(17, doc="identification registers, group 2", values=_TRAPPED)
    TID1 = Field(16, doc="identification registers, group 1", values=_TRAPPED)
    TID0 = Field(15, doc="identification registers, group 0", values=_TRAPPED)
    TWE = Field(14, doc="WFE", values=_TRAPPED)
    TWI = Field(13, doc="WFI", values=_TRAPPED)
    DC = Field(12, doc="default cacheability: stage 1 off, stage 2 on", values=OFF_ON)
    BSU = Field((11, 10), doc="minimum shareability of barriers")
    FB = Field(9, doc="maintenance is broadcast", values=NO_YES)
    VSE = Field(8, doc="virtual SError is pending", values=NO_YES)
    VI = Field(7, doc="virtual IRQ is pending", values=NO_YES)
    VF = Field(6, doc="virtual FIQ is pending", values=NO_YES)
    AMO = Field(5, doc="SError is taken to EL2", values=NO_YES)
    IMO = Field(4, doc="IRQ is taken to EL2", values=NO_YES)
    FMO = Field(3, doc="FIQ is taken to EL2", values=NO_YES)
    PTW = Field(2, doc="a stage 1 walk of Device memory faults", values=NO_YES)
    SWIO = Field(1, doc="set/way invalidate is clean and invalidate", values=NO_YES)
    VM = Field(0, doc="stage 2 of EL1&0", values=OFF_ON)


class HCRX_EL2(Word):
    """Extended Hypervisor Configuration Register."""

    FNB = Field(36, doc="branch history instructions at EL1 and EL0 are not broadcast", values=NO_YES)
    VTLBIDOSEn = Field(35, doc="virtual TLBI domains, Outer Shareable", values=OFF_ON)
    NVnTTLBOS = Field(34, doc="with NV: HCR_EL2.TTLBOS does not trap", values=NO_YES)
    NVnTTLBIS = Field(33, doc="with NV: HCR_EL2.TTLBIS does not trap", values=NO_YES)
    NVnTTLB = Field(32, doc="with NV: HCR_EL2.TTLB does not trap", values=NO_YES)
    FDIT = Field(31, doc="data independent timing is forced at EL1 and EL0", values=NO_YES)
    NVTGE = Field(27, doc="nested virtualization: TGE of the guest hypervisor", values=OFF_ON)
    SRMASKEn = Field(26, doc="the registers that mask others (SCTLRMASK_EL1 and its like)", values=_ENABLED)
    VTLBIDEn = Field(25, doc="virtual TLBI domains", values=OFF_ON)
    PACMEn = Field(24, doc="PACM at EL1 and EL0", values=OFF_ON)
    EnFPM = Field(23, doc="FPMR", values=_ENABLED)
    GCSEn = Field(22, doc="Guarded Control Stack at EL1 and EL0", values=OFF_ON)
    EnIDCP128 = Field(21, doc="IMPLEMENTATION DEFINED 128-bit registers", values=_ENABLED)
    EnSDERR = Field(20, doc="synchronous Device read errors at EL1 and EL0 may be SErrors", values=NO_YES)
    TMEA = Field(19, doc="masked external aborts are taken to EL2", values=NO_YES)
    EnSNERR = Field(18, doc="synchronous Normal read errors at EL1 and EL0 may be SErrors", values=NO_YES)
    D128En = Field(17, doc="128-bit registers at EL1", values=_ENABLED)
    PTTWI = Field(16, doc="table walks are incoherent with RCWS", values=NO_YES)
    SCTLR2En = Field(15, doc="SCTLR2_EL1", values={0: "trapped, and as 0", 1: "in use"})
    TCR2En = Field(14, doc="TCR2_EL1", values={0: "trapped, and as 0", 1: "in use"})
    MSCEn = Field(11, doc="memory copy and set instructions at EL1 and EL0", values=OFF_ON)
    MCE2 = Field(10, doc="memory copy and set exceptions of EL1 are taken to EL2", values=NO_YES)
    CMOW = Field(9, doc="cache maintenance at EL1 and EL0 needs write permission at stage 2", values=NO_YES)
    VFNMI = Field(8, doc="virtual FIQ is pending with superpriority", values=NO_YES)
    VINMI = Field(7, doc="virtual IRQ is pending with superpriority", values=NO_YES)
    TALLINT = Field(6, doc="writes of ALLINT at EL1", values=_TRAPPED)
    SMPME = Field(5, doc="streaming mode priority is mapped", values=NO_YES)
    FGTnXS = Field(4, doc="HFGITR_EL2's traps of TLB maintenance apply with nXS", values={0: "yes", 1: "no"})
    FnXS = Field(3, doc="TLB maintenance at EL1 is as with nXS", values=NO_YES)
    EnASR = Field(2, doc="ST64BV at EL1 and EL0", values=_ENABLED)
    EnALS = Field(1, doc="LD64B and ST64B at EL1 and EL0", values=_ENABLED)
    EnAS0 = Field(0, doc="ST64BV0 at EL1 and EL0", values=_ENABLED)


class VTCR_EL2(Word):
    """Virtualization Translation Control Register: stage 2 of EL1&0."""

    RES1 = 1 << 31

    HDBSS = Field(45, doc="hardware tracks the dirty state in a structure (FEAT_HDBSS)", values=OFF_ON)
    HAFT = Field(44, doc="hardware sets the access flag of tables (FEAT_HAFT)", values=OFF_ON)
    TL0 = Field(41, doc="TopLevel0 permission attribute checks", values=OFF_ON)
    GCSH = Field(40, doc="AssuredOnly check of Guarded Control Stacks", values=OFF_ON)
    D128 = Field(38, doc="128-bit descriptors (FEAT_D128)", values=OFF_ON)
    S2POE = Field(37, doc="stage 2 permission overlays", values=OFF_ON)
    S2PIE = Field(36, doc="stage 2 permission indirection", values=OFF_ON)
    TL1 = Field(35, doc="TopLevel1 permission attribute checks", values=OFF_ON)
    AssuredOnly = Field(34, doc="AssuredOnly attribute", values=OFF_ON)
    SL2 = Field(33, doc="starting level -1 (4KB, FEAT_LPA2)", values=NO_YES)
    DS = Field(32, doc="52-bit output addresses and level -1 at 4KB and 16KB (FEAT_LPA2)", values=OFF_ON)
    NSA = Field(30, doc="Non-secure IPAs translate to the Non-secure address space", values=NO_YES)
    NSW = Field(29, doc="Non-secure stage 2 tables are Non-secure", values=NO_YES)
    HWU62 = Field(28, doc="bit 62 of leaves is for hardware's use", values=NO_YES)
    HWU61 = Field(27, doc="bit 61 of leaves is for hardware's use", values=NO_YES)
    HWU60 = Field(26, doc="bit 60 of leaves is for hardware's use", values=NO_YES)
    HWU59 = Field(25, doc="bit 59 of leaves is for hardware's use", values=NO_YES)
    HD = Field(22, doc="hardware management of the dirty state", values=OFF_ON)
    HA = Field(21, doc="hardware management of the access flag", values=OFF_ON)
    VS = Field(19, doc="VMID size", values={0: "8 bits", 1: "16 bits"})
    PS = Field((18, 16), doc="physical address size", values=PHYSICAL_ADDRESS_SIZE)
    TG0 = Field((15, 14), doc="granule", values=TG0_GRANULE)
    SH0 = Field((13, 12), doc="shareability of walks", values=SHAREABILITY)
    ORGN0 = Field((11, 10), doc="outer cacheability of walks", values=WALK_CACHEABILITY)
    IRGN0 = Field((9, 8), doc="inner cacheability of walks", values=WALK_CACHEABILITY)
    SL0 = Field((7, 6), doc="starting level, counted by granule")
    T0SZ = Field((5, 0), doc="size offset: the IPA space has 2^(64-T0SZ) bytes")


class VSTCR_EL2(Word):
    """Virtualization Secure Translation Control Register: what Secure stage 2 does not take from VTCR_EL2."""

    RES1 = 1 << 31

    SL2 = Field(33, doc="starting level -1 (4KB, FEAT_LPA2)", values=NO_YES)
    SA = Field(30, doc="Secure IPAs translate to the Non-secure address space", values=NO_YES)
    SW = Field(29, doc="Secure stage 2 tables are Non-secure", values=NO_YES)
    TG0 = Field((15, 14), doc="granule", values=TG0_GRANULE)
    SL0 = Field((7, 6), doc="starting level, counted by granule")
    T0SZ = Field((5, 0), doc="size offset: the Secure IPA space has 2^(64-T0SZ) bytes")


class VTTBR(TableBase):
    """Virtualization Translation Table Base Register (VTTBR_EL2, VSTTBR_EL2)."""

    VMID = Field((63, 48), doc="virtual machine identifier; RES0 in VSTTBR_EL2")


class HPFAR_EL2(Word):
    """Hypervisor IPA Fault Address Register."""

    NS = Field(63, doc="the IPA is Non-secure", values=NO_YES)
    FIPA = Field((47, 4), doc="faulting IPA, without its low 12 bits", scale=1 << 12)


class SCR_EL3(Word):
    """Secure Configuration Register."""

    RES1 = 1 << 5 | 1 << 4

    NSE = Field(62, doc="Realm, together with NS (FEAT_RME)", values=NO_YES)
    HACDBSEn = Field(61, doc="HACDBSBR_EL2, HACDBSCONS_EL2", values=_NOT_TO_EL3)
    HDBSSEn = Field(60, doc="HDBSSBR_EL2, HDBSSPROD_EL2", values=_NOT_TO_EL3)
    FGTEn2 = Field(59, doc="fine-grained traps of FEAT_FGT2", values={0: "as 0, and trapped to EL3", 1: "in use"})
    EnDSE = Field(58, doc="delegated SError exceptions", values=OFF_ON)
    DSE = Field(57, doc="a delegated SError is pending", values=NO_YES)
    VTLBIDEn = Field(56, doc="virtual TLBI domain registers", values=_NOT_TO_EL3)
    EnIDCP128 = Field(55, doc="IMPLEMENTATION DEFINED 128-bit registers", values=_NOT_TO_EL3)
    SRMASKEn = Field(54, doc="the registers that mask others (SCTLRMASK_EL1 and its like)", values=_NOT_TO_EL3)
    PFAREn = Field(53, doc="PFAR_EL1, PFAR_EL2", values=_NOT_TO_EL3)
    TWERR = Field(52, doc="writes of error record registers", values=_TO_EL3)
    TMEA = Field(51, doc="masked external aborts are taken to EL3", values=NO_YES)
    EnFPM = Field(50, doc="FPMR", values=_NOT_TO_EL3)
    MECEn = Field(49, doc="MECID registers of EL2", values=_NOT_TO_EL3)
    GPF = Field(48, doc="granule protection faults are taken to EL3", values=NO_YES)
    D128En = Field(47, doc="128-bit registers", values=_NOT_TO_EL3)
    AIEn = Field(46, doc="MAIR2_ELx, AMAIR2_ELx", values=_NOT_TO_EL3)
    PIEn = Field(45, doc="permission indirection and overlay registers", values=_NOT_TO_EL3)
    SCTLR2En = Field(44, doc="SCTLR2_ELx", values=_NOT_TO_EL3)
    TCR2En = Field(43, doc="TCR2_ELx", values=_NOT_TO_EL3)
    RCWMASKEn = Field(42, doc="RCWMASK_EL1, RCWSMASK_EL1", values=_NOT_TO_EL3)
    EnTP2 = Field(41, doc="TPIDR2_EL0", values=_NOT_TO_EL3)
    TRNDR = Field(40, doc="reads of RNDR and RNDRRS", values=_TO_EL3)
    GCSEn = Field(39, doc="Guarded Control Stack, and its registers", values={0: "off, and trapped to EL3", 1: "on"})
    HXEn = Field(38, doc="HCRX_EL2", values={0: "as 0, and trapped to EL3", 1: "in use"})
    ADEn = Field(37, doc="ACCDATA_EL1", values=_NOT_TO_EL3)
    EnAS0 = Field(36, doc="ST64BV0", values=_NOT_TO_EL3)
    AMVOFFEN = Field(35, doc="virtual offsets of activity monitors", values=_NOT_TO_EL3)
    TME = Field(34, doc="transactions below EL3", values=OFF_ON)
    TWEDEL = Field((33, 30), doc="TWE delay")
    TWEDEn = Field(29, doc="TWE delay enable", values=OFF_ON)
    ECVEn = Field(28, doc="CNTPOFF_EL2", values=_NOT_TO_EL3)
    FGTEn = Field(27, doc="fine-grained traps", values={0: "off, and trapped to EL3", 1: "on"})
    ATA = Field(26, doc="allocation tag access below EL3", values=_NOT_TO_EL3)
    EnSCXT = Field(25, doc="SCXTNUM_ELx", values=_NOT_TO_EL3)
    TID5 = Field(23, doc="GMID_EL1", values=_TO_EL3)
    TID3 = Field(22, doc="identification registers, group 3", values=_TO_EL3)
    FIEN = Field(21, doc="RAS fault injection registers", values=_NOT_TO_EL3)
    NMEA = Field(20, doc="SErrors at EL3 are not maskable", values=NO_YES)
    EASE = Field(19, doc="external aborts to EL3 use the vector of SError", values=NO_YES)
    EEL2 = Field(18, doc="Secure EL2 is in use", values=NO_YES)
    API = Field(17, doc="pointer authentication instructions", values=_NOT_TO_EL3)
    APK = Field(16, doc="pointer authentication keys", values=_NOT_TO_EL3)
    TERR = Field(15, doc="error record registers", values=_TO_EL3)
    TLOR = Field(14, doc="limited ordering registers", values=_TO_EL3)
    TWE = Field(13, doc="WFE", values=_TO_EL3)
    TWI = Field(12, doc="WFI", values=_TO_EL3)
    ST = Field(11, doc="secure physical timer at Secure EL1", values=_NOT_TO_EL3)
    RW = Field(10, doc="the next lower level is AArch64", values=NO_YES)
    SIF = Field(9, doc="no fetch from Non-secure memory in Secure state", values=OFF_ON)
    HCE = Field(8, doc="HVC", values={0: "UNDEFINED", 1: "enabled"})
    SMD = Field(7, doc="SMC", values={0: "enabled", 1: "UNDEFINED"})
    EA = Field(3, doc="external aborts and SErrors are taken to EL3", values=NO_YES)
    FIQ = Field(2, doc="FIQ is taken to EL3", values=NO_YES)
    IRQ = Field(1, doc="IRQ is taken to EL3", values=NO_YES)
    NS = Field(0, doc="Non-secure", values=NO_YES)


class GPCCR_EL3(Word):
    """Granule Protection Check Control Register (FEAT_RME)."""

    GPCBW = Field(29, doc="bypass window of the check", values=OFF_ON)
    NA7 = Field(28, doc="a granule may be of no access, 0b0111", values=NO_YES)
    NA6 = Field(27, doc="a granule may be of no access, 0b0110", values=NO_YES)
    NSP = Field(26, doc="a granule may be of Non-secure protected memory", values=NO_YES)
    SA = Field(25, doc="a granule may be of the system agent", values=NO_YES)
    APPSAA = Field(24, doc="above the protected address space all may access", values=NO_YES)
    L0GPTSZ = Field((23, 20), doc="what a level 0 entry covers", values={0: "1GB", 4: "16GB", 6: "64GB", 9: "512GB"})
    NSO = Field(19, doc="a granule may be Non-secure only", values=NO_YES)
    TBGPCD = Field(18, doc="trace buffer writes are not checked", values=NO_YES)
    GPCP = Field(17, doc="a granule protection fault on a table walk is a fault of the walk", values=NO_YES)
    GPC = Field(16, doc="granule protection checks", values=OFF_ON)
    PGS = Field((15, 14), doc="granule", values={0: "4KB", 1: "64KB", 2: "16KB"})
    SH = Field((13, 12), doc="shareability of the fetches", values=SHAREABILITY)
    ORGN = Field((11, 10), doc="outer cacheability of the fetches", values=WALK_CACHEABILITY)
    IRGN = Field((9, 8), doc="inner cacheability of the fetches", values=WALK_CACHEABILITY)
    SPAD = Field(7, doc="Secure physical addresses are disabled", values=NO_YES)
    NSPAD = Field(6, doc="Non-secure physical addresses are disabled", values=NO_YES)
    RLPAD = Field(5, doc="Realm physical addresses are disabled", values=NO_YES)
    PPS3 = Field(3, doc="top bit of PPS")
    PPS = Field((2, 0), doc="protected physical address size", values=PHYSICAL_ADDRESS_SIZE)


class DACR32_EL2(Word):
    """Domain Access Control Register of an EL1 in AArch32 state."""

    DACR = Field((31, 0), doc="what is checked of an access, two bits for each domain")
