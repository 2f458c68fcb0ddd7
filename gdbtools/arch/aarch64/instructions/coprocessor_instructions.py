"""Write out an AArch32 System register access that trapped to AArch64, and name its target, from the encoding.

Source: Arm ARM (DDI 0487), "The AArch32 System register interface": "Organization of registers in the (coproc==0b1110)
encoding space" and "in the (coproc==0b1111) encoding space", in numerical order.
"""

from __future__ import annotations

from collections.abc import Mapping

from gdbtools.arch.aarch64.registers.system_register_names import register_name

__all__ = [
    "coprocessor_assembly",
    "coprocessor_name",
    "coprocessor_pair_assembly",
    "coprocessor_pair_name",
]

_NO_NAME = "-"
_FLOATING_POINT, _DEBUG, _SYSTEM = 10, 14, 15

# What is read and what is written at one encoding, where the two are different registers.
_READ: Mapping[tuple[int, ...], str] = {(14, 0, 0, 5, 0): "DBGDTRRXint"}
_WRITTEN: Mapping[tuple[int, ...], str] = {(14, 0, 0, 5, 0): "DBGDTRTXint"}

# By coproc, opc1, CRn and CRm: the names for opc2 from 0.  A pair of names is one register under two translation
# table formats, the Short-descriptor's first.
_NAMES: Mapping[tuple[int, ...], str] = {
    # Floating-point identification and control, which `VMRS` and `VMSR` have: CRn is the register.
    (10, 7, 0, 0): "FPSID",
    (10, 7, 1, 0): "FPSCR",
    (10, 7, 5, 0): "MVFR2",
    (10, 7, 6, 0): "MVFR1",
    (10, 7, 7, 0): "MVFR0",
    (10, 7, 8, 0): "FPEXC",
    # Debug; of the trace registers see `coprocessor_name`.
    (14, 0, 0, 0): "DBGDIDR - DBGDTRRXext - DBGBVR0 DBGBCR0 DBGWVR0 DBGWCR0",
    (14, 0, 0, 1): "DBGDSCRint - - - DBGBVR1 DBGBCR1 DBGWVR1 DBGWCR1",
    (14, 0, 0, 2): "DBGDCCINT - DBGDSCRext - DBGBVR2 DBGBCR2 DBGWVR2 DBGWCR2",
    (14, 0, 0, 3): "- - DBGDTRTXext - DBGBVR3 DBGBCR3 DBGWVR3 DBGWCR3",
    (14, 0, 0, 4): "- - - - DBGBVR4 DBGBCR4 DBGWVR4 DBGWCR4",
    (14, 0, 0, 5): "- - - - DBGBVR5 DBGBCR5 DBGWVR5 DBGWCR5",
    (14, 0, 0, 6): "DBGWFAR - DBGOSECCR - DBGBVR6 DBGBCR6 DBGWVR6 DBGWCR6",
    (14, 0, 0, 7): "DBGVCR - - - DBGBVR7 DBGBCR7 DBGWVR7 DBGWCR7",
    (14, 0, 0, 8): "- - - - DBGBVR8 DBGBCR8 DBGWVR8 DBGWCR8",
    (14, 0, 0, 9): "- - - - DBGBVR9 DBGBCR9 DBGWVR9 DBGWCR9",
    (14, 0, 0, 10): "- - - - DBGBVR10 DBGBCR10 DBGWVR10 DBGWCR10",
    (14, 0, 0, 11): "- - - - DBGBVR11 DBGBCR11 DBGWVR11 DBGWCR11",
    (14, 0, 0, 12): "- - - - DBGBVR12 DBGBCR12 DBGWVR12 DBGWCR12",
    (14, 0, 0, 13): "- - - - DBGBVR13 DBGBCR13 DBGWVR13 DBGWCR13",
    (14, 0, 0, 14): "- - - - DBGBVR14 DBGBCR14 DBGWVR14 DBGWCR14",
    (14, 0, 0, 15): "- - - - DBGBVR15 DBGBCR15 DBGWVR15 DBGWCR15",
    (14, 0, 1, 0): "DBGDRAR DBGBXVR0 - - DBGOSLAR",
    (14, 0, 1, 1): "- DBGBXVR1 - - DBGOSLSR",
    (14, 0, 1, 2): "- DBGBXVR2",
    (14, 0, 1, 3): "- DBGBXVR3 - - DBGOSDLR",
    (14, 0, 1, 4): "- DBGBXVR4 - - DBGPRCR",
    **{(14, 0, 1, number): f"- DBGBXVR{number}" for number in range(5, 16)},
    (14, 0, 2, 0): "DBGDSAR",
    (14, 0, 7, 0): "- - - - - - - DBGDEVID2",
    (14, 0, 7, 1): "- - - - - - - DBGDEVID1",
    (14, 0, 7, 2): "- - - - - - - DBGDEVID",
    (14, 0, 7, 8): "- - - - - - DBGCLAIMSET",
    (14, 0, 7, 9): "- - - - - - DBGCLAIMCLR",
    (14, 0, 7, 14): "- - - - - - DBGAUTHSTATUS",
    (14, 6, 0, 0): "TEECR",
    (14, 6, 1, 0): "TEEHBR",
    (14, 7, 0, 0): "JIDR",
    (14, 7, 1, 0): "JOSCR",
    (14, 7, 2, 0): "JMCR",
    # Identification
    (15, 0, 0, 0): "MIDR CTR TCMTR TLBTR - MPIDR REVIDR",
    (15, 0, 0, 1): "ID_PFR0 ID_PFR1 ID_DFR0 ID_AFR0 ID_MMFR0 ID_MMFR1 ID_MMFR2 ID_MMFR3",
    (15, 0, 0, 2): "ID_ISAR0 ID_ISAR1 ID_ISAR2 ID_ISAR3 ID_ISAR4 ID_ISAR5 ID_MMFR4 ID_ISAR6",
    (15, 0, 0, 3): "- - - - ID_PFR2 ID_DFR1 ID_MMFR5",
    (15, 1, 0, 0): "CCSIDR CLIDR CCSIDR2 - - - - AIDR",
    (15, 2, 0, 0): "CSSELR",
    (15, 4, 0, 0): "VPIDR - - - - VMPIDR",
    # Control
    (15, 0, 1, 0): "SCTLR ACTLR CPACR ACTLR2",
    (15, 0, 1, 1): "SCR SDER NSACR",
    (15, 0, 1, 2): "- TRFCR",
    (15, 0, 1, 3): "- SDCR",
    (15, 4, 1, 0): "HSCTLR HACTLR - HACTLR2",
    (15, 4, 1, 1): "HCR HDCR HCPTR HSTR HCR2 - - HACR",
    (15, 4, 1, 2): "- HTRFCR",
    # Translation tables and domains
    (15, 0, 2, 0): "TTBR0 TTBR1 TTBCR TTBCR2",
    (15, 4, 2, 0): "- - HTCR",
    (15, 4, 2, 1): "- - VTCR",
    (15, 0, 3, 0): "DACR",
    # The GIC's mask, and the registers of Debug state
    (15, 0, 4, 6): "ICC_PMR",
    (15, 3, 4, 5): "DSPSR DLR DSPSR2",
    # Faults and errors
    (15, 0, 5, 0): "DFSR IFSR",
    (15, 0, 5, 1): "ADFSR AIFSR",
    (15, 0, 5, 3): "ERRIDR ERRSELR",
    (15, 0, 5, 4): "ERXFR ERXCTLR ERXSTATUS ERXADDR ERXFR2 ERXCTLR2 - ERXADDR2",
    (15, 0, 5, 5): "ERXMISC0 ERXMISC1 ERXMISC4 ERXMISC5 ERXMISC2 ERXMISC3 ERXMISC6 ERXMISC7",
    (15, 4, 5, 1): "HADFSR HAIFSR",
    (15, 4, 5, 2): "HSR - - VDFSR",
    (15, 0, 6, 0): "DFAR - IFAR",
    (15, 4, 6, 0): "HDFAR - HIFAR - HPFAR",
    # Caches, branch predictors and address translation
    (15, 0, 7, 1): "ICIALLUIS - - - - - BPIALLIS",
    (15, 0, 7, 3): "- - - - CFPRCTX DVPRCTX COSPRCTX CPPRCTX",
    (15, 0, 7, 4): "PAR",
    (15, 0, 7, 5): "ICIALLU ICIMVAU - - CP15ISB - BPIALL BPIMVA",
    (15, 0, 7, 6): "- DCIMVAC DCISW",
    (15, 0, 7, 8): "ATS1CPR ATS1CPW ATS1CUR ATS1CUW ATS12NSOPR ATS12NSOPW ATS12NSOUR ATS12NSOUW",
    (15, 0, 7, 9): "ATS1CPRP ATS1CPWP",
    (15, 0, 7, 10): "- DCCMVAC DCCSW - CP15DSB CP15DMB",
    (15, 0, 7, 11): "- DCCMVAU",
    (15, 0, 7, 14): "- DCCIMVAC DCCISW",
    (15, 4, 7, 8): "ATS1HR ATS1HW",
    # TLBs
    (15, 0, 8, 3): "TLBIALLIS TLBIMVAIS TLBIASIDIS TLBIMVAAIS - TLBIMVALIS - TLBIMVAALIS",
    (15, 0, 8, 5): "ITLBIALL ITLBIMVA ITLBIASID",
    (15, 0, 8, 6): "DTLBIALL DTLBIMVA DTLBIASID",
    (15, 0, 8, 7): "TLBIALL TLBIMVA TLBIASID TLBIMVAA - TLBIMVAL - TLBIMVAAL",
    (15, 4, 8, 0): "- TLBIIPAS2IS - - - TLBIIPAS2LIS",
    (15, 4, 8, 3): "TLBIALLHIS TLBIMVAHIS - - TLBIALLNSNHIS TLBIMVALHIS",
    (15, 4, 8, 4): "- TLBIIPAS2 - - - TLBIIPAS2L",
    (15, 4, 8, 7): "TLBIALLH TLBIMVAH - - TLBIALLNSNH TLBIMVALH",
    # Performance Monitors
    (15, 0, 9, 12): "PMCR PMCNTENSET PMCNTENCLR PMOVSR PMSWINC PMSELR PMCEID0 PMCEID1",
    (15, 0, 9, 13): "PMCCNTR PMXEVTYPER PMXEVCNTR",
    (15, 0, 9, 14): "PMUSERENR PMINTENSET PMINTENCLR PMOVSSET PMCEID2 PMCEID3 PMMIR",
    # Memory attributes
    (15, 0, 10, 2): "PRRR/MAIR0 NMRR/MAIR1",
    (15, 0, 10, 3): "AMAIR0 AMAIR1",
    (15, 4, 10, 2): "HMAIR0 HMAIR1",
    (15, 4, 10, 3): "HAMAIR0 HAMAIR1",
    # Vectors, and the GIC
    (15, 0, 12, 0): "VBAR MVBAR RMR",
    (15, 0, 12, 1): "ISR DISR",
    (15, 0, 12, 8): "ICC_IAR0 ICC_EOIR0 ICC_HPPIR0 ICC_BPR0 ICC_AP0R0 ICC_AP0R1 ICC_AP0R2 ICC_AP0R3",
    (15, 0, 12, 9): "ICC_AP1R0 ICC_AP1R1 ICC_AP1R2 ICC_AP1R3",
    (15, 0, 12, 11): "- ICC_DIR - ICC_RPR",
    (15, 0, 12, 12): "ICC_IAR1 ICC_EOIR1 ICC_HPPIR1 ICC_BPR1 ICC_CTLR ICC_SRE ICC_IGRPEN0 ICC_IGRPEN1",
    (15, 4, 12, 0): "HVBAR - HRMR",
    (15, 4, 12, 1): "- VDISR",
    (15, 4, 12, 8): "ICH_AP0R0 ICH_AP0R1 ICH_AP0R2 ICH_AP0R3",
    (15, 4, 12, 9): "ICH_AP1R0 ICH_AP1R1 ICH_AP1R2 ICH_AP1R3 - ICC_HSRE",
    (15, 4, 12, 11): "ICH_HCR ICH_VTR ICH_MISR ICH_EISR - ICH_ELRSR - ICH_VMCR",
    (15, 4, 12, 12): "ICH_LR0 ICH_LR1 ICH_LR2 ICH_LR3 ICH_LR4 ICH_LR5 ICH_LR6 ICH_LR7",
    (15, 4, 12, 13): "ICH_LR8 ICH_LR9 ICH_LR10 ICH_LR11 ICH_LR12 ICH_LR13 ICH_LR14 ICH_LR15",
    (15, 4, 12, 14): "ICH_LRC0 ICH_LRC1 ICH_LRC2 ICH_LRC3 ICH_LRC4 ICH_LRC5 ICH_LRC6 ICH_LRC7",
    (15, 4, 12, 15): "ICH_LRC8 ICH_LRC9 ICH_LRC10 ICH_LRC11 ICH_LRC12 ICH_LRC13 ICH_LRC14 ICH_LRC15",
    (15, 6, 12, 12): "- - - - ICC_MCTLR ICC_MSRE - ICC_MGRPEN1",
    # Process and thread identifiers, and the Activity Monitors
    (15, 0, 13, 0): "FCSEIDR CONTEXTIDR TPIDRURW TPIDRURO TPIDRPRW",
    (15, 4, 13, 0): "- - HTPIDR",
    (15, 0, 13, 2): "AMCR AMCFGR AMCGCR AMUSERENR AMCNTENCLR0 AMCNTENSET0",
    (15, 0, 13, 3): "AMCNTENCLR1 AMCNTENSET1",
    (15, 0, 13, 6): "AMEVTYPER00 AMEVTYPER01 AMEVTYPER02 AMEVTYPER03",
    (15, 0, 13, 14): "AMEVTYPER10 AMEVTYPER11 AMEVTYPER12 AMEVTYPER13 AMEVTYPER14 AMEVTYPER15 AMEVTYPER16 AMEVTYPER17",
    (15, 0, 13, 15): (
        "AMEVTYPER18 AMEVTYPER19 AMEVTYPER110 AMEVTYPER111 AMEVTYPER112 AMEVTYPER113 AMEVTYPER114 AMEVTYPER115"
    ),
    # Timers
    (15, 0, 14, 0): "CNTFRQ",
    (15, 0, 14, 1): "CNTKCTL",
    (15, 0, 14, 2): "CNTP_TVAL CNTP_CTL",
    (15, 0, 14, 3): "CNTV_TVAL CNTV_CTL",
    (15, 0, 14, 15): "- - - - - - - PMCCFILTR",
    (15, 4, 14, 1): "CNTHCTL",
    (15, 4, 14, 2): "CNTHP_TVAL CNTHP_CTL",
}
# The event counters of `c14`, eight to a CRm; where the 31st would be is PMCCFILTR, or nothing.
_EVENT_COUNTERS = range(31)

