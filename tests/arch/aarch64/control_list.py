"""Every declared control of translation and permission: where it is applied, or why nothing here hangs on it.

Data for test_controls.py, which holds both halves to the code: what is applied must change an answer, what is not must
change none.  By register, `APPLIED` has modules of gdbtools/arch/aarch64 with fields, `WITHOUT_EFFECT` reasons with
fields.  SCTLR_EL2 and TCR_EL2 are there in both of their layouts, by HCR_EL2.E2H.
"""

from __future__ import annotations

from collections.abc import Mapping

TRAP = "traps an instruction or undefines it: arch/aarch64/traps"
TAGS = "allocation tags: a tag check is no matter of the tables"
ASID = "which TLB entries are shared; arch/aarch64/borrowed.py asks TCR_ELx.A1 and AS for the operand of a TLBI"
WALKS = "how walks are cached: which copy of a table they read, where caches are incoherent"
PBHA = "page-based hardware attributes have no meaning of the architecture's"
WIDE = "128-bit descriptors only, and those are refused"
EXECUTION = "how instructions execute: none translates otherwise"
ROUTING = "where an exception or an interrupt goes: arch/aarch64/exceptions.py sees who took it"
DATA = "data, not walks: what a table says is what it says"
CHECKS = "rules of their own, not replayed: the syndrome says when one of them refused"
FETCHES = "the cacheability of fetches, and memory types are those of data"
SPACES = "which physical address space a Secure stage 2 leads to; a note says that it is not followed"
GRANULES = "the granule protection check, which a note says is not replayed"
ENCRYPTION = "which key encrypts memory"
UPDATED = "what hardware writes into tables: no stage is below that could refuse it"
SPECULATION = "non-fault and speculative accesses, about which nobody asks here"
NESTED_REGISTERS = "what a guest hypervisor's registers are, not what it translates"

_SCTLR_EL1_TRAPS = "TIDCP EnTP2 EnALS EnAS0 EnASR EnFPM MSCEn nTLSMD UCI TSCXT nTWE nTWI UCT DZE EnRCTX UMA"
_SCTLR_EXECUTION = "SPINTMASK NMI TME TMT DSSBS ITFSB EnIA EnIB EnDA EnDB EIS IESB EOS SA"
_SCTLR_EL1_EXECUTION = f"{_SCTLR_EXECUTION} TME0 TMT0 TWEDEL TWEDEn BT0 LSMAOE SPAN SED ITD CP15BEN SA0"
_TCR = "T0SZ TG0 SH0 DS HA HD"
_TCR_EL1 = f"{_TCR} T1SZ TG1 SH1 IPS EPD0 EPD1 HPD0 HPD1 TBI0 TBI1 TBID0 TBID1 MTX0 MTX1 E0PD0 E0PD1"
_ONE_TCR = f"{_TCR} PS HPD TBI TBID MTX"
_HWU = " ".join(f"HWU{half}{bit}" for half in (0, 1) for bit in range(59, 63))
_ONE_HWU = "HWU59 HWU60 HWU61 HWU62"
_TCR2 = "PnCH PIE E0POE POE AIE D128 FNG0 FNG1"

APPLIED: Mapping[str, Mapping[str, str]] = {
    "SCTLR_EL1": {"regimes": "M CMOW", "stage1": "C EE WXN", "permissions": "EPAN"},
    "SCTLR_EL2": {"regimes": "M CMOW", "stage1": "C EE WXN", "permissions": "EPAN"},
    "SCTLR_EL2, E2H=0": {"regimes": "M", "stage1": "C EE WXN"},
    "SCTLR_EL3": {"regimes": "M", "stage1": "C EE WXN"},
    "TCR_EL1": {"regimes, stage1": _TCR_EL1},
    "TCR_EL2": {"regimes, stage1": _TCR_EL1},
    "TCR_EL2, E2H=0": {"regimes, stage1": _ONE_TCR},
    "TCR_EL3": {"regimes, stage1": f"{_ONE_TCR} D128 AIE POE PIE PnCH"},
    "TCR2_EL1": {"regimes": _TCR2, "stage1": "HAFT"},
    "TCR2_EL2": {"regimes": _TCR2},
    "HCR_EL2": {
        "regimes": "VM DC TGE E2H NV NV1 RW DCT",
        "stage2": "PTW FWB CD",
    },
    "HCRX_EL2": {"regimes": "TCR2En", "stage2": "CMOW"},
    "SCR_EL3": {"security": "NS NSE SIF", "execution_state": "RW", "regimes": "EEL2 HXEn TCR2En PIEn"},
    "VTCR_EL2": {"regimes, stage2": "T0SZ SL0 SL2 TG0 SH0 PS DS HA HD S2PIE S2POE D128"},
    "VSTCR_EL2": {"regimes": "T0SZ SL0 SL2 TG0"},
    "GPCCR_EL3": {"regimes": "GPC"},
}

