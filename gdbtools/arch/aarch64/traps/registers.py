"""The registers that say which instructions trap, as the Arm ARM (DDI 0487) lays them out.

Source of every class: the section of its own name in "AArch64 System Register Descriptions".  HCR_EL2, HCRX_EL2 and
SCR_EL3 are in `hypervisor`, SCTLR_ELx in `registers`, and what traps one register or instruction in
`fine_grained`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.aarch64.registers import translation
from gdbtools.bits import NO_YES, OFF_ON, Field, Word

TRAPPED = {0: "not trapped", 1: "trapped"}
ENABLED = {0: "trapped", 1: "not trapped"}
# CPACR_EL1.FPEN and its like: at which levels, of those that the register speaks for, the instructions trap.
_LEVELS = {0b00: "trapped", 0b01: "trapped at EL0", 0b10: "trapped", 0b11: "not trapped"}


class SCTLR2_EL3(Word):
    """System Control Register 2 (EL3)."""

    BTD = Field(24, doc="branch target identification is disabled", values=NO_YES)
    CPTM = Field(11, doc="checked pointer arithmetic of multiplication", values=OFF_ON)
    CPTA = Field(9, doc="checked pointer arithmetic of addition", values=OFF_ON)
    EnPACM = Field(7, doc="PACM", values=OFF_ON)
    EnANERR = Field(4, doc="errors of Normal reads may be asynchronous", values=NO_YES)
    EnADERR = Field(3, doc="errors of Device reads may be asynchronous", values=NO_YES)
    EMEC = Field(1, doc="memory encryption contexts", values=OFF_ON)


class _SCTLR2(Word):
    TLBOSNIS = Field(26, doc="TLB maintenance, Outer Shareable, is not Inner Shareable's", values=NO_YES)
    FDIT = Field(25, doc="data independent timing is forced", values=NO_YES)
    BTD = Field(24, doc="branch target identification is disabled", values=NO_YES)
    BTD0 = Field(23, doc="branch target identification is disabled at EL0", values=NO_YES)
    EnIA2 = Field(22, doc="pointer authentication, instruction key A, second set", values=OFF_ON)
    EnIB2 = Field(21, doc="pointer authentication, instruction key B, second set", values=OFF_ON)
    EnDA2 = Field(20, doc="pointer authentication, data key A, second set", values=OFF_ON)
    EnDB2 = Field(19, doc="pointer authentication, data key B, second set", values=OFF_ON)
    CPTM0 = Field(12, doc="checked pointer arithmetic of multiplication at EL0", values=OFF_ON)
    CPTM = Field(11, doc="checked pointer arithmetic of multiplication", values=OFF_ON)
    CPTA0 = Field(10, doc="checked pointer arithmetic of addition at EL0", values=OFF_ON)
    CPTA = Field(9, doc="checked pointer arithmetic of addition", values=OFF_ON)
    EnPACM0 = Field(8, doc="PACM at EL0", values=OFF_ON)
    EnPACM = Field(7, doc="PACM", values=OFF_ON)
    EnIDCP128 = Field(6, doc="IMPLEMENTATION DEFINED 128-bit registers at EL0", values=ENABLED)
    EASE = Field(5, doc="external aborts use the vector of SError", values=NO_YES)
    EnANERR = Field(4, doc="errors of Normal reads may be asynchronous", values=NO_YES)
    EnADERR = Field(3, doc="errors of Device reads may be asynchronous", values=NO_YES)
    NMEA = Field(2, doc="SErrors are not maskable", values=NO_YES)


class SCTLR2_EL1(_SCTLR2):
    """System Control Register 2 (EL1)."""


class SCTLR2_EL2(_SCTLR2):
    """System Control Register 2 (EL2); what is about EL0 counts under HCR_EL2.E2H only."""

    EMEC = Field(1, doc="memory encryption contexts", values=OFF_ON)


class CPACR_EL1(Word):
    """Architectural Feature Access Control Register: CPTR_EL2 under HCR_EL2.E2H is laid out like it."""

    TCPAC = Field(31, doc="CPACR_EL1 at EL1", values=TRAPPED)
    TAM = Field(30, doc="activity monitors", values=TRAPPED)
    E0POE = Field(29, doc="POR_EL0 at EL0", values=ENABLED)
    TTA = Field(28, doc="trace registers", values=TRAPPED)
    SMEN = Field((25, 24), doc="SME instructions", values=_LEVELS)
    FPEN = Field((21, 20), doc="Advanced SIMD and floating-point", values=_LEVELS)
    ZEN = Field((17, 16), doc="SVE instructions", values=_LEVELS)


class CPTR_EL2(Word):
    """Architectural Feature Trap Register (EL2) while HCR_EL2.E2H is clear."""

    TCPAC = Field(31, doc="CPACR_EL1", values=TRAPPED)
    TAM = Field(30, doc="activity monitors", values=TRAPPED)
    TTA = Field(20, doc="trace registers", values=TRAPPED)
    TSM = Field(12, doc="SME instructions", values=TRAPPED)
    TFP = Field(10, doc="Advanced SIMD and floating-point", values=TRAPPED)
    TZ = Field(8, doc="SVE instructions", values=TRAPPED)


class CPTR_EL3(Word):
    """Architectural Feature Trap Register (EL3)."""

    TCPAC = Field(31, doc="CPACR_EL1, CPTR_EL2", values=TRAPPED)
    TAM = Field(30, doc="activity monitors", values=TRAPPED)
    TTA = Field(20, doc="trace registers", values=TRAPPED)
    ESM = Field(12, doc="SME instructions", values=ENABLED)
    TFP = Field(10, doc="Advanced SIMD and floating-point", values=TRAPPED)
    EZ = Field(8, doc="SVE instructions", values=ENABLED)


class MDCR_EL2(Word):
    """Monitor Debug Configuration Register (EL2)."""

    EnSTEPOP = Field(50, doc="MDSTEPOP_EL1", values=ENABLED)
    EBWE = Field(43, doc="extended breakpoints and watchpoints, MDSELR_EL1", values=ENABLED)
    PMEE = Field((41, 40), doc="profiling exception of the performance monitors")
    HPMFZS = Field(36, doc="EL2's event counters freeze on a profiling buffer event", values=NO_YES)
    PMSSE = Field((31, 30), doc="performance monitors snapshot")
    HPMFZO = Field(29, doc="EL2's event counters freeze on overflow", values=NO_YES)
    MTPME = Field(28, doc="multi-threaded event counting", values=OFF_ON)
    TDCC = Field(27, doc="debug communications channel", values=TRAPPED)
    HLP = Field(26, doc="EL2's event counters overflow at 64 bits", values=NO_YES)
    E2TB = Field((25, 24), doc="owner of the trace buffer", values={0: "EL2, trapped", 2: "EL1, trapped", 3: "EL1"})
    HCCD = Field(23, doc="the cycle counter stops at EL2", values=NO_YES)
    TTRF = Field(19, doc="trace filter controls", values=TRAPPED)
    HPMD = Field(17, doc="event counting stops at EL2", values=NO_YES)
    EnSPM = Field(15, doc="system performance monitors", values=ENABLED)
    TPMS = Field(14, doc="statistical profiling controls", values=TRAPPED)
    E2PB = Field((13, 12), doc="owner of the profiling buffer", values={0: "EL2, trapped", 2: "EL1, trapped", 3: "EL1"})
    TDRA = Field(11, doc="debug ROM address registers", values=TRAPPED)
    TDOSA = Field(10, doc="OS lock and powerdown registers", values=TRAPPED)
    TDA = Field(9, doc="debug registers", values=TRAPPED)
    TDE = Field(8, doc="debug exceptions are taken to EL2, and debug registers trapped", values=NO_YES)
    HPME = Field(7, doc="EL2's event counters", values=OFF_ON)
    TPM = Field(6, doc="performance monitors", values=TRAPPED)
    TPMCR = Field(5, doc="PMCR_EL0", values=TRAPPED)
    HPMN = Field((4, 0), doc="number of event counters that EL1 and EL0 may access")


class MDCR_EL3(Word):
    """Monitor Debug Configuration Register (EL3)."""

    EnPMS4 = Field(55, doc="statistical profiling registers of SPE v1.5", values=ENABLED)
    TRBEE = Field((54, 53), doc="profiling exception of the trace buffer")
    PMSEE = Field((52, 51), doc="profiling exception of statistical profiling")
    EnSTEPOP = Field(50, doc="MDSTEPOP_EL1", values=ENABLED)
    ETBAD = Field((49, 48), doc="external access to the trace buffer")
    EnITE = Field(47, doc="instrumentation trace registers", values=ENABLED)
    EPMSSAD = Field((46, 45), doc="external access to the snapshot registers")
    EnPMSS = Field(44, doc="performance monitors snapshot registers", values=ENABLED)
    EBWE = Field(43, doc="extended breakpoints and watchpoints, MDSELR_EL1", values=ENABLED)
    EnPMS3 = Field(42, doc="PMSDSFR_EL1", values=ENABLED)
    PMEE = Field((41, 40), doc="profiling exception of the performance monitors")
    EnTB2 = Field(39, doc="TRBMPAM_EL1", values=ENABLED)
    E3BREC = Field(38, doc="branch records at EL3", values=NO_YES)
    E3BREW = Field(37, doc="branch recording at EL3 on exceptions", values=NO_YES)
    EnPMSN = Field(36, doc="PMSNEVFR_EL1", values=ENABLED)
    MPMX = Field(35, doc="event counting stops at EL3", values=NO_YES)
    MCCD = Field(34, doc="the cycle counter stops at EL3", values=NO_YES)
    SBRBE = Field((33, 32), doc="branch records", values={0: "trapped", 1: "trapped from Secure", 2: "trapped"})
    PMSSE = Field((31, 30), doc="performance monitors snapshot")
    MTPME = Field(28, doc="multi-threaded event counting", values=OFF_ON)
    TDCC = Field(27, doc="debug communications channel", values=TRAPPED)
    NSTBE = Field(26, doc="owner of the trace buffer, with NSTB")
    NSTB = Field((25, 24), doc="owner of the trace buffer")
    SCCD = Field(23, doc="the cycle counter stops in Secure state", values=NO_YES)
    ETAD = Field(22, doc="external access to the trace unit from Non-secure", values={0: "yes", 1: "no"})
    EPMAD = Field(21, doc="external access to performance monitors from Non-secure", values={0: "yes", 1: "no"})
    EDAD = Field(20, doc="external access to breakpoints from Non-secure", values={0: "yes", 1: "no"})
    TTRF = Field(19, doc="trace filter controls", values=TRAPPED)
    STE = Field(18, doc="trace of Secure state", values=OFF_ON)
    SPME = Field(17, doc="event counting in Secure state", values=OFF_ON)
    SDD = Field(16, doc="debug exceptions in Secure state are disabled", values=NO_YES)
    SPD32 = Field((15, 14), doc="debug exceptions in Secure AArch32")
    NSPB = Field((13, 12), doc="owner of the profiling buffer")
    NSPBE = Field(11, doc="owner of the profiling buffer, with NSPB")
    TDOSA = Field(10, doc="OS lock and powerdown registers", values=TRAPPED)
    TDA = Field(9, doc="debug registers", values=TRAPPED)
    EnPM2 = Field(7, doc="performance monitors of PMUv3p9, system performance monitors", values=ENABLED)
    TPM = Field(6, doc="performance monitors", values=TRAPPED)
    EDADE = Field(4, doc="external access to breakpoints, with EDAD")
    ETADE = Field(3, doc="external access to the trace unit, with ETAD")
    EPMADE = Field(2, doc="external access to performance monitors, with EPMAD")
    RLTE = Field(0, doc="trace of Realm state", values=OFF_ON)


class MDSCR_EL1(Word):
    """Monitor Debug System Control Register."""

    EnSTEPOP = Field(50, doc="step of an opcode", values=OFF_ON)
    EHBWE = Field(35, doc="extended breakpoints and watchpoints for a debugger", values=OFF_ON)
    EnSPM = Field(34, doc="system performance monitors at EL0", values=ENABLED)
    TTA = Field(33, doc="trace registers, to a debugger", values=NO_YES)
    EMBWE = Field(32, doc="extended breakpoints and watchpoints", values=OFF_ON)
    TFO = Field(31, doc="trace filter override", values=NO_YES)
    RXfull = Field(30, doc="EDSCR.RXfull, saved")
    TXfull = Field(29, doc="EDSCR.TXfull, saved")
    RXO = Field(27, doc="EDSCR.RXO, saved")
    TXU = Field(26, doc="EDSCR.TXU, saved")
    INTdis = Field((23, 22), doc="EDSCR.INTdis, saved")
    TDA = Field(21, doc="EDSCR.TDA, saved")
    SC2 = Field(19, doc="EDSCR.SC2, saved")
    MDE = Field(15, doc="breakpoints, watchpoints and vector catches", values=OFF_ON)
    HDE = Field(14, doc="EDSCR.HDE, saved")
    KDE = Field(13, doc="debug exceptions of the level that takes them", values=OFF_ON)
    TDCC = Field(12, doc="debug communications channel at EL0", values=TRAPPED)
    ERR = Field(6, doc="EDSCR.ERR, saved")
    SS = Field(0, doc="software step", values=OFF_ON)


class CNTKCTL_EL1(Word):
    """Counter-timer Kernel Control Register; CNTHCTL_EL2 under HCR_EL2.E2H is laid out like it.

    In CNTKCTL_EL1 itself bits [19:18] and [16:10] are software's, or reserved without FEAT_NV2p1.
    """

    CNTPMASK = Field(19, doc="physical timer interrupt", values={0: "not masked", 1: "masked"})
    CNTVMASK = Field(18, doc="virtual timer interrupt", values={0: "not masked", 1: "masked"})
    EVNTIS = Field(17, doc="scale of EVNTI", values={0: "bits [15:0]", 1: "bits [23:8]"})
    EL1NVVCT = Field(16, doc="CNTV_CTL_EL02, CNTV_CVAL_EL02 at EL1", values=TRAPPED)
    EL1NVPCT = Field(15, doc="CNTP_CTL_EL02, CNTP_CVAL_EL02 at EL1", values=TRAPPED)
    EL1TVCT = Field(14, doc="virtual counter at EL1 and EL0", values=TRAPPED)
    EL1TVT = Field(13, doc="virtual timer at EL1 and EL0", values=TRAPPED)
    ECV = Field(12, doc="enhanced counter virtualization: the physical offset counts", values=OFF_ON)
    EL1PTEN = Field(11, doc="physical timer at EL1 and EL0", values=ENABLED)
    EL1PCTEN = Field(10, doc="physical counter at EL1 and EL0", values=ENABLED)
    EL0PTEN = Field(9, doc="physical timer at EL0", values=ENABLED)
    EL0VTEN = Field(8, doc="virtual timer at EL0", values=ENABLED)
    EVNTI = Field((7, 4), doc="bit of the counter that triggers the event stream")
    EVNTDIR = Field(3, doc="transition that triggers", values={0: "0 to 1", 1: "1 to 0"})
    EVNTEN = Field(2, doc="event stream", values=OFF_ON)
    EL0VCTEN = Field(1, doc="virtual counter at EL0", values=ENABLED)
    EL0PCTEN = Field(0, doc="physical counter at EL0", values=ENABLED)


class CNTHCTL_EL2(CNTKCTL_EL1):
    """Counter-timer Hypervisor Control Register while HCR_EL2.E2H is clear."""

    EL1PCTEN = Field(0, doc="physical counter at EL1 and EL0", values=ENABLED)
    EL1PCEN = Field(1, doc="physical timer at EL1 and EL0", values=ENABLED)
    EL1PTEN = EL0PTEN = EL0VTEN = EL0VCTEN = EL0PCTEN = None  # type: ignore[assignment]


HSTR_EL2 = type(
    "HSTR_EL2",
    (Word,),
    {
        "__doc__": "Hypervisor System Trap Register.",
        **{
            f"T{n}": Field(n, doc=f"AArch32 accesses to coprocessor register c{n}", values=TRAPPED)
            for n in range(16)
            if n not in (4, 14)
        },
    },
)


class PMUSERENR_EL0(Word):
    """Performance Monitors User Enable Register."""

    TID = Field(6, doc="identification registers at EL0", values=TRAPPED)
    IR = Field(5, doc="reads of the instruction counter at EL0", values=ENABLED)
    UEN = Field(4, doc="per-counter access, by PMUACR_EL1", values=OFF_ON)
    ER = Field(3, doc="reads of event counters at EL0, and PMSELR_EL0", values=ENABLED)
    CR = Field(2, doc="reads of the cycle counter at EL0", values=ENABLED)
    SW = Field(1, doc="software increments at EL0", values=ENABLED)
    EN = Field(0, doc="performance monitors at EL0", values=ENABLED)


class AMUSERENR_EL0(Word):
    """Activity Monitors User Enable Register."""

    EN = Field(0, doc="activity monitors at EL0", values=ENABLED)


class SMCR(Word):
    """SME Control Register (SMCR_ELx)."""

    FA64 = Field(31, doc="all A64 instructions in Streaming SVE mode", values=OFF_ON)
    EZT0 = Field(30, doc="ZT0", values=ENABLED)
    LEN = Field((3, 0), doc="effective Streaming SVE vector length, less one, in 128 bits")


class GCSCR(Word):
    """Guarded Control Stack Control Register (GCSCR_ELx)."""

    STREn = Field(9, doc="GCSSTR and GCSSTTR", values=ENABLED)
    PUSHMEn = Field(8, doc="GCSPUSHM", values=ENABLED)
    EXLOCKEN = Field(6, doc="exception state lock", values=OFF_ON)
    RVCHKEN = Field(5, doc="return value check", values=OFF_ON)
    PCRSEL = Field(0, doc="procedure calls use the stack", values=NO_YES)


class GCSCRE0_EL1(GCSCR):
    """Guarded Control Stack Control Register (EL0)."""

    nTR = Field(10, doc="reads of GCSPR_EL0 at EL0", values=ENABLED)
    EXLOCKEN = None  # type: ignore[assignment]


class ICC_SRE(Word):
    """Interrupt Controller System Register Enable Register (ICC_SRE_ELx)."""

    Enable = Field(3, doc="lower levels' ICC_SRE_ELx; reserved in ICC_SRE_EL1", values=ENABLED)
    DIB = Field(2, doc="IRQ bypass disabled", values=NO_YES)
    DFB = Field(1, doc="FIQ bypass disabled", values=NO_YES)
    SRE = Field(0, doc="System register interface", values={0: "trapped", 1: "in use"})


class ICH_HCR_EL2(Word):
    """Interrupt Controller Hyp Control Register."""

    EOIcount = Field((31, 27), doc="EOIs without a list register")
    DVIM = Field(15, doc="direct-injected interrupts are masked", values=NO_YES)
    TDIR = Field(14, doc="ICC_DIR_EL1 at EL1", values=TRAPPED)
    TSEI = Field(13, doc="local SEIs at EL1", values=TRAPPED)
    TALL1 = Field(12, doc="registers of Group 1 at EL1", values=TRAPPED)
    TALL0 = Field(11, doc="registers of Group 0 at EL1", values=TRAPPED)
    TC = Field(10, doc="registers common to both groups at EL1", values=TRAPPED)
    vSGIEOICount = Field(8, doc="EOIs of virtual SGIs do not count", values=NO_YES)
    VGrp1DIE = Field(7, doc="maintenance interrupt: Group 1 disabled", values=OFF_ON)
    VGrp1EIE = Field(6, doc="maintenance interrupt: Group 1 enabled", values=OFF_ON)
    VGrp0DIE = Field(5, doc="maintenance interrupt: Group 0 disabled", values=OFF_ON)
    VGrp0EIE = Field(4, doc="maintenance interrupt: Group 0 enabled", values=OFF_ON)
    NPIE = Field(3, doc="maintenance interrupt: nothing pending", values=OFF_ON)
    LRENPIE = Field(2, doc="maintenance interrupt: no entry for an EOI", values=OFF_ON)
    UIE = Field(1, doc="maintenance interrupt: underflow", values=OFF_ON)
    En = Field(0, doc="virtual CPU interface", values=OFF_ON)


class MPAM2_EL2(Word):
    """MPAM2 Register (EL2), of the first MPAM architecture."""

    MPAMEN = Field(63, doc="memory partitioning", values=OFF_ON)
    TIDR = Field(58, doc="MPAMIDR_EL1 at EL1", values=TRAPPED)
    ALTSP_HFC = Field(56, doc="hierarchical force of the alternative partition space")
    ALTSP_EL2 = Field(55, doc="alternative partition space at EL2")
    ALTSP_FRCD = Field(54, doc="alternative partition space is forced", values=NO_YES)
    EnMPAMSM = Field(50, doc="MPAMSM_EL1 at EL1", values=ENABLED)
    TRAPMPAM0EL1 = Field(49, doc="MPAM0_EL1 at EL1", values=TRAPPED)
    TRAPMPAM1EL1 = Field(48, doc="MPAM1_EL1 at EL1", values=TRAPPED)
    PMG_D = Field((47, 40), doc="monitoring group of data")
    PMG_I = Field((39, 32), doc="monitoring group of fetches")
    PARTID_D = Field((31, 16), doc="partition of data")
    PARTID_I = Field((15, 0), doc="partition of fetches")


class MPAMHCR_EL2(Word):
    """MPAM Hypervisor Control Register, of the first MPAM architecture."""

    TRAP_MPAMIDR_EL1 = Field(31, doc="MPAMIDR_EL1 at EL1", values=TRAPPED)
    GSTAPP_PLK = Field(8, doc="EL0's partition is EL1's", values=NO_YES)
    EL1_VPMEN = Field(1, doc="partitions of EL1 are virtual", values=NO_YES)
    EL0_VPMEN = Field(0, doc="partitions of EL0 are virtual", values=NO_YES)


DECLARED: Final[Mapping[str, type[Word]]] = {
    "SCTLR_EL2": translation.SCTLR_EL2,
    "SCTLR_EL3": translation.SCTLR_EL3,
    "SCTLR2_EL1": SCTLR2_EL1,
    "SCTLR2_EL2": SCTLR2_EL2,
    "SCTLR2_EL3": SCTLR2_EL3,
    "TCR2_EL1": translation.TCR2_EL1,
    "TCR2_EL2": translation.TCR2_EL2,
    "CPACR_EL1": CPACR_EL1,
    "CPTR_EL2": CPACR_EL1,
    "CPTR_EL3": CPTR_EL3,
    "MDCR_EL2": MDCR_EL2,
    "MDCR_EL3": MDCR_EL3,
    "MDSCR_EL1": MDSCR_EL1,
    "CNTHCTL_EL2": CNTKCTL_EL1,
    "CNTKCTL_EL1": CNTKCTL_EL1,
    "HSTR_EL2": HSTR_EL2,
    "PMUSERENR_EL0": PMUSERENR_EL0,
    "AMUSERENR_EL0": AMUSERENR_EL0,
    **{f"SMCR_EL{el}": SMCR for el in (1, 2, 3)},
    **{f"GCSCR_EL{el}": GCSCR for el in (1, 2, 3)},
    "GCSCRE0_EL1": GCSCRE0_EL1,
    **{f"ICC_SRE_EL{el}": ICC_SRE for el in (1, 2, 3)},
    "ICH_HCR_EL2": ICH_HCR_EL2,
    "MPAM2_EL2": MPAM2_EL2,
    "MPAMHCR_EL2": MPAMHCR_EL2,
}
"""The layouts of these registers; of EL2's, those under HCR_EL2.E2H."""
WITHOUT_HOST: Final[Mapping[str, type[Word]]] = {
    "SCTLR_EL2": translation.SCTLR_EL3,
    "CPTR_EL2": CPTR_EL2,
    "CNTHCTL_EL2": CNTHCTL_EL2,
}
"""What is laid out otherwise while HCR_EL2.E2H is clear."""