# Of 64 bits, by coproc and CRm: the names for opc1 from 0.
_PAIR_NAMES: Mapping[tuple[int, int], str] = {
    (14, 1): "DBGDRAR",
    (14, 2): "DBGDSAR",
    (15, 0): "AMEVCNTR00 AMEVCNTR01 AMEVCNTR02 AMEVCNTR03",
    (15, 2): "TTBR0 TTBR1 - - HTTBR - VTTBR",
    (15, 4): "AMEVCNTR10 AMEVCNTR11 AMEVCNTR12 AMEVCNTR13 AMEVCNTR14 AMEVCNTR15 AMEVCNTR16 AMEVCNTR17",
    (15, 5): "AMEVCNTR18 AMEVCNTR19 AMEVCNTR110 AMEVCNTR111 AMEVCNTR112 AMEVCNTR113 AMEVCNTR114 AMEVCNTR115",
    (15, 7): "PAR",
    (15, 9): "PMCCNTR",
    (15, 12): "ICC_SGI1R ICC_ASGI1R ICC_SGI0R",
    (15, 14): "CNTPCT CNTVCT CNTP_CVAL CNTV_CVAL CNTVOFF - CNTHP_CVAL - CNTPCTSS CNTVCTSS",
}


def _at(names: str, index: int) -> str:
    each = names.split()
    return each[index] if index < len(each) and each[index] != _NO_NAME else ""


