"""The fine-grained trap registers: one field for each register or instruction that it traps.

Source of every register: the section of its own name in the Arm ARM (DDI 0487), "AArch64 System Register
Descriptions".  A field is named for what it traps; one whose name begins with `n` traps while it is clear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from gdbtools.arch.aarch64.traps.registers import ENABLED, TRAPPED
from gdbtools.bits import Field, Word

_RESERVED = "-"


def _traps(name: str, doc: str, verb: str, listed: str) -> type[Word]:
    """Make a register from the names of its bits, the lowest last; above the first there is nothing."""
    names = listed.split()
    fields = {
        each: Field(bit, doc=f"{verb} {each[1:] if is_enable(each) else each}", values=_values(each))
        for bit, each in enumerate(reversed(names))
        if each != _RESERVED
    }
    return type(name, (Word,), {"__doc__": doc, **fields})


def is_enable(name: str) -> bool:
    """Return whether a field traps while it is clear."""
    return name[0] == "n" and name[1].isupper()


def _values(name: str) -> Mapping[int, str]:
    return ENABLED if is_enable(name) else TRAPPED


HFGRTR_EL2 = _traps(
    "HFGRTR_EL2",
    "Hypervisor Fine-Grained Read Trap Register.",
    "reads of",
    """
    nAMAIR2_EL1 nMAIR2_EL1 nS2POR_EL1 nPOR_EL1 nPOR_EL0 nPIR_EL1 nPIRE0_EL1 nRCWMASK_EL1
    nTPIDR2_EL0 nSMPRI_EL1 nGCS_EL1 nGCS_EL0 - nACCDATA_EL1 ERXADDR_EL1 ERXPFGCDN_EL1
    ERXPFGCTL_EL1 ERXPFGF_EL1 ERXMISCn_EL1 ERXSTATUS_EL1 ERXCTLR_EL1 ERXFR_EL1 ERRSELR_EL1 ERRIDR_EL1
    ICC_IGRPENn_EL1 VBAR_EL1 TTBR1_EL1 TTBR0_EL1 TPIDR_EL0 TPIDRRO_EL0 TPIDR_EL1 TCR_EL1
    SCXTNUM_EL0 SCXTNUM_EL1 SCTLR_EL1 REVIDR_EL1 PAR_EL1 MPIDR_EL1 MIDR_EL1 MAIR_EL1
    LORSA_EL1 LORN_EL1 LORID_EL1 LOREA_EL1 LORC_EL1 ISR_EL1 FAR_EL1 ESR_EL1
    DCZID_EL0 CTR_EL0 CSSELR_EL1 CPACR_EL1 CONTEXTIDR_EL1 CLIDR_EL1 CCSIDR_EL1 APIBKey
    APIAKey APGAKey APDBKey APDAKey AMAIR_EL1 AIDR_EL1 AFSR1_EL1 AFSR0_EL1
    """,
)
HFGWTR_EL2 = _traps(
    "HFGWTR_EL2",
    "Hypervisor Fine-Grained Write Trap Register.",
    "writes of",
    """
    nAMAIR2_EL1 nMAIR2_EL1 nS2POR_EL1 nPOR_EL1 nPOR_EL0 nPIR_EL1 nPIRE0_EL1 nRCWMASK_EL1
    nTPIDR2_EL0 nSMPRI_EL1 nGCS_EL1 nGCS_EL0 - nACCDATA_EL1 ERXADDR_EL1 ERXPFGCDN_EL1
    ERXPFGCTL_EL1 - ERXMISCn_EL1 ERXSTATUS_EL1 ERXCTLR_EL1 - ERRSELR_EL1 -
    ICC_IGRPENn_EL1 VBAR_EL1 TTBR1_EL1 TTBR0_EL1 TPIDR_EL0 TPIDRRO_EL0 TPIDR_EL1 TCR_EL1
    SCXTNUM_EL0 SCXTNUM_EL1 SCTLR_EL1 - PAR_EL1 - - MAIR_EL1
    LORSA_EL1 LORN_EL1 - LOREA_EL1 LORC_EL1 - FAR_EL1 ESR_EL1
    - - CSSELR_EL1 CPACR_EL1 CONTEXTIDR_EL1 - - APIBKey
    APIAKey APGAKey APDBKey APDAKey AMAIR_EL1 - AFSR1_EL1 AFSR0_EL1
    """,
)
HFGITR_EL2 = _traps(
    "HFGITR_EL2",
    "Hypervisor Fine-Grained Instruction Trap Register.",
    "execution of",
    """
    PSBCSYNC ATS1E1A - COSPRCTX nGCSEPP nGCSSTR_EL1 nGCSPUSHM_EL1 nBRBIALL
    nBRBINJ DCCVAC SVC_EL1 SVC_EL0 ERET CPPRCTX DVPRCTX CFPRCTX
    TLBIVAALE1 TLBIVALE1 TLBIVAAE1 TLBIASIDE1 TLBIVAE1 TLBIVMALLE1 TLBIRVAALE1 TLBIRVALE1
    TLBIRVAAE1 TLBIRVAE1 TLBIRVAALE1IS TLBIRVALE1IS TLBIRVAAE1IS TLBIRVAE1IS TLBIVAALE1IS TLBIVALE1IS
    TLBIVAAE1IS TLBIASIDE1IS TLBIVAE1IS TLBIVMALLE1IS TLBIRVAALE1OS TLBIRVALE1OS TLBIRVAAE1OS TLBIRVAE1OS
    TLBIVAALE1OS TLBIVALE1OS TLBIVAAE1OS TLBIASIDE1OS TLBIVAE1OS TLBIVMALLE1OS ATS1E1WP ATS1E1RP
    ATS1E0W ATS1E0R ATS1E1W ATS1E1R DCZVA DCCIVAC DCCVADP DCCVAP
    DCCVAU DCCISW DCCSW DCISW DCIVAC ICIVAU ICIALLU ICIALLUIS
    """,
)
HDFGRTR_EL2 = _traps(
    "HDFGRTR_EL2",
    "Hypervisor Debug Fine-Grained Read Trap Register.",
    "reads of",
    """
    PMBIDR_EL1 nPMSNEVFR_EL1 nBRBDATA nBRBCTL nBRBIDR PMCEIDn_EL0 PMUSERENR_EL0 TRBTRG_EL1
    TRBSR_EL1 TRBPTR_EL1 TRBMAR_EL1 TRBLIMITR_EL1 TRBIDR_EL1 TRBBASER_EL1 - TRCVICTLR
    TRCSTATR TRCSSCSRn TRCSEQSTR TRCPRGCTLR TRCOSLSR - TRCIMSPECn TRCID
    - - TRCCNTVRn TRCCLAIM TRCAUXCTLR TRCAUTHSTATUS TRC PMSLATFR_EL1
    PMSIRR_EL1 PMSIDR_EL1 PMSICR_EL1 PMSFCR_EL1 PMSEVFR_EL1 PMSCR_EL1 PMBSR_EL1 PMBPTR_EL1
    PMBLIMITR_EL1 PMMIR_EL1 - - PMSELR_EL0 PMOVS PMINTEN PMCNTEN
    PMCCNTR_EL0 PMCCFILTR_EL0 PMEVTYPERn_EL0 PMEVCNTRn_EL0 OSDLR_EL1 OSECCR_EL1 OSLSR_EL1 -
    DBGPRCR_EL1 DBGAUTHSTATUS_EL1 DBGCLAIM MDSCR_EL1 DBGWVRn_EL1 DBGWCRn_EL1 DBGBVRn_EL1 DBGBCRn_EL1
    """,
)
HDFGWTR_EL2 = _traps(
    "HDFGWTR_EL2",
    "Hypervisor Debug Fine-Grained Write Trap Register.",
    "writes of",
    """
    - nPMSNEVFR_EL1 nBRBDATA nBRBCTL - - PMUSERENR_EL0 TRBTRG_EL1
    TRBSR_EL1 TRBPTR_EL1 TRBMAR_EL1 TRBLIMITR_EL1 - TRBBASER_EL1 TRFCR_EL1 TRCVICTLR
    - TRCSSCSRn TRCSEQSTR TRCPRGCTLR - TRCOSLAR TRCIMSPECn -
    - - TRCCNTVRn TRCCLAIM TRCAUXCTLR - TRC PMSLATFR_EL1
    PMSIRR_EL1 - PMSICR_EL1 PMSFCR_EL1 PMSEVFR_EL1 PMSCR_EL1 PMBSR_EL1 PMBPTR_EL1
    PMBLIMITR_EL1 - PMCR_EL0 PMSWINC_EL0 PMSELR_EL0 PMOVS PMINTEN PMCNTEN
    PMCCNTR_EL0 PMCCFILTR_EL0 PMEVTYPERn_EL0 PMEVCNTRn_EL0 OSDLR_EL1 OSECCR_EL1 - OSLAR_EL1
    DBGPRCR_EL1 - DBGCLAIM MDSCR_EL1 DBGWVRn_EL1 DBGWCRn_EL1 DBGBVRn_EL1 DBGBCRn_EL1
    """,
)
HAFGRTR_EL2 = _traps(
    "HAFGRTR_EL2",
    "Hypervisor Activity Monitors Fine-Grained Read Trap Register.",
    "reads of",
    " ".join(f"AMEVTYPER1{n}_EL0 AMEVCNTR1{n}_EL0" for n in reversed(range(16)))
    + " AMCNTEN1 "
    + f"{_RESERVED} " * 12
    + "AMEVCNTR03_EL0 AMEVCNTR02_EL0 AMEVCNTR01_EL0 AMEVCNTR00_EL0 AMCNTEN0",
)
_MASKS = """
    nACTLRALIAS_EL1 nACTLRMASK_EL1 nTCR2ALIAS_EL1 nTCRALIAS_EL1 nSCTLR2ALIAS_EL1 nSCTLRALIAS_EL1 nCPACRALIAS_EL1
    nTCR2MASK_EL1 nTCRMASK_EL1 nSCTLR2MASK_EL1 nSCTLRMASK_EL1 nCPACRMASK_EL1 nRCWSMASK_EL1
