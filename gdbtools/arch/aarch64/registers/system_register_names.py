"""What `MRS` and `MSR` name: the System registers of AArch64 by their encodings, as the Arm ARM (DDI 0487) prints them.

Source: "AArch64 System instruction class encoding overview", with op0 of 0b10 "Instructions for accessing debug System
registers" and of 0b11 "Instructions for accessing non-debug System registers".  Where a virtual view has the encoding
of a physical one (ICV_IAR1_EL1, ICC_IAR1_EL1), the name is the physical one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gdbtools.arch.aarch64.registers.register_families import FAMILIES

__all__ = ["every_name", "register_name"]

_NO_NAME = "-"

# What is read and what is written at one encoding, where the two are different registers.
_READ: Mapping[tuple[int, ...], str] = {(2, 3, 0, 5, 0): "DBGDTRRX_EL0"}
_WRITTEN: Mapping[tuple[int, ...], str] = {(2, 3, 0, 5, 0): "DBGDTRTX_EL0"}

# By op0, op1, CRn and CRm: the names for op2 from 0.
_NAMES: Mapping[tuple[int, ...], str] = {
    # Debug, and the System PMU
    (2, 0, 0, 0): "- - OSDTRRX_EL1",
    (2, 0, 0, 2): "MDCCINT_EL1 - MDSCR_EL1",
    (2, 0, 0, 3): "- - OSDTRTX_EL1",
    (2, 0, 0, 4): "- - MDSELR_EL1",
    (2, 0, 0, 5): "- - MDSTEPOP_EL1",
    (2, 0, 0, 6): "- - OSECCR_EL1",
    (2, 0, 1, 0): "MDRAR_EL1 - - - OSLAR_EL1",
    (2, 0, 1, 1): "- - - - OSLSR_EL1",
    (2, 0, 1, 3): "- - - - OSDLR_EL1",
    (2, 0, 1, 4): "- - - - DBGPRCR_EL1",
    (2, 0, 7, 8): "- - - - - - DBGCLAIMSET_EL1",
    (2, 0, 7, 9): "- - - - - - DBGCLAIMCLR_EL1",
    (2, 0, 7, 14): "- - - - - - DBGAUTHSTATUS_EL1",
    (2, 0, 9, 13): "SPMCGCR0_EL1 SPMCGCR1_EL1 - SPMACCESSR_EL1 SPMIIDR_EL1 SPMDEVARCH_EL1 SPMDEVAFF_EL1 SPMCFGR_EL1",
    (2, 0, 9, 14): "- SPMINTENSET_EL1 SPMINTENCLR_EL1",
    (2, 0, 14, 11): "- - - - - - - PMCCNTSVR_EL1",
    (2, 0, 14, 12): "PMICNTSVR_EL1",
    # Trace, and the branch record buffer
    (2, 1, 0, 0): "- TRCTRACEIDR TRCVICTLR - TRCSEQEVR0 TRCCNTRLDVR0 TRCIDR8 TRCIMSPEC0",
    (2, 1, 0, 1): "TRCPRGCTLR TRCQCTLR TRCVIIECTLR - TRCSEQEVR1 TRCCNTRLDVR1 TRCIDR9 TRCIMSPEC1",
    (2, 1, 0, 2): "TRCPROCSELR TRCITEEDCR TRCVISSCTLR - TRCSEQEVR2 TRCCNTRLDVR2 TRCIDR10 TRCIMSPEC2",
    (2, 1, 0, 3): "TRCSTATR - TRCVIPCSSCTLR - - TRCCNTRLDVR3 TRCIDR11 TRCIMSPEC3",
    (2, 1, 0, 4): "TRCCONFIGR - - - - TRCCNTCTLR0 TRCIDR12 TRCIMSPEC4",
    (2, 1, 0, 5): "- - - - - TRCCNTCTLR1 TRCIDR13 TRCIMSPEC5",
    (2, 1, 0, 6): "TRCAUXCTLR - - - TRCSEQRSTEVR TRCCNTCTLR2 - TRCIMSPEC6",
    (2, 1, 0, 7): "- - - - TRCSEQSTR TRCCNTCTLR3 - TRCIMSPEC7",
    (2, 1, 0, 8): "TRCEVENTCTL0R - TRCVDCTLR - TRCEXTINSELR0 TRCCNTVR0 - TRCIDR0",
    (2, 1, 0, 9): "TRCEVENTCTL1R - TRCVDSACCTLR - TRCEXTINSELR1 TRCCNTVR1 - TRCIDR1",
    (2, 1, 0, 10): "TRCRSR - TRCVDARCCTLR - TRCEXTINSELR2 TRCCNTVR2 - TRCIDR2",
    (2, 1, 0, 11): "TRCSTALLCTLR - - - TRCEXTINSELR3 TRCCNTVR3 - TRCIDR3",
    (2, 1, 0, 12): "TRCTSCTLR - - - - - - TRCIDR4",
    (2, 1, 0, 13): "TRCSYNCPR - - - - - - TRCIDR5",
    (2, 1, 0, 14): "TRCCCCTLR - - - - - - TRCIDR6",
    (2, 1, 0, 15): "TRCBBCTLR - - - - - - TRCIDR7",
    (2, 1, 1, 0): "- - - - TRCOSLAR",
    (2, 1, 1, 1): "- - - - TRCOSLSR",
    (2, 1, 1, 4): "- - - - TRCPDCR",
    (2, 1, 1, 5): "- - - - TRCPDSR",
    (2, 1, 3, 0): "- - TRCCIDCCTLR0",
    (2, 1, 3, 1): "- - TRCCIDCCTLR1",
    (2, 1, 3, 2): "- - TRCVMIDCCTLR0",
    (2, 1, 3, 3): "- - TRCVMIDCCTLR1",
    (2, 1, 7, 0): "- - - - TRCITCTRL",
    (2, 1, 7, 2): "- - - - - - - TRCDEVID",
    (2, 1, 7, 3): "- - - - - - - TRCDEVTYPE",
    (2, 1, 7, 4): "- - - - - - - TRCPIDR4",
    (2, 1, 7, 5): "- - - - - - - TRCPIDR5",
    (2, 1, 7, 6): "- - - - - - - TRCPIDR6",
    (2, 1, 7, 7): "- - - - - - - TRCPIDR7",
    (2, 1, 7, 8): "- - - - - - TRCCLAIMSET TRCPIDR0",
    (2, 1, 7, 9): "- - - - - - TRCCLAIMCLR TRCPIDR1",
    (2, 1, 7, 10): "- - - - - - TRCDEVAFF0 TRCPIDR2",
    (2, 1, 7, 11): "- - - - - - TRCDEVAFF1 TRCPIDR3",
    (2, 1, 7, 12): "- - - - - - TRCLAR TRCCIDR0",
    (2, 1, 7, 13): "- - - - - - TRCLSR TRCCIDR1",
    (2, 1, 7, 14): "- - - - - - TRCAUTHSTATUS TRCCIDR2",
    (2, 1, 7, 15): "- - - - - - TRCDEVARCH TRCCIDR3",
    (2, 1, 9, 0): "BRBCR_EL1 BRBFCR_EL1 BRBTS_EL1",
    (2, 1, 9, 1): "BRBINFINJ_EL1 BRBSRCINJ_EL1 BRBTGTINJ_EL1",
    (2, 1, 9, 2): "BRBIDR0_EL1",
    (2, 2, 0, 0): "TEECR32_EL1",
    (2, 2, 1, 0): "TEEHBR32_EL1",
    (2, 3, 0, 1): "MDCCSR_EL0",
    (2, 3, 0, 4): "DBGDTR_EL0",
    (2, 3, 9, 12): "SPMCR_EL0 SPMCNTENSET_EL0 SPMCNTENCLR_EL0 SPMOVSCLR_EL0 SPMZR_EL0 SPMSELR_EL0",
    (2, 3, 9, 14): "- - - SPMOVSSET_EL0",
    (2, 4, 0, 7): "DBGVCR32_EL2",
    (2, 4, 9, 0): "BRBCR_EL2",
    (2, 4, 9, 13): "- - - SPMACCESSR_EL2",
    (2, 5, 9, 0): "BRBCR_EL12",
    (2, 5, 9, 13): "- - - SPMACCESSR_EL12",
    (2, 6, 9, 13): "- - - SPMACCESSR_EL3",
    (2, 6, 9, 14): "- - - - - - - SPMROOTCR_EL3",
    (2, 7, 9, 14): "- - - - - - - SPMSCR_EL1",
    # EL1
    (3, 0, 0, 0): "MIDR_EL1 - - - MPUIR_EL1 MPIDR_EL1 REVIDR_EL1",
    (3, 0, 0, 1): "ID_PFR0_EL1 ID_PFR1_EL1 ID_DFR0_EL1 ID_AFR0_EL1 ID_MMFR0_EL1 ID_MMFR1_EL1 ID_MMFR2_EL1 ID_MMFR3_EL1",
    (3, 0, 0, 2): (
        "ID_ISAR0_EL1 ID_ISAR1_EL1 ID_ISAR2_EL1 ID_ISAR3_EL1 ID_ISAR4_EL1 ID_ISAR5_EL1 ID_MMFR4_EL1 ID_ISAR6_EL1"
    ),
    (3, 0, 0, 3): "MVFR0_EL1 MVFR1_EL1 MVFR2_EL1 - ID_PFR2_EL1 ID_DFR1_EL1 ID_MMFR5_EL1",
    (3, 0, 0, 4): (
        "ID_AA64PFR0_EL1 ID_AA64PFR1_EL1 ID_AA64PFR2_EL1 - ID_AA64ZFR0_EL1 ID_AA64SMFR0_EL1 - ID_AA64FPFR0_EL1"
    ),
    (3, 0, 0, 5): "ID_AA64DFR0_EL1 ID_AA64DFR1_EL1 ID_AA64DFR2_EL1 - ID_AA64AFR0_EL1 ID_AA64AFR1_EL1",
    (3, 0, 0, 6): "ID_AA64ISAR0_EL1 ID_AA64ISAR1_EL1 ID_AA64ISAR2_EL1 ID_AA64ISAR3_EL1",
    (3, 0, 0, 7): "ID_AA64MMFR0_EL1 ID_AA64MMFR1_EL1 ID_AA64MMFR2_EL1 ID_AA64MMFR3_EL1 ID_AA64MMFR4_EL1",
    (3, 0, 1, 0): "SCTLR_EL1 ACTLR_EL1 CPACR_EL1 SCTLR2_EL1 - RGSR_EL1 GCR_EL1",
    (3, 0, 1, 2): "ZCR_EL1 TRFCR_EL1 - TRCITECR_EL1 SMPRI_EL1 - SMCR_EL1",
    (3, 0, 1, 4): (
        "SCTLRMASK_EL1 ACTLRMASK_EL1 CPACRMASK_EL1 SCTLR2MASK_EL1 "
        "CPACRALIAS_EL1 ACTLRALIAS_EL1 SCTLRALIAS_EL1 SCTLR2ALIAS_EL1"
    ),
    (3, 0, 2, 0): "TTBR0_EL1 TTBR1_EL1 TCR_EL1 TCR2_EL1 IRTBRU_EL1 IRTBRP_EL1 DPOTBR0_EL1 DPOTBR1_EL1",
    (3, 0, 2, 1): "APIAKeyLo_EL1 APIAKeyHi_EL1 APIBKeyLo_EL1 APIBKeyHi_EL1 - - - LDSTT_EL1",
    (3, 0, 2, 2): "APDAKeyLo_EL1 APDAKeyHi_EL1 APDBKeyLo_EL1 APDBKeyHi_EL1 TPCR0_EL1 TPCR1_EL1",
    (3, 0, 2, 3): "APGAKeyLo_EL1 APGAKeyHi_EL1",
    (3, 0, 2, 5): "GCSCR_EL1 GCSPR_EL1 GCSCRE0_EL1",
    (3, 0, 2, 7): "- - TCRMASK_EL1 TCR2MASK_EL1 - - TCRALIAS_EL1 TCR2ALIAS_EL1",
    (3, 0, 4, 0): "SPSR_EL1 ELR_EL1 STINDEX_EL1 TINDEX_EL1",
    (3, 0, 4, 1): "SP_EL0",
    (3, 0, 4, 2): "SPSel - CurrentEL PAN UAO",
    (3, 0, 4, 3): "ALLINT PM",
    (3, 0, 4, 6): "ICC_PMR_EL1",
    (3, 0, 5, 1): "AFSR0_EL1 AFSR1_EL1",
    (3, 0, 5, 2): "ESR_EL1",
    (3, 0, 5, 3): "ERRIDR_EL1 ERRSELR_EL1 ERXGSR_EL1",
    (3, 0, 5, 4): "ERXFR_EL1 ERXCTLR_EL1 ERXSTATUS_EL1 ERXADDR_EL1 ERXPFGF_EL1 ERXPFGCTL_EL1 ERXPFGCDN_EL1",
    (3, 0, 5, 5): "ERXMISC0_EL1 ERXMISC1_EL1 ERXMISC2_EL1 ERXMISC3_EL1",
    (3, 0, 5, 6): "TFSR_EL1 TFSRE0_EL1",
    (3, 0, 6, 0): "FAR_EL1 - - - - PFAR_EL1",
    (3, 0, 6, 1): "- PRENR_EL1",
    (3, 0, 6, 2): "- PRSELR_EL1",
    (3, 0, 6, 8): "PRBAR_EL1 PRLAR_EL1",
    (3, 0, 7, 4): "PAR_EL1",
    (3, 0, 9, 9): "PMSCR_EL1 PMSNEVFR_EL1 PMSICR_EL1 PMSIRR_EL1 PMSFCR_EL1 PMSEVFR_EL1 PMSLATFR_EL1 PMSIDR_EL1",
    (3, 0, 9, 10): "PMBLIMITR_EL1 PMBPTR_EL1 - PMBSR_EL1 PMSDSFR_EL1 PMBMAR_EL1 - PMBIDR_EL1",
    (3, 0, 9, 11): "TRBLIMITR_EL1 TRBPTR_EL1 TRBBASER_EL1 TRBSR_EL1 TRBMAR_EL1 TRBMPAM_EL1 TRBTRG_EL1 TRBIDR_EL1",
    (3, 0, 9, 13): "- - - PMSSCR_EL1",
    (3, 0, 9, 14): "- PMINTENSET_EL1 PMINTENCLR_EL1 - PMUACR_EL1 PMECR_EL1 PMMIR_EL1 PMIAR_EL1",
    (3, 0, 10, 2): "MAIR_EL1 MAIR2_EL1 PIRE0_EL1 PIR_EL1 POR_EL1 S2POR_EL1 TTTBRU_EL1 TTTBRP_EL1",
    (3, 0, 10, 3): "AMAIR_EL1 AMAIR2_EL1",
    (3, 0, 10, 4): "LORSA_EL1 LOREA_EL1 LORN_EL1 LORC_EL1 MPAMIDR_EL1 MPAMBWIDR_EL1 TLBIDIDR_EL1 LORID_EL1",
    (3, 0, 10, 5): "MPAM1_EL1 MPAM0_EL1 MPAMCTL_EL1 MPAMSM_EL1 MPAMBW1_EL1 MPAMBW0_EL1 - MPAMBWSM_EL1",
    (3, 0, 12, 0): "VBAR_EL1 RVBAR_EL1 RMR_EL1",
    (3, 0, 12, 1): "ISR_EL1 DISR_EL1",
    (3, 0, 12, 8): (
        "ICC_IAR0_EL1 ICC_EOIR0_EL1 ICC_HPPIR0_EL1 ICC_BPR0_EL1 ICC_AP0R0_EL1 ICC_AP0R1_EL1 ICC_AP0R2_EL1 ICC_AP0R3_EL1"
    ),
    (3, 0, 12, 9): "ICC_AP1R0_EL1 ICC_AP1R1_EL1 ICC_AP1R2_EL1 ICC_AP1R3_EL1 - ICC_NMIAR1_EL1",
    (3, 0, 12, 10): (
        "ICC_PPI_HMR0_EL1 ICC_PPI_HMR1_EL1 ICC_IDR0_EL1 ICC_HPPIR_EL1 "
        "ICC_ICSR_EL1 ICC_IAFFIDR_EL1 ICC_PPI_ENABLER0_EL1 ICC_PPI_ENABLER1_EL1"
    ),
    (3, 0, 12, 11): "- ICC_DIR_EL1 - ICC_RPR_EL1 - ICC_SGI1R_EL1 ICC_ASGI1R_EL1 ICC_SGI0R_EL1",
    (3, 0, 12, 12): (
        "ICC_IAR1_EL1 ICC_EOIR1_EL1 ICC_HPPIR1_EL1 ICC_BPR1_EL1 "
        "ICC_CTLR_EL1 ICC_SRE_EL1 ICC_IGRPEN0_EL1 ICC_IGRPEN1_EL1"
    ),
    (3, 0, 12, 13): (
        "ICC_PPI_CACTIVER0_EL1 ICC_PPI_CACTIVER1_EL1 ICC_PPI_SACTIVER0_EL1 ICC_PPI_SACTIVER1_EL1 "
        "ICC_PPI_CPENDR0_EL1 ICC_PPI_CPENDR1_EL1 ICC_PPI_SPENDR0_EL1 ICC_PPI_SPENDR1_EL1"
    ),
    (3, 0, 13, 0): "TPIDR3_EL1 CONTEXTIDR_EL1 - RCWSMASK_EL1 TPIDR_EL1 ACCDATA_EL1 RCWMASK_EL1 SCXTNUM_EL1",
    (3, 0, 14, 1): "CNTKCTL_EL1",
    (3, 1, 0, 0): "CCSIDR_EL1 CLIDR_EL1 CCSIDR2_EL1 - GMID_EL1 - SMIDR_EL1 AIDR_EL1",
    (3, 1, 12, 0): "ICC_APR_EL1 ICC_CR0_EL1 ICC_PCR_EL1 ICC_HAPR_EL1",
    (3, 2, 0, 0): "CSSELR_EL1",
    # EL0
    (3, 3, 0, 0): "- CTR_EL0 - - - - - DCZID_EL0",
    (3, 3, 2, 2): "- - - - TPCR0_EL0 TPCR1_EL0",
    (3, 3, 2, 4): "RNDR RNDRRS",
    (3, 3, 2, 5): "- GCSPR_EL0",
    (3, 3, 4, 0): "- - - TINDEX_EL0",
    (3, 3, 4, 2): "NZCV DAIF SVCR - - DIT SSBS TCO",
    (3, 3, 4, 4): "FPCR FPSR FPMR",
    (3, 3, 4, 5): "DSPSR_EL0 DLR_EL0 DPOCR_EL0",
    (3, 3, 9, 4): "PMICNTR_EL0",
    (3, 3, 9, 6): "PMICFILTR_EL0",
    (3, 3, 9, 12): "PMCR_EL0 PMCNTENSET_EL0 PMCNTENCLR_EL0 PMOVSCLR_EL0 PMSWINC_EL0 PMSELR_EL0 PMCEID0_EL0 PMCEID1_EL0",
    (3, 3, 9, 13): "PMCCNTR_EL0 PMXEVTYPER_EL0 PMXEVCNTR_EL0 - PMZR_EL0",
    (3, 3, 9, 14): "PMUSERENR_EL0 - - PMOVSSET_EL0",
    (3, 3, 10, 2): "- - - - POR_EL0",
    (3, 3, 13, 0): "TPIDR3_EL0 - TPIDR_EL0 TPIDRRO_EL0 - TPIDR2_EL0 - SCXTNUM_EL0",
    (3, 3, 13, 2): "AMCR_EL0 AMCFGR_EL0 AMCGCR_EL0 AMUSERENR_EL0 AMCNTENCLR0_EL0 AMCNTENSET0_EL0 AMCG1IDR_EL0",
    (3, 3, 13, 3): "AMCNTENCLR1_EL0 AMCNTENSET1_EL0",
    (3, 3, 14, 0): "CNTFRQ_EL0 CNTPCT_EL0 CNTVCT_EL0 - - CNTPCTSS_EL0 CNTVCTSS_EL0",
    (3, 3, 14, 2): "CNTP_TVAL_EL0 CNTP_CTL_EL0 CNTP_CVAL_EL0",
    (3, 3, 14, 3): "CNTV_TVAL_EL0 CNTV_CTL_EL0 CNTV_CVAL_EL0",
    (3, 3, 14, 15): "- - - - - - - PMCCFILTR_EL0",
    # EL2
    (3, 4, 0, 0): "VPIDR_EL2 - - - MPUIR_EL2 VMPIDR_EL2",
    (3, 4, 1, 0): "SCTLR_EL2 ACTLR_EL2 - SCTLR2_EL2",
    (3, 4, 1, 1): "HCR_EL2 MDCR_EL2 CPTR_EL2 HSTR_EL2 HFGRTR_EL2 HFGWTR_EL2 HFGITR_EL2 HACR_EL2",
    (3, 4, 1, 2): "ZCR_EL2 TRFCR_EL2 HCRX_EL2 TRCITECR_EL2 - SMPRIMAP_EL2 SMCR_EL2",
    (3, 4, 1, 3): "- SDER32_EL2",
    (3, 4, 1, 4): "SCTLRMASK_EL2 ACTLRMASK_EL2 CPTRMASK_EL2 SCTLR2MASK_EL2",
    (3, 4, 1, 5): "NVHCR_EL2 NVHCRX_EL2 - - NVHCRMASK_EL2 NVHCRXMASK_EL2 HCRMASK_EL2 HCRXMASK_EL2",
    (3, 4, 2, 0): "TTBR0_EL2 TTBR1_EL2 TCR_EL2 TCR2_EL2 IRTBRU_EL2 IRTBRP_EL2 DPOTBR0_EL2 DPOTBR1_EL2",
    (3, 4, 2, 1): "VTTBR_EL2 - VTCR_EL2 - - - - LDSTT_EL2",
    (3, 4, 2, 2): "VNCR_EL2 VNCCR_EL2 - - TPCR0_EL2 TPCR1_EL2",
    (3, 4, 2, 3): "- - HDBSSBR_EL2 HDBSSPROD_EL2 HACDBSBR_EL2 HACDBSCONS_EL2",
    (3, 4, 2, 5): "GCSCR_EL2 GCSPR_EL2",
    (3, 4, 2, 6): "VSTTBR_EL2 - VSTCR_EL2",
    (3, 4, 2, 7): "- - TCRMASK_EL2 TCR2MASK_EL2",
    (3, 4, 2, 8): "VTLBID0_EL2 VTLBID1_EL2 VTLBID2_EL2 VTLBID3_EL2",
    (3, 4, 2, 9): "VTLBIDOS0_EL2 VTLBIDOS1_EL2 VTLBIDOS2_EL2 VTLBIDOS3_EL2",
    (3, 4, 3, 0): "DACR32_EL2",
    (3, 4, 3, 1): "HDFGRTR2_EL2 HDFGWTR2_EL2 HFGRTR2_EL2 HFGWTR2_EL2 HDFGRTR_EL2 HDFGWTR_EL2 HAFGRTR_EL2 HFGITR2_EL2",
    (3, 4, 4, 0): "SPSR_EL2 ELR_EL2 STINDEX_EL2 TINDEX_EL2",
    (3, 4, 4, 1): "SP_EL1",
    (3, 4, 4, 3): "SPSR_irq SPSR_abt SPSR_und SPSR_fiq",
    (3, 4, 5, 0): "- IFSR32_EL2",
    (3, 4, 5, 1): "AFSR0_EL2 AFSR1_EL2",
    (3, 4, 5, 2): "ESR_EL2 - - VSESR_EL2",
    (3, 4, 5, 3): "FPEXC32_EL2",
    (3, 4, 5, 6): "TFSR_EL2",
    (3, 4, 6, 0): "FAR_EL2 - - - HPFAR_EL2 PFAR_EL2",
    (3, 4, 6, 1): "- PRENR_EL2",
    (3, 4, 6, 2): "- PRSELR_EL2",
    (3, 4, 6, 8): "PRBAR_EL2 PRLAR_EL2",
    (3, 4, 9, 9): "PMSCR_EL2",
    (3, 4, 9, 10): "- - - PMBSR_EL2",
    (3, 4, 9, 11): "- - - TRBSR_EL2",
    (3, 4, 10, 1): "- MAIR2_EL2",
    (3, 4, 10, 2): "MAIR_EL2 - PIRE0_EL2 PIR_EL2 POR_EL2 S2PIR_EL2 TTTBRU_EL2 TTTBRP_EL2",
    (3, 4, 10, 3): "AMAIR_EL2 AMAIR2_EL2",
    (3, 4, 10, 4): "MPAMHCR_EL2 MPAMVPMV_EL2",
    (3, 4, 10, 5): "MPAM2_EL2 - MPAMCTL_EL2 - MPAMBW2_EL2 - MPAMBWCAP_EL2",
    (3, 4, 10, 6): (
        "MPAMVPM0_EL2 MPAMVPM1_EL2 MPAMVPM2_EL2 MPAMVPM3_EL2 MPAMVPM4_EL2 MPAMVPM5_EL2 MPAMVPM6_EL2 MPAMVPM7_EL2"
    ),
    (3, 4, 10, 8): "MECID_P0_EL2 MECID_A0_EL2 MECID_P1_EL2 MECID_A1_EL2 - - - MECIDR_EL2",
    (3, 4, 10, 9): "VMECID_P_EL2 VMECID_A_EL2",
    (3, 4, 12, 0): "VBAR_EL2 RVBAR_EL2 RMR_EL2",
    (3, 4, 12, 1): "- VDISR_EL2",
    (3, 4, 12, 7): "ICH_PPI_HVIR0_EL2 ICH_PPI_HVIR1_EL2",
    (3, 4, 12, 8): "ICH_AP0R0_EL2 ICH_AP0R1_EL2 ICH_AP0R2_EL2 ICH_AP0R3_EL2 ICH_APR_EL2 ICH_HPPIR_EL2",
    (3, 4, 12, 9): (
        "ICH_AP1R0_EL2 ICH_AP1R1_EL2 ICH_AP1R2_EL2 ICH_AP1R3_EL2 "
        "ICH_HFGRTR_EL2 ICC_SRE_EL2 ICH_HFGWTR_EL2 ICH_HFGITR_EL2"
    ),
    (3, 4, 12, 10): (
        "ICH_PPI_DVIR0_EL2 ICH_PPI_DVIR1_EL2 ICH_PPI_ENABLER0_EL2 ICH_PPI_ENABLER1_EL2 "
        "ICH_PPI_PENDR0_EL2 ICH_PPI_PENDR1_EL2 ICH_PPI_ACTIVER0_EL2 ICH_PPI_ACTIVER1_EL2"
    ),
    (3, 4, 12, 11): (
        "ICH_HCR_EL2 ICH_VTR_EL2 ICH_MISR_EL2 ICH_EISR_EL2 ICH_VCTLR_EL2 ICH_ELRSR_EL2 ICH_CONTEXTR_EL2 ICH_VMCR_EL2"
    ),
    (3, 4, 13, 0): "TPIDR3_EL2 CONTEXTIDR_EL2 TPIDR_EL2 - - - - SCXTNUM_EL2",
    (3, 4, 14, 0): "- - - CNTVOFF_EL2 CNTSCALE_EL2 CNTISCALE_EL2 CNTPOFF_EL2 CNTVFRQ_EL2",
    (3, 4, 14, 1): "CNTHCTL_EL2",
    (3, 4, 14, 2): "CNTHP_TVAL_EL2 CNTHP_CTL_EL2 CNTHP_CVAL_EL2",
    (3, 4, 14, 3): "CNTHV_TVAL_EL2 CNTHV_CTL_EL2 CNTHV_CVAL_EL2",
    (3, 4, 14, 4): "CNTHVS_TVAL_EL2 CNTHVS_CTL_EL2 CNTHVS_CVAL_EL2",
    (3, 4, 14, 5): "CNTHPS_TVAL_EL2 CNTHPS_CTL_EL2 CNTHPS_CVAL_EL2",
    # EL1's and EL0's, as EL2 names them while HCR_EL2.E2H is set
    (3, 5, 1, 0): "SCTLR_EL12 ACTLR_EL12 CPACR_EL12 SCTLR2_EL12",
    (3, 5, 1, 2): "ZCR_EL12 TRFCR_EL12 - TRCITECR_EL12 - - SMCR_EL12",
    (3, 5, 1, 4): "SCTLRMASK_EL12 ACTLRMASK_EL12 CPACRMASK_EL12 SCTLR2MASK_EL12",
    (3, 5, 2, 0): "TTBR0_EL12 TTBR1_EL12 TCR_EL12 TCR2_EL12 IRTBRU_EL12 IRTBRP_EL12 DPOTBR0_EL12 DPOTBR1_EL12",
    (3, 5, 2, 1): "- - - - - - - LDSTT_EL12",
    (3, 5, 2, 2): "- - - - TPCR0_EL12 TPCR1_EL12",
    (3, 5, 2, 5): "GCSCR_EL12 GCSPR_EL12",
    (3, 5, 2, 7): "- - TCRMASK_EL12 TCR2MASK_EL12",
    (3, 5, 4, 0): "SPSR_EL12 ELR_EL12 STINDEX_EL12 TINDEX_EL12",
    (3, 5, 5, 1): "AFSR0_EL12 AFSR1_EL12",
    (3, 5, 5, 2): "ESR_EL12",
    (3, 5, 5, 6): "TFSR_EL12",
    (3, 5, 6, 0): "FAR_EL12 - - - - PFAR_EL12",
    (3, 5, 9, 9): "PMSCR_EL12",
    (3, 5, 9, 10): "- - - PMBSR_EL12",
    (3, 5, 9, 11): "- - - TRBSR_EL12",
    (3, 5, 10, 2): "MAIR_EL12 MAIR2_EL12 PIRE0_EL12 PIR_EL12 POR_EL12 - TTTBRU_EL12 TTTBRP_EL12",
    (3, 5, 10, 3): "AMAIR_EL12 AMAIR2_EL12",
    (3, 5, 10, 5): "MPAM1_EL12 - MPAMCTL_EL12 - MPAMBW1_EL12",
    (3, 5, 12, 0): "VBAR_EL12",
    (3, 5, 13, 0): "TPIDR3_EL12 CONTEXTIDR_EL12 - - - - - SCXTNUM_EL12",
    (3, 5, 14, 1): "CNTKCTL_EL12",
    (3, 5, 14, 2): "CNTP_TVAL_EL02 CNTP_CTL_EL02 CNTP_CVAL_EL02",
    (3, 5, 14, 3): "CNTV_TVAL_EL02 CNTV_CTL_EL02 CNTV_CVAL_EL02",
    # EL3
    (3, 6, 1, 0): "SCTLR_EL3 ACTLR_EL3 - SCTLR2_EL3",
    (3, 6, 1, 1): "SCR_EL3 SDER32_EL3 CPTR_EL3 - - FGWTE3_EL3",
    (3, 6, 1, 2): "ZCR_EL3 - SCR2_EL3 - - - SMCR_EL3",
    (3, 6, 1, 3): "- MDCR_EL3",
    (3, 6, 2, 0): "TTBR0_EL3 - TCR_EL3 - - IRTBRP_EL3 DPOTBR0_EL3",
    (3, 6, 2, 1): "- - - - GPTBR_EL3 GPCBW_EL3 GPCCR_EL3",
    (3, 6, 2, 5): "GCSCR_EL3 GCSPR_EL3",
    (3, 6, 4, 0): "SPSR_EL3 ELR_EL3 STINDEX_EL3 TINDEX_EL3",
    (3, 6, 4, 1): "SP_EL2",
    (3, 6, 5, 1): "AFSR0_EL3 AFSR1_EL3",
    (3, 6, 5, 2): "ESR_EL3 - - VSESR_EL3",
    (3, 6, 5, 6): "TFSR_EL3",
    (3, 6, 6, 0): "FAR_EL3 - - - - MFAR_EL3",
    (3, 6, 9, 10): "- - - PMBSR_EL3",
    (3, 6, 9, 11): "- - - TRBSR_EL3",
    (3, 6, 10, 1): "- MAIR2_EL3",
    (3, 6, 10, 2): "MAIR_EL3 - - PIR_EL3 POR_EL3 - - TTTBRP_EL3",
    (3, 6, 10, 3): "AMAIR_EL3 AMAIR2_EL3",
    (3, 6, 10, 5): "MPAM3_EL3 - MPAMCTL_EL3 - MPAMBW3_EL3",
    (3, 6, 10, 10): "- MECID_RL_A_EL3",
    (3, 6, 12, 0): "VBAR_EL3 RVBAR_EL3 RMR_EL3",
    (3, 6, 12, 1): "- VDISR_EL3",
    (3, 6, 12, 8): (
        "ICC_APR_EL3 ICC_PCR_EL3 ICC_DOMHPPIR_EL3 - "
        "ICC_PPI_DOMAINR0_EL3 ICC_PPI_DOMAINR1_EL3 ICC_PPI_DOMAINR2_EL3 ICC_PPI_DOMAINR3_EL3"
    ),
    (3, 6, 12, 9): "ICC_CR0_EL3 ICC_HPPIR_EL3",
    (3, 6, 12, 12): "- - - - ICC_CTLR_EL3 ICC_SRE_EL3 - ICC_IGRPEN1_EL3",
    (3, 6, 13, 0): "TPIDR3_EL3 - TPIDR_EL3 - - - - SCXTNUM_EL3",
    (3, 7, 14, 2): "CNTPS_TVAL_EL1 CNTPS_CTL_EL1 CNTPS_CVAL_EL1",
}


def register_name(op0: int, op1: int, CRn: int, CRm: int, op2: int, read: bool) -> str:
    """Return the name of the register that `MRS` reads or `MSR` writes at an encoding, or give "" where there is none.

    A register that is read-only, or write-only, is named whatever is asked of it: the encoding is its own.
    """
    directed = (_READ if read else _WRITTEN).get((op0, op1, CRn, CRm, op2))
    if directed:
        return directed
    names = _NAMES.get((op0, op1, CRn, CRm), "").split()
    if op2 < len(names) and names[op2] != _NO_NAME:
        return names[op2]
    bits = CRm << 3 | op2
    for family in FAMILIES.get((op0, op1, CRn), ()):
        if bits & ~family.n.mask == family.fixed and family.n.of(bits) in family.numbers:
            return family.name.format(family.n.of(bits))
    return ""


def every_name() -> Iterator[str]:
    """Yield the name of each System register there is."""
    for names in _NAMES.values():
        yield from (name for name in names.split() if name != _NO_NAME)
    yield from _READ.values()
    for families in FAMILIES.values():
        yield from (family.name.format(number) for family in families for number in family.numbers)
