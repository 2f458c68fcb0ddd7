"""What machines have, and the values of control registers under which nothing traps."""

from __future__ import annotations


def bits(*numbers: int) -> int:
    """Return the value that has these bits set."""
    return sum(1 << number for number in numbers)


IDENTITY = (
    "ID_AA64PFR0_EL1",
    "ID_AA64PFR1_EL1",
    "ID_AA64PFR2_EL1",
    "ID_AA64ISAR0_EL1",
    "ID_AA64ISAR1_EL1",
    "ID_AA64ISAR2_EL1",
    "ID_AA64ISAR3_EL1",
    "ID_AA64MMFR0_EL1",
    "ID_AA64MMFR1_EL1",
    "ID_AA64MMFR2_EL1",
    "ID_AA64MMFR3_EL1",
    "ID_AA64MMFR4_EL1",
    "ID_AA64DFR0_EL1",
    "ID_AA64SMFR0_EL1",
    "MIDR_EL1",
)
FEATURES = {
    "AA32EL0": ("ID_AA64PFR0_EL1", 0, 2),
    "AA32EL1": ("ID_AA64PFR0_EL1", 4, 2),
    "RAS": ("ID_AA64PFR0_EL1", 28, 1),
    "SVE": ("ID_AA64PFR0_EL1", 32, 1),
    "RME": ("ID_AA64PFR0_EL1", 52, 1),
    "CSV2_2": ("ID_AA64PFR0_EL1", 56, 2),
    "BTI": ("ID_AA64PFR1_EL1", 0, 1),
    "MTE2": ("ID_AA64PFR1_EL1", 8, 2),
    "SME": ("ID_AA64PFR1_EL1", 24, 1),
    "RNDR_trap": ("ID_AA64PFR1_EL1", 28, 1),
    "GCS": ("ID_AA64PFR1_EL1", 44, 1),
    "PAuth": ("ID_AA64ISAR1_EL1", 4, 1),
    "PAuth, IMPLEMENTATION DEFINED": ("ID_AA64ISAR1_EL1", 8, 1),
    "LSE": ("ID_AA64ISAR0_EL1", 20, 2),
    "LSE2": ("ID_AA64MMFR2_EL1", 32, 1),
    "LRCPC": ("ID_AA64ISAR1_EL1", 20, 1),
    "SPECRES": ("ID_AA64ISAR1_EL1", 40, 1),
    "EVT": ("ID_AA64MMFR2_EL1", 56, 1),
    "EVT_TTLBIS": ("ID_AA64MMFR2_EL1", 56, 2),
    "LS64_V": ("ID_AA64ISAR1_EL1", 60, 2),
    "FPAC": ("ID_AA64ISAR1_EL1", 4, 4),
    "FPAC, IMPLEMENTATION DEFINED": ("ID_AA64ISAR1_EL1", 8, 4),
    "LS64": ("ID_AA64ISAR1_EL1", 60, 1),
    "WFxT": ("ID_AA64ISAR2_EL1", 0, 2),
    "MOPS": ("ID_AA64ISAR2_EL1", 16, 1),
    "FGT": ("ID_AA64MMFR0_EL1", 56, 1),
    "ECV": ("ID_AA64MMFR0_EL1", 60, 1),
    "VH": ("ID_AA64MMFR1_EL1", 8, 1),
    "HCX": ("ID_AA64MMFR1_EL1", 40, 1),
    "TIDCP1": ("ID_AA64MMFR1_EL1", 52, 1),
    "NV": ("ID_AA64MMFR2_EL1", 24, 1),
    "NV2": ("ID_AA64MMFR2_EL1", 24, 2),
}
"""Where an ID register has a feature, and from which value on; 0b1111 is none, too."""

SCTLR_EL1, SCTLR_EL2 = 0x30D00800, 0x30C50830
"""As the guest has them: RES1 as of Armv8.0, and of HCR_EL2.E2H = 0; the MMU is off."""
EVERY_CASE = {
    # NS, HCE, RW, ST, APK, API, FIEN, EnSCXT, ATA, FGTEn, ECVEn, EnAS0, HXEn, GCSEn, EnTP2, RCWMASKEn, TCR2En,
    # SCTLR2En, PIEn, AIEn, D128En, EnFPM, PFAREn, SRMASKEn, EnIDCP128, FGTEn2
    "SCR_EL3": bits(0, 8, 10, 11, 16, 17, 21, 25, 26, 27, 28, 36, 38, 39, *range(41, 48), 50, 53, 54, 55, 59),
    "HCR_EL2": bits(31, 40, 41, 47, 53, 56),  # RW, APK, API, FIEN, EnSCXT, ATA
}
"""What the guest itself sets to less between cases: that there is an EL2, and that EL1 is in AArch64."""
BASE = {
    "CPTR_EL3": bits(8, 12),  # EZ, ESM; first, because without them what follows traps
    "ZCR_EL3": 0b1111,
    "SMCR_EL3": bits(0, 1, 2, 3, 31),
    "CPTR_EL2": 0x22FF,  # RES1 without TZ and TSM
    "HSTR_EL2": 0,
    "CNTHCTL_EL2": bits(0, 1),  # EL1PCTEN, EL1PCEN
    "CPACR_EL1": bits(16, 17, 20, 21, 24, 25),  # ZEN, FPEN, SMEN
    "CNTKCTL_EL1": bits(0, 1, 8, 9),  # EL0PCTEN, EL0VCTEN, EL0VTEN, EL0PTEN
    "PMUSERENR_EL0": bits(0, 1, 2, 3),
    # EnAS0, EnALS, EnASR, MSCEn, TCR2En, SCTLR2En, D128En, EnSNERR, EnSDERR, EnIDCP128, GCSEn, EnFPM, PACMEn, SRMASKEn
    "HCRX_EL2": bits(0, 1, 2, 11, 14, 15, 17, 18, 20, 21, 22, 23, 24, 26),
    "HFGRTR_EL2": bits(50, *range(52, 64)),  # the fields whose names begin with n, here and below
    "HFGWTR_EL2": bits(50, *range(52, 64)),
    "HFGITR_EL2": bits(*range(55, 60)),
    "HDFGRTR_EL2": bits(*range(59, 63)),
    "HDFGWTR_EL2": bits(60, 61, 62),
    "ZCR_EL2": 0b1111,
    "SMCR_EL2": bits(0, 1, 2, 3, 31),
    "SMPRI_EL1": 0,
    "GCSCRE0_EL1": bits(10),  # nTR
}
"""Under which nothing traps that has a register to trap it; set once."""
REGISTER_NEEDS = {
    "HCRX_EL2": "HCX",
    "HFGRTR_EL2": "FGT",
    "HFGWTR_EL2": "FGT",
    "HFGITR_EL2": "FGT",
    "HDFGRTR_EL2": "FGT",
    "HDFGWTR_EL2": "FGT",
    "ZCR_EL2": "SVE",
    "ZCR_EL3": "SVE",
    "SMCR_EL2": "SME",
    "SMCR_EL3": "SME",
    "SMPRI_EL1": "SME",
    "GCSCRE0_EL1": "GCS",
}