"""
HFGRTR2_EL2 = _traps(
    "HFGRTR2_EL2",
    "Hypervisor Fine-Grained Read Trap Register 2.",
    "reads of",
    f"ACTLR_EL1 - - - - - - - - nTLBIDIDR_EL1 - - - - - - - - - - - - - - - {_MASKS} nERXGSR_EL1 nPFAR_EL1",
)
HFGWTR2_EL2 = _traps(
    "HFGWTR2_EL2",
    "Hypervisor Fine-Grained Write Trap Register 2.",
    "writes of",
    f"ACTLR_EL1 - - - - - - - - - - - - - - - - - - - - - - - - {_MASKS} - nPFAR_EL1",
)
HFGITR2_EL2 = _traps(
    "HFGITR2_EL2",
    "Hypervisor Fine-Grained Instruction Trap Register 2.",
    "execution of",
    "DCGBVA - - - - - - - - - - - - nDCCIVAPS TSBCSYNC",
)
HDFGRTR2_EL2 = _traps(
    "HDFGRTR2_EL2",
    "Hypervisor Debug Fine-Grained Read Trap Register 2.",
    "reads of",
    """
    nPMBMAR_EL1
    nMDSTEPOP_EL1 nTRBMPAM_EL1 - nTRCITECR_EL1 nPMSDSFR_EL1 nSPMDEVAFF_EL1 nSPMID nSPMSCR_EL1
    nSPMACCESSR_EL1 nSPMCR_EL0 nSPMOVS nSPMINTEN nSPMCNTEN nSPMSELR_EL0 nSPMEVTYPERn_EL0 nSPMEVCNTRn_EL0
    nPMSSCR_EL1 nPMSSDATA nMDSELR_EL1 nPMUACR_EL1 nPMICFILTR_EL0 nPMICNTR_EL0 nPMIAR_EL1 nPMECR_EL1
    """,
)
HDFGWTR2_EL2 = _traps(
    "HDFGWTR2_EL2",
    "Hypervisor Debug Fine-Grained Write Trap Register 2.",
    "writes of",
    """
    nPMBMAR_EL1
    nMDSTEPOP_EL1 nTRBMPAM_EL1 nPMZR_EL0 nTRCITECR_EL1 nPMSDSFR_EL1 - - nSPMSCR_EL1
    nSPMACCESSR_EL1 nSPMCR_EL0 nSPMOVS nSPMINTEN nSPMCNTEN nSPMSELR_EL0 nSPMEVTYPERn_EL0 nSPMEVCNTRn_EL0
    nPMSSCR_EL1 - nMDSELR_EL1 nPMUACR_EL1 nPMICFILTR_EL0 nPMICNTR_EL0 nPMIAR_EL1 nPMECR_EL1
    """,
)
FGWTE3_EL3 = _traps(
    "FGWTE3_EL3",
    "Fine-Grained Write Traps EL3.",
    "writes of",
    """
    GPCBW_EL3 VBAR_EL3 TTBR0_EL3 TPIDR_EL3 TCR_EL3 SPMROOTCR_EL3 SCTLR2_EL3 SCTLR_EL3
    PIR_EL3 MPAM3_EL3 MECID_RL_A_EL3 MDCR_EL3 MAIR2_EL3 MAIR_EL3 GPTBR_EL3 GPCCR_EL3
    GCSPR_EL3 GCSCR_EL3 AMAIR2_EL3 AMAIR_EL3 AFSR1_EL3 AFSR0_EL3 ACTLR_EL3
    """,
)

DECLARED: Final[Mapping[str, type[Word]]] = {
    word.__name__: word
    for word in (
        HFGRTR_EL2,
        HFGWTR_EL2,
        HFGITR_EL2,
        HDFGRTR_EL2,
        HDFGWTR_EL2,
        HAFGRTR_EL2,
        HFGRTR2_EL2,
        HFGWTR2_EL2,
        HFGITR2_EL2,
        HDFGRTR2_EL2,
        HDFGWTR2_EL2,
        FGWTE3_EL3,
    )
}

# What a field traps, as shell patterns, where that is more than what its name says.  Source: the fields' descriptions.
_TRACE = """
    TRCACATR* TRCACVR* TRCBBCTLR TRCCCCTLR TRCCIDCCTLR? TRCCIDCVR? TRCCNTCTLR? TRCCNTRLDVR? TRCCONFIGR TRCEVENTCTL?R
    TRCEXTINSELR* TRCQCTLR TRCRSCTLR* TRCRSR TRCSEQEVR? TRCSEQRSTEVR TRCSSCCR? TRCSSPCICR? TRCSTALLCTLR TRCSYNCPR
    TRCTRACEIDR TRCTSCTLR TRCVIIECTLR TRCVIPCSSCTLR TRCVISSCTLR TRCVMIDCCTLR? TRCVMIDCVR?