def _numbered(name: str, number: int) -> str:
    return f"{name}{number}" if number in _EVENT_COUNTERS else ""


def coprocessor_name(coproc: int, opc1: int, CRn: int, CRm: int, opc2: int, read: bool) -> str:
    """Name what `MCR`, `MRC`, `VMSR` or `VMRS` accesses or does: `SCTLR`, `DCCISW`; "" where it has no name.

    The trace registers are at the encodings that they have in AArch64.
    """
    encoding = (coproc, opc1, CRn, CRm, opc2)
    directed = (_READ if read else _WRITTEN).get(encoding)
    found = directed or _at(_NAMES.get(encoding[:-1], ""), opc2)
    if found:
        return found
    if (coproc, opc1) == (_DEBUG, 1):
        name = register_name(2, opc1, CRn, CRm, opc2, read)
        return name if name.startswith("TRC") else ""
    if (coproc, opc1, CRn) == (_SYSTEM, 0, 14) and CRm >= 8:
        return _numbered("PMEVCNTR" if CRm < 12 else "PMEVTYPER", CRm % 4 * 8 + opc2)
    return ""


def coprocessor_pair_name(coproc: int, opc1: int, CRm: int) -> str:
    """Name what `MCRR` or `MRRC` accesses: `TTBR0`, `CNTPCT`; "" where it has no name."""
    return _at(_PAIR_NAMES.get((coproc, CRm), ""), opc1)


