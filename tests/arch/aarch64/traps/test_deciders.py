"""Which control decided a trap: rows from the manual's pseudocode, KVM's tables, and a QEMU with each bit flipped.

The rows were read off the accessor pseudocode of the register or instruction they name, and the fields' descriptions.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch.aarch64 import syndrome
from gdbtools.arch.aarch64.instructions import set_way
from gdbtools.arch.aarch64.instructions.system_instructions import Operation, name
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, HCRX_EL2, SCR_EL3
from gdbtools.arch.aarch64.registers.translation import SCTLR
from gdbtools.arch.aarch64.syndrome import EC
from gdbtools.arch.aarch64.traps import fine_grained, registers
from gdbtools.arch.aarch64.traps.deciders import deciders
from gdbtools.arch.aarch64.traps.rules import rules
from gdbtools.arch.model import ReadRegister
from gdbtools.bits import Word
from gdbtools.errors import Unavailable
from tests.guests.headers import kernel_headers
from tests.guests.packages import linux_source

R, W = True, False
LAYOUTS: Mapping[str, type[Word]] = {
    **registers.DECLARED,
    **registers.WITHOUT_HOST,
    **fine_grained.DECLARED,
    "HCR_EL2": HCR_EL2,
    "HCRX_EL2": HCRX_EL2,
    "SCR_EL3": SCR_EL3,
    "SCTLR_EL1": SCTLR,
}
UNDER_HOST = {"CPTR_EL2": registers.CPACR_EL1, "CNTHCTL_EL2": registers.CNTKCTL_EL1}
UNDER_HOST["SCTLR_EL2"] = registers.DECLARED["SCTLR_EL2"]


@cache
def operations() -> Mapping[str, Operation]:
    space = (Operation(*each) for each in product((0, 1, 2, 3), range(8), range(16), range(16), range(8)))
    return {name(each, read): each for each in space for read in (R, W)}


def encoded(operation: Operation, read: bool, exception_class: EC = EC.SYSTEM) -> int:
    op0, op1, CRn, CRm, op2 = operation
    return exception_class << 26 | 1 << 25 | op0 << 20 | op2 << 17 | op1 << 14 | CRn << 10 | CRm << 1 | read


def system(what: str, read: bool = W) -> int:
    return encoded(operations()[what], read)


def pair(what: str, read: bool = W) -> int:
    return encoded(operations()[what], read, EC.SYSTEM_128)


def coprocessor(opc1: int, CRn: int, CRm: int, opc2: int, read: bool, exception_class: EC = EC.CP15_MCR_MRC) -> int:
    return exception_class << 26 | 1 << 25 | opc2 << 17 | opc1 << 14 | CRn << 10 | CRm << 1 | read


def other(exception_class: EC, iss: int = 0) -> int:
    return exception_class << 26 | 1 << 25 | iss


def machine(settings: str) -> ReadRegister:
    """Read registers as `HCR_EL2.TVM=1 SCR_EL3.HXEn`, a register alone being 0, and a field alone 1."""
    host = "HCR_EL2.E2H" in settings
    values: dict[str, Word] = {}
    for each in settings.split():
        register, _, assignment = each.partition(".")
        field, _, value = assignment.partition("=")
        layout = {**LAYOUTS, **(UNDER_HOST if host else {})}.get(register, Word)
        word = values.setdefault(register, layout(0))
        if field:
            values[register] = word.with_(**{field: int(value or "1", 0)})

    def register_value(wanted: str) -> int:
        if wanted not in values:
            raise Unavailable(wanted)
        return values[wanted]

    return register_value


def fields(esr: int, el: int, target: int, register: ReadRegister) -> set[str]:
    return {f"{holder}.{value.field.name}" for holder, value in deciders(syndrome.decode(esr), el, target, register)}


GUEST = "HCR_EL2 "
HOST = "HCR_EL2.E2H HCR_EL2.TGE "
# The syndrome, the levels it is from and to, the controls, and the fields that decide.
ROWS: tuple[tuple[int, int, int, str, str], ...] = (
    # HCR_EL2: the virtual memory controls.
    (system("SCTLR_EL1"), 1, 2, "HCR_EL2.TVM", "HCR_EL2.TVM"),
    (system("SCTLR_EL1", R), 1, 2, "HCR_EL2.TVM", ""),
    (system("SCTLR_EL1", R), 1, 2, "HCR_EL2.TRVM", "HCR_EL2.TRVM"),
    (system("CONTEXTIDR_EL1"), 1, 2, "HCR_EL2.TVM", "HCR_EL2.TVM"),
    (system("VBAR_EL1"), 1, 2, "HCR_EL2.TVM", ""),
    (system("POR_EL0"), 0, 2, "HCR_EL2.TVM", "HCR_EL2.TVM"),
    (system("POR_EL0"), 0, 2, HOST + "HCR_EL2.TVM CPTR_EL2", "CPTR_EL2.E0POE"),
    (
        system("MAIR2_EL1", R),
        1,
        2,
        "HCR_EL2.TRVM SCR_EL3.NS SCR_EL3.FGTEn HFGRTR_EL2",
        "HCR_EL2.TRVM HFGRTR_EL2.nMAIR2_EL1",
    ),
    (pair("TTBR0_EL1"), 1, 2, "HCR_EL2.TVM HCRX_EL2.D128En", "HCR_EL2.TVM"),
    (pair("TTBR0_EL1"), 1, 2, "HCR_EL2 HCRX_EL2", "HCRX_EL2.D128En"),
    (system("TTBR0_EL1"), 1, 2, "HCR_EL2 HCRX_EL2", ""),
    # HCR_EL2: caches and TLBs.
    (system("DC CISW"), 1, 2, "HCR_EL2.TSW HCR_EL2.TPCP", "HCR_EL2.TSW"),
    (system("DC CIVAC"), 0, 2, "HCR_EL2.TPCP SCTLR_EL1.UCI", "HCR_EL2.TPCP"),
    (system("DC CIVAC"), 0, 1, "HCR_EL2.TPCP SCTLR_EL1", "SCTLR_EL1.UCI"),
    (system("DC CIVAC"), 0, 2, HOST + "HCR_EL2.TPCP SCTLR_EL1 SCTLR_EL2", "SCTLR_EL2.UCI"),
    (system("DC CVAU"), 1, 2, "HCR_EL2.TPU HCR_EL2.TOCU HCR_EL2.TICAB", "HCR_EL2.TPU HCR_EL2.TOCU"),
    (system("IC IALLUIS"), 1, 2, "HCR_EL2.TPU HCR_EL2.TOCU HCR_EL2.TICAB", "HCR_EL2.TPU HCR_EL2.TICAB"),
    (system("DC ZVA"), 1, 2, "HCR_EL2.TDZ", "HCR_EL2.TDZ"),
    (system("DC ZVA"), 0, 1, "HCR_EL2.TDZ SCTLR_EL1", "SCTLR_EL1.DZE"),
    (system("TLBI VAE1IS"), 1, 2, "HCR_EL2.TTLBIS HCR_EL2.TTLBOS", "HCR_EL2.TTLBIS"),
    (system("TLBI RVALE1OSNXS"), 1, 2, "HCR_EL2.TTLBIS HCR_EL2.TTLBOS", "HCR_EL2.TTLBOS"),
    (system("TLBI VMALLE1"), 1, 2, "HCR_EL2.TTLB HCR_EL2.TTLBIS HCR_EL2.TTLBOS", "HCR_EL2.TTLB"),
    (system("TLBI IPAS2E1IS"), 1, 2, "HCR_EL2.TTLB HCR_EL2.TTLBIS HCR_EL2.NV", "HCR_EL2.NV"),
    # HCR_EL2: identification.
    (system("CTR_EL0", R), 0, 1, "SCTLR_EL1 HCR_EL2.TID2", "SCTLR_EL1.UCT"),
    (system("CTR_EL0", R), 0, 2, "SCTLR_EL1.UCT HCR_EL2.TID2", "HCR_EL2.TID2"),
    (system("CTR_EL0", R), 0, 2, HOST + "SCTLR_EL1 SCTLR_EL2 HCR_EL2.TID2", "SCTLR_EL2.UCT"),
    (system("CTR_EL0", R), 0, 2, "SCTLR_EL1 HCR_EL2.TGE", "SCTLR_EL1.UCT HCR_EL2.TGE"),
    (system("CSSELR_EL1"), 1, 2, "HCR_EL2.TID2 HCR_EL2.TID4", "HCR_EL2.TID2 HCR_EL2.TID4"),
    (system("ID_AA64MMFR0_EL1", R), 1, 2, "HCR_EL2.TID3 HCR_EL2.TID1", "HCR_EL2.TID3"),
    (system("S3_0_C0_C7_7", R), 1, 2, "HCR_EL2.TID3", "HCR_EL2.TID3"),
    (system("MIDR_EL1", R), 1, 2, "HCR_EL2.TID3 HCR_EL2.TID1", ""),
    (system("REVIDR_EL1", R), 1, 2, "HCR_EL2.TID1", "HCR_EL2.TID1"),
    (system("GMID_EL1", R), 1, 2, "HCR_EL2.TID5", "HCR_EL2.TID5"),
    # HCR_EL2: the rest.
    (system("ACTLR_EL1"), 1, 2, "HCR_EL2.TACR", "HCR_EL2.TACR"),
    (system("S3_4_C15_C2_7"), 1, 2, "HCR_EL2.TIDCP", "HCR_EL2.TIDCP"),
    (system("S3_3_C11_C2_7"), 0, 1, "HCR_EL2.TIDCP SCTLR_EL1.TIDCP", "SCTLR_EL1.TIDCP"),
    (system("AT S1E1R"), 1, 2, "HCR_EL2.AT", "HCR_EL2.AT"),
    (system("AT S12E1R"), 1, 2, "HCR_EL2.AT HCR_EL2.NV", "HCR_EL2.NV"),
    (system("ERXSTATUS_EL1"), 1, 2, "HCR_EL2.TERR", "HCR_EL2.TERR"),
    (system("ERXPFGF_EL1", R), 1, 2, "HCR_EL2.TERR", "HCR_EL2.FIEN"),
    (system("LORN_EL1"), 1, 2, "HCR_EL2.TLOR", "HCR_EL2.TLOR"),
    (system("APIAKeyLo_EL1"), 1, 2, "HCR_EL2", "HCR_EL2.APK"),
    (other(EC.POINTER_AUTHENTICATION), 1, 2, "HCR_EL2 SCR_EL3.NS", "HCR_EL2.API"),
    (other(EC.POINTER_AUTHENTICATION), 2, 3, "HCR_EL2 SCR_EL3.NS", "SCR_EL3.API"),
    (system("GCR_EL1"), 1, 2, "HCR_EL2", "HCR_EL2.ATA"),
    (system("SCXTNUM_EL0"), 0, 1, "HCR_EL2.EnSCXT SCTLR_EL1.TSCXT", "SCTLR_EL1.TSCXT"),
    (system("SCXTNUM_EL0"), 0, 2, "HCR_EL2 SCTLR_EL1", "HCR_EL2.EnSCXT"),
    (system("SCXTNUM_EL0"), 0, 2, HOST + "SCTLR_EL2", ""),
    (system("ICC_SGI1R_EL1"), 1, 2, "HCR_EL2.IMO ICH_HCR_EL2.TC", "HCR_EL2.IMO ICH_HCR_EL2.TC"),
    (system("SP_EL1"), 1, 2, "HCR_EL2.NV", "HCR_EL2.NV HCR_EL2.NV2"),
    (system("VTTBR_EL2"), 1, 2, "HCR_EL2.NV", "HCR_EL2.NV"),
    (system("SCTLR_EL12"), 1, 2, "HCR_EL2.NV", "HCR_EL2.NV"),
    (system("VBAR_EL1"), 1, 2, "HCR_EL2.NV HCR_EL2.NV1", "HCR_EL2.NV HCR_EL2.NV1 HCR_EL2.NV2"),
    (system("VBAR_EL1"), 1, 2, "HCR_EL2.NV HCR_EL2.NV1 HCR_EL2.NV2", ""),
    (other(EC.ERET), 1, 2, "HCR_EL2.NV HFGITR_EL2.ERET", "HCR_EL2.NV HFGITR_EL2.ERET"),
    (other(EC.SMC), 1, 2, "HCR_EL2.TSC", "HCR_EL2.TSC"),
    (other(EC.SMC), 1, 3, "HCR_EL2 SCR_EL3", ""),
    (other(EC.HVC), 1, 2, "HCR_EL2.TSC HCR_EL2.TVM", ""),
    # WFI and WFE.
    (other(EC.WF, 0), 0, 1, "SCTLR_EL1.nTWE HCR_EL2.TWI", "SCTLR_EL1.nTWI"),
    (other(EC.WF, 0), 1, 2, "HCR_EL2.TWI HCR_EL2.TWE", "HCR_EL2.TWI"),
    (other(EC.WF, 1), 1, 2, "HCR_EL2.TWI HCR_EL2.TWE", "HCR_EL2.TWE"),
    (other(EC.WF, 3), 0, 2, "SCTLR_EL1.nTWE HCR_EL2.TWE", "HCR_EL2.TWE"),
    (other(EC.WF, 2), 2, 3, "SCR_EL3.TWI SCR_EL3.TWE", "SCR_EL3.TWI"),
    (other(EC.WF, 0), 0, 2, HOST + "SCTLR_EL2 HCR_EL2.TWI", "SCTLR_EL2.nTWI"),
    # What EL0 raises, and where TGE takes it.
    (other(EC.SVC), 0, 1, "HCR_EL2", ""),
    (other(EC.SVC), 0, 2, "HCR_EL2.TGE", "HCR_EL2.TGE"),
    (other(EC.SVC), 0, 2, "HCR_EL2 SCR_EL3.FGTEn HFGITR_EL2.SVC_EL0", "HFGITR_EL2.SVC_EL0"),
    (other(EC.SVC), 1, 2, "HCR_EL2 HFGITR_EL2.SVC_EL0 HFGITR_EL2.SVC_EL1", "HFGITR_EL2.SVC_EL1"),
    (other(EC.BRK), 0, 2, "HCR_EL2.TGE MDCR_EL2.TDE", "HCR_EL2.TGE MDCR_EL2.TDE"),
    (other(EC.BRK), 1, 2, "HCR_EL2 MDCR_EL2.TDE", "MDCR_EL2.TDE"),
    (other(EC.MEMORY_OPERATION), 1, 2, "HCR_EL2 HCRX_EL2.MCE2", "HCRX_EL2.MCE2"),
    (other(EC.FLOATING_POINT_ACCESS), 0, 2, "HCR_EL2.TGE CPTR_EL2.TFP", "CPTR_EL2.TFP"),
    (system("DAIF"), 0, 1, "HCR_EL2 SCTLR_EL1", "SCTLR_EL1.UMA"),
    (system("DAIFSet"), 0, 1, "HCR_EL2 SCTLR_EL1", "SCTLR_EL1.UMA"),
    (system("DAIF"), 0, 2, HOST + "SCTLR_EL1", "HCR_EL2.E2H HCR_EL2.TGE"),
    # Floating-point, SVE, SME.
    (other(EC.FLOATING_POINT_ACCESS), 0, 1, "HCR_EL2 CPACR_EL1.FPEN=1", "CPACR_EL1.FPEN"),
    (other(EC.FLOATING_POINT_ACCESS), 1, 1, "HCR_EL2 CPACR_EL1.FPEN=1", ""),
    (other(EC.FLOATING_POINT_ACCESS), 1, 1, "HCR_EL2 CPACR_EL1.FPEN=2", "CPACR_EL1.FPEN"),
    (other(EC.FLOATING_POINT_ACCESS), 1, 2, "HCR_EL2 CPTR_EL2.TFP", "CPTR_EL2.TFP"),
    (other(EC.FLOATING_POINT_ACCESS), 1, 2, "HCR_EL2.E2H CPTR_EL2.FPEN=1", ""),
    (other(EC.FLOATING_POINT_ACCESS), 0, 2, HOST + "CPTR_EL2.FPEN=1", "CPTR_EL2.FPEN"),
    (other(EC.FLOATING_POINT_ACCESS), 0, 2, "HCR_EL2.E2H CPTR_EL2.FPEN=1", ""),
    (other(EC.FLOATING_POINT_ACCESS), 2, 2, "HCR_EL2.E2H CPTR_EL2.FPEN=2", "CPTR_EL2.FPEN"),
    (other(EC.FLOATING_POINT_ACCESS), 3, 3, "CPTR_EL3.TFP", "CPTR_EL3.TFP"),
    (other(EC.SVE_ACCESS), 1, 2, "HCR_EL2 CPTR_EL2.TZ CPTR_EL2.TFP", "CPTR_EL2.TZ"),
    (other(EC.SVE_ACCESS), 0, 2, "HCR_EL2.TGE CPACR_EL1 CPTR_EL2", "CPACR_EL1.ZEN HCR_EL2.TGE"),
    (other(EC.SVE_ACCESS), 1, 3, "CPTR_EL3", "CPTR_EL3.EZ"),
    (other(EC.SME_ACCESS, 0), 1, 1, "HCR_EL2 CPACR_EL1", "CPACR_EL1.SMEN"),
    (other(EC.SME_ACCESS, 4), 1, 1, "HCR_EL2 CPACR_EL1 SMCR_EL1", "SMCR_EL1.EZT0"),
    (other(EC.SME_ACCESS, 1), 1, 1, "HCR_EL2 CPACR_EL1 SMCR_EL1", ""),
    (system("SMPRI_EL1"), 1, 3, "CPTR_EL3", "CPTR_EL3.ESM"),
    # CPACR_EL1, CPTR_ELx: who may say so, and the trace registers.
    (system("CPACR_EL1"), 1, 2, "HCR_EL2 CPTR_EL2.TCPAC", "CPTR_EL2.TCPAC"),
    (system("CPTR_EL2"), 2, 3, "CPTR_EL3.TCPAC", "CPTR_EL3.TCPAC"),
    (system("TRCOSLSR", R), 1, 2, "HCR_EL2 CPTR_EL2.TTA", "CPTR_EL2.TTA"),
    (system("TRCOSLSR", R), 1, 2, "HCR_EL2.E2H CPTR_EL2.TTA", "CPTR_EL2.TTA"),
    (system("TRCOSLSR", R), 1, 1, "HCR_EL2 CPACR_EL1.TTA", "CPACR_EL1.TTA"),
    (system("AMCFGR_EL0", R), 0, 2, "HCR_EL2 CPTR_EL2.TAM AMUSERENR_EL0.EN", "CPTR_EL2.TAM"),
    (system("AMCFGR_EL0", R), 0, 1, "HCR_EL2 CPTR_EL2.TAM AMUSERENR_EL0", "AMUSERENR_EL0.EN"),
    (system("AMEVCNTR115_EL0", R), 1, 2, "HCR_EL2 HAFGRTR_EL2.AMEVCNTR115_EL0", "HAFGRTR_EL2.AMEVCNTR115_EL0"),
    (system("AMEVCNTR115_EL0", W), 1, 2, "HCR_EL2 HAFGRTR_EL2.AMEVCNTR115_EL0", ""),
    # The timers and counters.
    (system("CNTPCT_EL0", R), 1, 2, "HCR_EL2 CNTHCTL_EL2", "CNTHCTL_EL2.EL1PCTEN"),
    (system("CNTPCT_EL0", R), 1, 2, "HCR_EL2.E2H CNTHCTL_EL2.EL0PCTEN", "CNTHCTL_EL2.EL1PCTEN"),
    (system("CNTPCT_EL0", R), 0, 2, HOST + "CNTHCTL_EL2.EL1PCTEN", "CNTHCTL_EL2.EL0PCTEN"),
    (system("CNTPCT_EL0", R), 0, 1, "HCR_EL2 CNTHCTL_EL2 CNTKCTL_EL1", "CNTKCTL_EL1.EL0PCTEN"),
    (system("CNTP_CTL_EL0"), 1, 2, "HCR_EL2 CNTHCTL_EL2.EL1PCTEN", "CNTHCTL_EL2.EL1PCEN"),
    (system("CNTP_CTL_EL0"), 0, 2, "HCR_EL2.TGE CNTKCTL_EL1", "CNTKCTL_EL1.EL0PTEN HCR_EL2.TGE"),
    (system("CNTV_CTL_EL0"), 1, 2, "HCR_EL2 CNTHCTL_EL2.EL1TVT", "CNTHCTL_EL2.EL1TVT"),
    (system("CNTVCT_EL0", R), 0, 2, "HCR_EL2 CNTKCTL_EL1.EL0VCTEN CNTHCTL_EL2.EL1TVCT", "CNTHCTL_EL2.EL1TVCT"),
    (system("CNTFRQ_EL0", R), 0, 1, "HCR_EL2 CNTKCTL_EL1", "CNTKCTL_EL1.EL0PCTEN CNTKCTL_EL1.EL0VCTEN"),
    (system("CNTFRQ_EL0", R), 0, 1, "HCR_EL2 CNTKCTL_EL1.EL0VCTEN", ""),
    (system("CNTPS_CTL_EL1"), 1, 3, "SCR_EL3", "SCR_EL3.ST"),
    (
        system("CNTP_CTL_EL02"),
        1,
        2,
        "HCR_EL2.NV HCR_EL2.NV2 CNTHCTL_EL2.EL1NVPCT",
        "HCR_EL2.NV HCR_EL2.NV1 HCR_EL2.NV2 CNTHCTL_EL2.EL1NVPCT",
    ),
    # Debug, and the monitors.
    (system("MDSCR_EL1"), 1, 2, "HCR_EL2 MDCR_EL2.TDA", "MDCR_EL2.TDA"),
    (system("MDSCR_EL1"), 1, 2, "HCR_EL2 MDCR_EL2.TDE", "MDCR_EL2.TDE"),
    (system("MDRAR_EL1", R), 1, 2, "HCR_EL2 MDCR_EL2.TDA MDCR_EL2.TDRA", "MDCR_EL2.TDRA"),
    (system("OSLAR_EL1"), 1, 2, "HCR_EL2 MDCR_EL2.TDOSA", "MDCR_EL2.TDOSA"),
    (system("MDCCSR_EL0", R), 0, 1, "HCR_EL2 MDSCR_EL1.TDCC", "MDSCR_EL1.TDCC"),
    (system("MDCCSR_EL0", R), 0, 2, "HCR_EL2.TGE MDSCR_EL1", "HCR_EL2.TGE"),
    (system("MDCCSR_EL0", R), 1, 2, "HCR_EL2 MDCR_EL2.TDCC", "MDCR_EL2.TDCC"),
    (system("DBGBVR3_EL1"), 2, 3, "MDCR_EL3.TDA", "MDCR_EL3.TDA"),
    (system("PMCR_EL0"), 1, 2, "HCR_EL2 MDCR_EL2.TPMCR", "MDCR_EL2.TPMCR"),
    (system("PMCR_EL0"), 0, 2, HOST + "PMUSERENR_EL0.EN MDCR_EL2.TPM", "MDCR_EL2.TPM"),
    (system("PMCR_EL0"), 0, 1, "HCR_EL2 PMUSERENR_EL0", "PMUSERENR_EL0.EN"),
    (system("PMCCNTR_EL0", R), 0, 1, "HCR_EL2 PMUSERENR_EL0", "PMUSERENR_EL0.EN PMUSERENR_EL0.CR"),
    (system("PMCCNTR_EL0", R), 0, 1, "HCR_EL2 PMUSERENR_EL0.CR", ""),
    (system("PMCCNTR_EL0", W), 0, 1, "HCR_EL2 PMUSERENR_EL0.CR", "PMUSERENR_EL0.EN"),
    (system("PMSWINC_EL0"), 0, 1, "HCR_EL2 PMUSERENR_EL0.ER", "PMUSERENR_EL0.EN PMUSERENR_EL0.SW"),
    (system("PMEVCNTR5_EL0"), 1, 2, "HCR_EL2 MDCR_EL2.HPMN=5", "MDCR_EL2.HPMN"),
    (system("PMEVCNTR5_EL0"), 1, 2, "HCR_EL2 MDCR_EL2.HPMN=6", ""),
    (system("PMSCR_EL1"), 1, 2, "HCR_EL2 MDCR_EL2.TPMS", "MDCR_EL2.TPMS"),
    (system("PMBLIMITR_EL1"), 1, 2, "HCR_EL2 MDCR_EL2.E2PB=2", "MDCR_EL2.E2PB"),
    (system("PMBLIMITR_EL1"), 1, 2, "HCR_EL2 MDCR_EL2.E2PB=3", ""),
    (system("PMBLIMITR_EL1"), 1, 3, "MDCR_EL3.NSPB=1 SCR_EL3.NS", "MDCR_EL3.NSPB SCR_EL3.NS"),
    (system("PMBLIMITR_EL1"), 1, 3, "MDCR_EL3.NSPB=3 SCR_EL3.NS", ""),
    (system("TRFCR_EL1"), 1, 2, "HCR_EL2 MDCR_EL2.TTRF", "MDCR_EL2.TTRF"),
    # HCRX_EL2, and what makes all of it count as 0.
    (system("TCR2_EL1"), 1, 2, "HCR_EL2 HCRX_EL2", "HCRX_EL2.TCR2En"),
    (system("TCR2_EL1"), 1, 2, "HCR_EL2 HCRX_EL2.TCR2En SCR_EL3.NS", "SCR_EL3.HXEn"),
    (system("TCR2_EL1"), 1, 2, "HCR_EL2", ""),
    (system("ALLINT"), 1, 2, "HCR_EL2 HCRX_EL2.TALLINT", "HCRX_EL2.TALLINT"),
    (system("ALLINT", R), 1, 2, "HCR_EL2 HCRX_EL2.TALLINT", ""),
    (system("FPMR"), 0, 2, "HCR_EL2 SCTLR_EL1.EnFPM HCRX_EL2", "HCRX_EL2.EnFPM"),
    (other(EC.OTHER_INSTRUCTION, 2), 0, 1, "HCR_EL2 SCTLR_EL1.EnASR", "SCTLR_EL1.EnALS"),
    (other(EC.OTHER_INSTRUCTION, 0), 1, 2, "HCR_EL2 HCRX_EL2.EnALS", "HCRX_EL2.EnASR"),
    (other(EC.OTHER_INSTRUCTION, 1), 2, 3, "SCR_EL3", "SCR_EL3.EnAS0"),
    (other(EC.OTHER_INSTRUCTION, 4), 1, 2, "HCR_EL2 HFGITR_EL2.PSBCSYNC", "HFGITR_EL2.PSBCSYNC"),
    # Fine-grained traps, and what turns them off.
    (system("TPIDR_EL0"), 0, 2, "HCR_EL2 HFGWTR_EL2.TPIDR_EL0", "HFGWTR_EL2.TPIDR_EL0"),
    (system("TPIDR_EL0"), 0, 2, HOST + "HFGWTR_EL2.TPIDR_EL0", ""),
    (system("TPIDR_EL0", R), 0, 2, "HCR_EL2 HFGWTR_EL2.TPIDR_EL0", ""),
    (system("TPIDR_EL0"), 0, 2, "HCR_EL2 SCR_EL3.NS HFGWTR_EL2.TPIDR_EL0", ""),
    (system("TPIDR2_EL0"), 1, 2, "HCR_EL2 HFGWTR_EL2", "HFGWTR_EL2.nTPIDR2_EL0"),
    (system("TPIDR2_EL0"), 1, 2, "HCR_EL2 SCR_EL3.NS HFGWTR_EL2", ""),
    (system("PFAR_EL1"), 1, 2, "HCR_EL2 SCR_EL3.NS HFGWTR2_EL2.nPFAR_EL1", "SCR_EL3.FGTEn2"),
    (system("PFAR_EL1"), 1, 2, "HCR_EL2 SCR_EL3.NS", ""),
    (system("TLBI VAE1NXS"), 1, 2, "HCR_EL2 HFGITR_EL2.TLBIVAE1 HCRX_EL2.FGTnXS", ""),
    (system("TLBI VAE1NXS"), 1, 2, "HCR_EL2 HFGITR_EL2.TLBIVAE1 HCRX_EL2", "HFGITR_EL2.TLBIVAE1 HCRX_EL2.FGTnXS"),
    (system("GCSPUSHX"), 1, 2, "HCR_EL2 HFGITR_EL2", "HFGITR_EL2.nGCSEPP"),
    (system("GCSPOPX"), 1, 2, "HCR_EL2 HFGITR_EL2", ""),
    (system("GCSPUSHM"), 1, 1, "HCR_EL2 GCSCR_EL1", "GCSCR_EL1.PUSHMEn"),
    (system("GCSPUSHM"), 0, 2, HOST + "GCSCRE0_EL1", "GCSCRE0_EL1.PUSHMEn HCR_EL2.TGE"),
    (system("GCSPR_EL0", R), 0, 1, "HCR_EL2 GCSCRE0_EL1", "GCSCRE0_EL1.nTR"),
    (other(EC.GUARDED_CONTROL_STACK, 2 << 20), 1, 1, "HCR_EL2 GCSCR_EL1", "GCSCR_EL1.STREn"),
    (system("VBAR_EL3"), 3, 3, "FGWTE3_EL3.VBAR_EL3", "FGWTE3_EL3.VBAR_EL3"),
    # EL3.
    (system("HCRX_EL2"), 2, 3, "SCR_EL3", "SCR_EL3.HXEn"),
    (system("HFGRTR_EL2"), 2, 3, "SCR_EL3", "SCR_EL3.FGTEn"),
    (system("HFGRTR2_EL2"), 2, 3, "SCR_EL3", "SCR_EL3.FGTEn2"),
    (system("RNDR", R), 0, 3, "SCR_EL3.TRNDR", "SCR_EL3.TRNDR"),
    (system("ERXFR_EL1", R), 2, 3, "SCR_EL3.TERR", "SCR_EL3.TERR"),
    (system("ERXADDR_EL1"), 1, 3, "SCR_EL3.TWERR", "SCR_EL3.TWERR"),
    (system("PIR_EL12"), 2, 3, "SCR_EL3", "SCR_EL3.PIEn"),
    (system("ICC_IAR1_EL1", R), 2, 3, "SCR_EL3.IRQ", "SCR_EL3.IRQ"),
    (system("ICC_SRE_EL1", R), 1, 2, "HCR_EL2 ICC_SRE_EL2", "ICC_SRE_EL2.Enable"),
    # The GIC, MPAM.
    (system("ICC_IAR1_EL1", R), 1, 2, "HCR_EL2 ICH_HCR_EL2.TALL1 ICH_HCR_EL2.TALL0", "ICH_HCR_EL2.TALL1"),
    (system("ICC_DIR_EL1"), 1, 2, "HCR_EL2 ICH_HCR_EL2.TDIR ICH_HCR_EL2.TC", "ICH_HCR_EL2.TDIR ICH_HCR_EL2.TC"),
    (system("MPAM1_EL1"), 1, 2, "HCR_EL2 MPAM2_EL2.TRAPMPAM1EL1", "MPAM2_EL2.TRAPMPAM1EL1"),
    # AArch32 below a level in AArch64.
    (coprocessor(0, 1, 0, 0, W), 1, 2, "HCR_EL2.TVM", "HCR_EL2.TVM"),
    (coprocessor(0, 1, 0, 0, W), 1, 2, "HCR_EL2 HFGWTR_EL2.SCTLR_EL1", ""),
    (coprocessor(0, 7, 14, 2, W), 1, 2, "HCR_EL2.TSW HSTR_EL2.T7", "HCR_EL2.TSW HSTR_EL2.T7"),
    (coprocessor(0, 14, 2, 1, R), 0, 1, "HCR_EL2 CNTKCTL_EL1", "CNTKCTL_EL1.EL0PTEN"),
    (coprocessor(0, 9, 13, 0, R), 0, 2, "HCR_EL2 HSTR_EL2.T9 HFGITR_EL2", "HSTR_EL2.T9"),
    (coprocessor(0, 9, 13, 0, R), 0, 2, HOST + "HSTR_EL2.T9", ""),
    (coprocessor(0, 0, 1, 4, R), 1, 2, "HCR_EL2.TID3", "HCR_EL2.TID3"),
    (coprocessor(7, 0, 0, 0, R, EC.VMRS), 1, 2, "HCR_EL2.TID0 HCR_EL2.TID3", "HCR_EL2.TID0"),
    (coprocessor(7, 7, 0, 0, R, EC.VMRS), 1, 2, "HCR_EL2.TID0 HCR_EL2.TID3", "HCR_EL2.TID3"),
)


@pytest.mark.parametrize(("esr", "el", "target", "controls", "expected"), ROWS)
def test_the_pseudocode_s_decision(esr: int, el: int, target: int, controls: str, expected: str) -> None:
    assert fields(esr, el, target, machine(controls)) == set(expected.split()), syndrome.decode(esr).instruction


def test_without_the_controls_nothing_is_said_to_decide() -> None:
    for esr, el, target, *_ in ROWS:
        assert fields(esr, el, target, machine("")) == set()


def test_the_value_is_the_register_s_own() -> None:
    ((holder, value),) = deciders(
        syndrome.decode(other(EC.FLOATING_POINT_ACCESS)), 0, 1, machine("HCR_EL2 CPACR_EL1.FPEN=1")
    )
    assert (holder, value.field, value.value) == ("CPACR_EL1", registers.CPACR_EL1.FPEN, 1)


def test_where_el2_is_not_enabled_its_bits_count_for_nothing() -> None:
    secure = machine("HCR_EL2.TGE SCTLR_EL1 SCR_EL3")
    assert fields(system("CTR_EL0", R), 0, 1, secure) == {"SCTLR_EL1.UCT"}


@pytest.mark.parametrize("operation", sorted(set_way.AARCH64))
def test_set_way_is_trapped_by_tsw(operation: str) -> None:
    assert fields(system(operation), 1, 2, machine("HCR_EL2.TSW")) == {"HCR_EL2.TSW"}


def test_what_fine_grained_traps_name_exists() -> None:
    named = {each for each in operations() if not re.match(r"S\d_|SYSL? ", each)}
    known = (*named, "SVC", "ERET", "GCSSTR", "PSB CSYNC", "TSB CSYNC")
    for trap in fine_grained.fine_grained_traps():
        for pattern in trap.trapped:
            assert fnmatch.filter(known, pattern), (trap.holder, trap.field.name, pattern)


# KVM's tables, which say for nested guests what forwards a trap: by encoding, the field that traps it.
NESTED = "arch/arm64/kvm/emulate-nested.c"
GROUPS: Mapping[str, tuple[tuple[str, bool], ...]] = {
    "HFGxTR": (("HFGRTR_EL2", R), ("HFGWTR_EL2", W)),
    "HDFGRTR": (("HDFGRTR_EL2", R), ("HDFGWTR_EL2", W)),
    "HDFGWTR": (("HDFGWTR_EL2", W),),
    "HFGITR": (("HFGITR_EL2", W),),
    "HAFGRTR": (("HAFGRTR_EL2", R),),
}
FINE_AT_LEAST, COARSE_AT_LEAST = 390, 300
RENAMED = {"TPC": "TPCP", "nFIEN": "FIEN", "ENSCXT": "EnSCXT"}
CLEAR = ("FIEN", "EnSCXT", "APK", "E2PB", "E2TB", "EnFPM", "TCR2En", "SCTLR2En")
# By group, what is no single field of one register, or a field that only counts with others.
ASKED_OTHERWISE = re.compile(r"NV|HPMN|CNTHCTL|CPTR_TTA|CPACR")
KVM_IS_WRONG = {"GCSPOPX": "nGCSEPP is about GCSPUSHX and GCSPOPCX; a later Linux says so too"}


@cache
def _encodings() -> Mapping[str, Operation]:
    try:
        text = "".join((kernel_headers() / header).read_text() for header in ("sysreg-defs.h", "sysreg.h"))
    except Unavailable as why:
        pytest.skip(str(why))
    found = re.findall(r"^#define (?:SYS_|OP_)(\w+)\s+sys_(?:reg|insn)\(([\d, ]+)\)", text, re.MULTILINE)
    return {each: Operation(*(int(number) for number in numbers.split(","))) for each, numbers in found}


@cache
def _nested() -> str:
    try:
        return re.sub(r"/\*.*?\*/", "", (linux_source() / NESTED).read_text(), flags=re.DOTALL)
    except Unavailable as why:
        pytest.skip(str(why))


def _fine_rows() -> Iterator[tuple[str, str, str]]:
    yield from re.findall(r"SR_FG[TF]\((?:SYS_|OP_)(\w+),\s*(\w+),\s*(\w+),", _nested())


def _coarse_rows() -> Iterator[tuple[str, str]]:
    combinations = {
        name: parts.replace(" ", "").replace("\n", "").replace("\t", "").split(",")
        for name, parts in re.findall(r"MCB\(CGT_(\w+),([^)]*)\)", _nested())
    }
    for register, group in re.findall(r"SR_TRAP\((?:SYS_|OP_)(\w+),\s*CGT_(\w+)\)", _nested()):
        for part in combinations.get(group, [f"CGT_{group}"]):
            yield register, part.removeprefix("CGT_")


def test_fine_grained_traps_are_kvm_s() -> None:
    compared = 0
    for register, group, field in _fine_rows():
        operation = _encodings().get(register)
        for holder, read in GROUPS[group]:
            names = {each.name for each in fine_grained.DECLARED[holder].fields()}
            if operation is None or register in KVM_IS_WRONG or field not in names:
                continue
            enabled = " ".join(f"{holder}.{each}" for each in names if fine_grained.is_enable(each))
            setting = f"{holder}.{field}={0 if fine_grained.is_enable(field) else 1}"
            got = fields(encoded(operation, read), 1, 2, machine(f"HCRX_EL2 {enabled} {setting}"))
            assert {each for each in got if each.startswith("H")} - {"HCRX_EL2.FGTnXS"} >= {f"{holder}.{field}"}, (
                register
            )
            assert not {each for each in got if each.startswith(f"{holder}.")} - {f"{holder}.{field}"}, register
            compared += 1
    assert compared >= FINE_AT_LEAST


def test_coarse_traps_are_kvm_s() -> None:
    compared = 0
    for register, group in _coarse_rows():
        operation = _encodings().get(register)
        if operation is None or ASKED_OTHERWISE.search(group):
            continue
        holder, _, given = group.rpartition("_")
        holder, field = f"{holder}_EL2", RENAMED.get(given, given)
        setting = f"{holder}.{field}={0 if field in CLEAR else 1}"
        got = set().union(*(fields(encoded(operation, read), 1, 2, machine(f"HCR_EL2 {setting}")) for read in (R, W)))
        assert f"{holder}.{field}" in got, (register, holder, field, got)
        compared += 1
    assert compared >= COARSE_AT_LEAST


# What QEMU does with each bit flipped, alone, from what `registers` has.
QEMU: Mapping[str, Any] = json.loads((Path(__file__).parent / "qemu.json").read_text())
BASE = {name: int(value, 0) for name, value in QEMU["registers"].items()}
QEMU_TRAPS_TOO_MUCH = {
    "SCTLR_EL2[20]": "TSCXT: QEMU asks it of EL1 as well, where only EL0 of a host is meant",
}
QEMU_SAYS_OTHERWISE = {
    "SCTLR_EL1[9]": "UMA: of MSR (immediate) QEMU puts Op1 and Op2 into each other's place, so that it names nothing",
}
QEMU_DOES_NOT_TRAP = {
    **{f"MDCR_EL2[{bit}]": "HPMN: QEMU lets EL1 and EL0 access EL2's event counters" for bit in (1, 2)},
    "MDCR_EL2[6]": "TPM: QEMU does not ask it of what PMUSERENR_EL0.ER allows",
    "MDCR_EL3[6]": "TPM: as of MDCR_EL2",
    "HDFGRTR_EL2[57]": "PMUSERENR_EL0: not implemented",
    "HDFGWTR_EL2[57]": "PMUSERENR_EL0: not implemented",
    "PMUSERENR_EL0[6]": "TID: RES0 without FEAT_PMUv3p9",
    "ICC_SRE_EL1[0]": "SRE: RAO/WI",
    "ICC_SRE_EL2[0]": "SRE: RAO/WI",
    "SCR_EL3[22]": "TID3: RES0 without FEAT_IDTE3",
    "SCR_EL3[23]": "TID5: RES0 without FEAT_IDTE3",
    "HFGITR_EL2[52]": "SVC_EL0: how the guest that was asked ends at EL0",
}


def _flipped(bit: str) -> tuple[str, int, ReadRegister]:
    register, _, position = bit.rstrip("]").partition("[")
    values = {**BASE, register: BASE[register] ^ 1 << int(position)}

    def register_value(wanted: str) -> int:
        if wanted not in values:
            raise Unavailable(wanted)
        return values[wanted]

    return register, 1 << int(position), register_value


def _decides(esr: str, el: int, target: int, register: str, mask: int, read: ReadRegister) -> bool:
    found = deciders(syndrome.decode(int(esr, 0)), el, target, read)
    return any(holder == register and value.field.mask & mask for holder, value in found)


def _levels(levels: str) -> tuple[int, int]:
    el, _, target = levels.partition(">")
    return int(el), int(target)


@pytest.mark.parametrize("bit", QEMU["trapped"])
def test_a_bit_that_makes_qemu_trap_is_said_to_decide(bit: str) -> None:
    register, mask, read = _flipped(bit)
    for levels, syndromes in QEMU["trapped"][bit].items():
        el, target = _levels(levels)
        missed = [esr for esr in syndromes if not _decides(esr, el, target, register, mask, read)]
        if bit in QEMU_SAYS_OTHERWISE:
            assert 0 < len(missed) < len(syndromes), QEMU_SAYS_OTHERWISE[bit]
        else:
            assert missed == ([] if bit not in QEMU_TRAPS_TOO_MUCH else syndromes), levels


def test_without_a_flipped_bit_nothing_decides() -> None:
    *_, read = _flipped("HCR_EL2[0]")
    for each in QEMU["trapped"].values():
        for levels, syndromes in each.items():
            el, target = _levels(levels)
            assert not any(deciders(syndrome.decode(int(esr, 0)), el, target, read) for esr in syndromes), levels


@cache
def _bits_that_may_decide(target: str) -> frozenset[str]:
    """Return the bits of the fields that any rule has about a register or instruction; of no name, every rule's."""
    conditions = (
        condition
        for rule in rules()
        if not target or any(fnmatch.fnmatchcase(target, pattern) for pattern in rule.trapped)
        for condition in rule.conditions
        if condition.holder in BASE
    )
    return frozenset(
        f"{condition.holder}[{bit}]" for condition in conditions for bit in range(64) if condition.field.mask >> bit & 1
    )


def test_no_bit_is_said_to_decide_what_qemu_does_not_trap() -> None:
    attempts = {
        (_levels(levels)[0], esr) for each in QEMU["trapped"].values() for levels, some in each.items() for esr in some
    }
    claimed = set()
    for el, esr in attempts:
        for bit in _bits_that_may_decide(syndrome.decode(int(esr, 0)).target):
            register, mask, read = _flipped(bit)
            for target in range(max(el, 1), 4):
                trapped = esr in QEMU["trapped"].get(bit, {}).get(f"{el}>{target}", ())
                if not trapped and _decides(esr, el, target, register, mask, read):
                    claimed.add(bit)
    assert claimed == QEMU_DOES_NOT_TRAP.keys()


@pytest.mark.parametrize("exception_class", range(64))
def test_no_syndrome_is_refused(exception_class: int) -> None:
    read = machine("HCR_EL2 SCR_EL3.NS HSTR_EL2 CPTR_EL2")
    for iss in (0, 0x1FFFFFF, 0x0AAAAAA, 0x1555555, 1 << 20, 4):
        for el, target in ((0, 1), (0, 2), (1, 2), (2, 3)):
            deciders(syndrome.decode(exception_class << 26 | iss), el, target, read)