"""
_REGISTERS: Final[Mapping[str, str]] = {
    "GCS_EL1": "GCSCR_EL1 GCSPR_EL1",
    "GCS_EL0": "GCSCRE0_EL1 GCSPR_EL0",
    "TCR_EL1": "TCR_EL1 TCR2_EL1",
    "SCTLR_EL1": "SCTLR_EL1 SCTLR2_EL1",
    "BRBDATA": "BRBINF*_EL1 BRBSRC*_EL1 BRBTGT*_EL1 BRBTS_EL1",
    "BRBCTL": "BRBCR_EL1 BRBFCR_EL1",
    "BRBIDR": "BRBIDR0_EL1",
    "TRCID": "TRCDEVARCH TRCDEVID TRCIDR*",
    "TRCCLAIM": "TRCCLAIMSET TRCCLAIMCLR",
    "TRC": _TRACE,
    "PMOVS": "PMOVSSET_EL0 PMOVSCLR_EL0",
    "PMINTEN": "PMINTENSET_EL1 PMINTENCLR_EL1",
    "PMCNTEN": "PMCNTENSET_EL0 PMCNTENCLR_EL0",
    "PMEVTYPERn_EL0": "PMEVTYPER[0-9]*_EL0 PMXEVTYPER_EL0",
    "PMEVCNTRn_EL0": "PMEVCNTR[0-9]*_EL0 PMXEVCNTR_EL0",
    "DBGCLAIM": "DBGCLAIMSET_EL1 DBGCLAIMCLR_EL1",
    "PMSSDATA": "PMEVCNTSVR*_EL1 PMCCNTSVR_EL1 PMICNTSVR_EL1",
    "SPMID": "SPMCFGR_EL1 SPMCGCR*_EL1 SPMDEVARCH_EL1 SPMIIDR_EL1",
    "SPMOVS": "SPMOVSSET_EL0 SPMOVSCLR_EL0",
    "SPMINTEN": "SPMINTENSET_EL1 SPMINTENCLR_EL1",
    "SPMCNTEN": "SPMCNTENSET_EL0 SPMCNTENCLR_EL0",
    "SPMEVTYPERn_EL0": "SPMEVTYPER*_EL0 SPMEVFILTR*_EL0 SPMEVFILT2R*_EL0",
    "SPMEVCNTRn_EL0": "SPMEVCNTR*_EL0 SPMZR_EL0",
    "AMCNTEN0": "AMCNTENSET0_EL0 AMCNTENCLR0_EL0",
    "AMCNTEN1": "AMCNTENSET1_EL0 AMCNTENCLR1_EL0",
}
_INSTRUCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "GCSEPP": ("GCSPUSHX", "GCSPOPCX"),
    "GCSSTR_EL1": ("GCSSTR",),
    "GCSPUSHM_EL1": ("GCSPUSHM",),
    "BRBIALL": ("BRB IALL",),
    "BRBINJ": ("BRB INJ",),
    "SVC_EL0": ("SVC",),
    "SVC_EL1": ("SVC",),
    "ERET": ("ERET",),
    "PSBCSYNC": ("PSB CSYNC",),
    "TSBCSYNC": ("TSB CSYNC",),
    "CFPRCTX": ("CFP RCTX",),
    "DVPRCTX": ("DVP RCTX",),
    "CPPRCTX": ("CPP RCTX",),
    "COSPRCTX": ("COSP RCTX",),
    "DCZVA": ("DC ZVA", "DC GVA", "DC GZVA"),
    "DCGBVA": ("DC GBVA", "DC ZGBVA"),
    "DCISW": ("DC ISW", "DC IGSW", "DC IGDSW"),
    "DCCSW": ("DC CSW", "DC CGSW", "DC CGDSW"),
    "DCCISW": ("DC CISW", "DC CIGSW", "DC CIGDSW"),
    "DCIVAC": ("DC IVAC", "DC IGVAC", "DC IGDVAC"),
    "DCCVAC": ("DC CVAC", "DC CGVAC", "DC CGDVAC"),
    "DCCVAP": ("DC CVAP", "DC CGVAP", "DC CGDVAP"),
    "DCCVADP": ("DC CVADP", "DC CGVADP", "DC CGDVADP"),
    "DCCIVAC": ("DC CIVAC", "DC CIGVAC", "DC CIGDVAC"),
    "DCCIVAPS": ("DC CIVAPS", "DC CIGDVAPS"),
}
_KEY = "Key"
_MNEMONIC_LETTERS: Final[Mapping[str, int]] = {"TLBI": 4, "AT": 2, "DC": 2, "IC": 2}


@dataclass(frozen=True, slots=True)
class FineGrainedTrap:
    """What one field of one of these registers traps, to the level that the register is of.

    `trapped` are shell patterns of register and instruction names, `levels` the exception levels it is about.  What is
    `qualified` by nXS it traps while HCRX_EL2.FGTnXS is clear.
    """

    holder: str
    field: Field
    value: int
    reads: bool
    writes: bool
    trapped: tuple[str, ...]
    levels: tuple[int, ...]
    target: int
    qualified: bool = False


@cache
def fine_grained_traps() -> tuple[FineGrainedTrap, ...]:
    """Return what every field traps."""
    return tuple(trap for name, word in DECLARED.items() for field in word.fields() for trap in _of_field(name, field))


def _of_field(holder: str, field: Field) -> Iterator[FineGrainedTrap]:
    enable = is_enable(field.name)
    what = field.name[1:] if enable else field.name
    of_instructions = "ITR" in holder
    trapped = _instructions(what) if of_instructions else _registers(what)
    target, levels = (3, (3,)) if holder.endswith("_EL3") else (2, (0, 1))
    if of_instructions and what[-4:] in ("_EL0", "_EL1"):
        levels = (int(what[-1]),)
    reads, writes = "RTR" in holder or of_instructions, "RTR" not in holder
    yield FineGrainedTrap(holder, field, 0 if enable else 1, reads, writes, trapped, levels, target)
    if of_instructions and what.startswith("TLBI"):
        with_nxs = tuple(f"{each}NXS" for each in trapped)
        yield FineGrainedTrap(holder, field, 1, reads, writes, with_nxs, levels, target, qualified=True)


def _registers(what: str) -> tuple[str, ...]:
    if what in _REGISTERS:
        return tuple(_REGISTERS[what].split())
    if what.endswith(_KEY):
        return (f"{what}Lo_EL1", f"{what}Hi_EL1")
    name, _, level = what.partition("_EL")
    group = f"{name[:-1]}[0-9]*" if name.endswith("n") else name
    return (f"{group}_EL{level}" if level else group,)


def _instructions(what: str) -> tuple[str, ...]:
    if what in _INSTRUCTIONS:
        return _INSTRUCTIONS[what]
    letters = next(count for mnemonic, count in _MNEMONIC_LETTERS.items() if what.startswith(mnemonic))
    return (f"{what[:letters]} {what[letters:]}",)