def _r(held_in: int, read: bool) -> str:
    from gdbtools.arch.aarch64.registers import aarch32_registers  # not before there is an instruction of AArch32

    number = aarch32_registers.number(held_in)
    return "APSR_nzcv" if read and number == aarch32_registers.PC else f"R{number}"


def coprocessor_assembly(coproc: int, opc1: int, CRn: int, CRm: int, opc2: int, rt: int, read: bool) -> str:
    """Write the whole instruction: `MCR p15, 0, R3, c7, c14, 2`, `VMRS R0, MVFR0`.

    `rt` is as an ISS has it: the number of the AArch64 register that holds the AArch32 one.
    """
    if coproc == _FLOATING_POINT:
        register = coprocessor_name(coproc, opc1, CRn, CRm, opc2, read)
        if register:
            return f"VMRS {_r(rt, read)}, {register}" if read else f"VMSR {register}, {_r(rt, read)}"
    return f"{'MRC' if read else 'MCR'} p{coproc}, {opc1}, {_r(rt, read)}, c{CRn}, c{CRm}, {opc2}"


def coprocessor_pair_assembly(coproc: int, opc1: int, CRm: int, rt: int, rt2: int, read: bool) -> str:
    """Write the whole instruction of two registers: `MRRC p15, 0, R0, R1, c2`; `rt` and `rt2` as an ISS has them."""
    return f"{'MRRC' if read else 'MCRR'} p{coproc}, {opc1}, {_r(rt, False)}, {_r(rt2, False)}, c{CRm}"