WITHOUT_EFFECT: Mapping[str, Mapping[str, str]] = {
    "SCTLR_EL1": {
        TRAP: _SCTLR_EL1_TRAPS,
        TAGS: "TCSO TCSO0 ATA ATA0 TCF TCF0",
        EXECUTION: f"{_SCTLR_EL1_EXECUTION} BT1 nAA A",
        DATA: "E0E",
        FETCHES: "I",
    },
    "SCTLR_EL2": {
        TRAP: _SCTLR_EL1_TRAPS.replace(" UMA", ""),
        TAGS: "TCSO TCSO0 ATA ATA0 TCF TCF0",
        EXECUTION: f"{_SCTLR_EL1_EXECUTION} BT nAA A",
        DATA: "E0E",
        FETCHES: "I",
    },
    "SCTLR_EL2, E2H=0": {TAGS: "TCSO ATA TCF", EXECUTION: f"{_SCTLR_EXECUTION} BT nAA A", FETCHES: "I"},
    "SCTLR_EL3": {TAGS: "TCSO ATA TCF", EXECUTION: f"{_SCTLR_EXECUTION} BT nAA A", FETCHES: "I"},
    "TCR_EL1": {
        TAGS: "TCMA0 TCMA1",
        SPECULATION: "NFD0 NFD1",
        PBHA: _HWU,
        ASID: "AS A1",
        WALKS: "ORGN0 IRGN0 ORGN1 IRGN1",
    },
    "TCR_EL2": {
        TAGS: "TCMA0 TCMA1",
        SPECULATION: "NFD0 NFD1",
        PBHA: _HWU,
        ASID: "AS A1",
        WALKS: "ORGN0 IRGN0 ORGN1 IRGN1",
    },
    "TCR_EL2, E2H=0": {TAGS: "TCMA", PBHA: _ONE_HWU, WALKS: "ORGN0 IRGN0"},
    "TCR_EL3": {TAGS: "TCMA", PBHA: _ONE_HWU, WALKS: "ORGN0 IRGN0 PTTWI", WIDE: "DisCH0", UPDATED: "HAFT"},
    "TCR2_EL1": {ASID: "A2 FNGNA0 FNGNA1", WIDE: "DisCH0 DisCH1", WALKS: "PTTWI"},
    "TCR2_EL2": {ASID: "A2", WIDE: "DisCH0 DisCH1", WALKS: "PTTWI", ENCRYPTION: "AMEC0 AMEC1", UPDATED: "HAFT"},
    "HCR_EL2": {
        TRAP: (
            "TWEDEL TWEDEn TID5 TTLBOS TTLBIS EnSCXT TOCU TICAB TID4 FIEN AT API APK TERR TLOR TRVM HCD TDZ TVM TTLB "
            "TPU TPCP TSW TACR TIDCP TSC TID3 TID2 TID1 TID0 TWE TWI"
        ),
        TAGS: "ATA",
        ROUTING: "GPF TEA VSE VI VF AMO IMO FMO",
        EXECUTION: "AMVOFFEN TME BSU FB SWIO",
        NESTED_REGISTERS: "NV2",
        WALKS: "MIOCNCE",
        FETCHES: "ID",
    },
    "HCRX_EL2": {
        TRAP: (
            "NVnTTLBOS NVnTTLBIS NVnTTLB SRMASKEn EnFPM EnIDCP128 D128En SCTLR2En MSCEn TALLINT "
            "FGTnXS EnASR EnALS EnAS0"
        ),
        ROUTING: "EnSDERR TMEA EnSNERR MCE2 VFNMI VINMI",
        EXECUTION: "FNB VTLBIDOSEn FDIT VTLBIDEn PACMEn SMPME FnXS GCSEn",
        NESTED_REGISTERS: "NVTGE",
        WALKS: "PTTWI",
    },
    "SCR_EL3": {
        TRAP: (
            "HACDBSEn HDBSSEn FGTEn2 VTLBIDEn EnIDCP128 SRMASKEn PFAREn TWERR EnFPM MECEn D128En AIEn SCTLR2En "
            "RCWMASKEn EnTP2 TRNDR ADEn EnAS0 TWEDEL TWEDEn ECVEn FGTEn EnSCXT TID5 TID3 FIEN API APK TERR TLOR TWE "
            "TWI ST HCE SMD"
        ),
        TAGS: "ATA",
        ROUTING: "EnDSE DSE TMEA GPF NMEA EASE EA FIQ IRQ",
        EXECUTION: "GCSEn AMVOFFEN TME",
    },
    "VTCR_EL2": {
        CHECKS: "TL0 GCSH TL1 AssuredOnly",
        "where hardware writes down what it made dirty": "HDBSS",
        UPDATED: "HAFT",
        SPACES: "NSA NSW",
        PBHA: _ONE_HWU,
        ASID: "VS",
        WALKS: "ORGN0 IRGN0",
    },
    "VSTCR_EL2": {SPACES: "SA SW"},
    "GPCCR_EL3": {
        GRANULES: ("GPCBW NA7 NA6 NSP SA APPSAA L0GPTSZ NSO TBGPCD GPCP PGS SH ORGN IRGN SPAD NSPAD RLPAD PPS3 PPS"),
    },
}
