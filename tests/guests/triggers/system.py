"""MSR, MRS and System instructions, each trapped by the control that is there for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdbtools.arch.aarch64.syndrome import EC
from tests.guests.controls import BASE, EVERY_CASE, SCTLR_EL1, bits
from tests.guests.triggers.model import Trigger, at

HCR, HCRX = EVERY_CASE["HCR_EL2"], BASE["HCRX_EL2"]


@dataclass(frozen=True)
class Control:
    """A field of a control register, and instructions at a level that it traps; each has X7 or XZR for its register."""

    name: str
    el: int
    target: int
    registers: Mapping[str, int]
    instructions: str
    needs: tuple[str, ...] = ()
    level: int = 2


CONTROLS = (
    Control(
        "HCR_EL2.TVM",
        1,
        2,
        {"HCR_EL2": HCR | bits(26)},
        "msr SCTLR_EL1, x7; msr TTBR0_EL1, x7; msr TTBR1_EL1, x7; msr TCR_EL1, x7; msr ESR_EL1, x7; msr FAR_EL1, xzr;"
        "msr AFSR0_EL1, x7; msr AFSR1_EL1, x7; msr MAIR_EL1, x7; msr AMAIR_EL1, x7; msr CONTEXTIDR_EL1, x7",
    ),
    Control(
        "HCR_EL2.TRVM",
        1,
        2,
        {"HCR_EL2": HCR | bits(30)},
        "mrs x7, SCTLR_EL1; mrs x7, TTBR0_EL1; mrs x7, TTBR1_EL1; mrs x7, TCR_EL1; mrs x7, ESR_EL1; mrs xzr, FAR_EL1;"
        "mrs x7, AFSR0_EL1; mrs x7, AFSR1_EL1; mrs x7, MAIR_EL1; mrs x7, AMAIR_EL1; mrs x7, CONTEXTIDR_EL1",
    ),
    Control("HCR_EL2.TSW", 1, 2, {"HCR_EL2": HCR | bits(22)}, "dc isw, x7; dc csw, x7; dc cisw, x7"),
    Control("HCR_EL2.TSW of tags", 1, 2, {"HCR_EL2": HCR | bits(22)}, "dc igsw, x7; dc cgdsw, x7", ("MTE2",)),
    Control("HCR_EL2.TPU", 1, 2, {"HCR_EL2": HCR | bits(24)}, "ic iallu; ic ialluis; ic ivau, x7; dc cvau, x7"),
    Control("HCR_EL2.TPU at EL0", 0, 2, {"HCR_EL2": HCR | bits(24), "SCTLR_EL1": SCTLR_EL1 | bits(26)}, "ic ivau, x7"),
    Control("HCR_EL2.TPCP", 1, 2, {"HCR_EL2": HCR | bits(23)}, "dc ivac, x7; dc civac, x7; dc cvac, x7"),
    Control(
        "HCR_EL2.TTLB",
        1,
        2,
        {"HCR_EL2": HCR | bits(25)},
        "tlbi vmalle1; tlbi vae1, x7; tlbi aside1, x7; tlbi vaae1, x7; tlbi vale1, x7; tlbi vaale1, xzr;"
        "tlbi vmalle1is; tlbi vae1is, x7",
    ),
    Control("HCR_EL2.TTLBIS", 1, 2, {"HCR_EL2": HCR | bits(54)}, "tlbi vmalle1is; tlbi vaale1is, x7", ("EVT_TTLBIS",)),
    Control("HCR_EL2.TTLBOS", 1, 2, {"HCR_EL2": HCR | bits(55)}, "tlbi vmalle1os; tlbi rvae1os, x7", ("EVT_TTLBIS",)),
    Control("HCR_EL2.TOCU", 1, 2, {"HCR_EL2": HCR | bits(52)}, "ic iallu; ic ivau, x7; dc cvau, x7", ("EVT",)),
    Control("HCR_EL2.TICAB", 1, 2, {"HCR_EL2": HCR | bits(50)}, "ic ialluis", ("EVT",)),
    Control("HCR_EL2.TID1", 1, 2, {"HCR_EL2": HCR | bits(16)}, "mrs x7, AIDR_EL1; mrs x7, REVIDR_EL1"),
    Control(
        "HCR_EL2.TID2",
        1,
        2,
        {"HCR_EL2": HCR | bits(17)},
        "mrs x7, CTR_EL0; mrs x7, CCSIDR_EL1; mrs x7, CLIDR_EL1; mrs x7, CSSELR_EL1; msr CSSELR_EL1, x7",
    ),
    Control("HCR_EL2.TID4", 1, 2, {"HCR_EL2": HCR | bits(49)}, "mrs x7, CLIDR_EL1; msr CSSELR_EL1, x7", ("EVT",)),
    Control("HCR_EL2.TID5", 1, 2, {"HCR_EL2": HCR | bits(58)}, "mrs x7, GMID_EL1", ("MTE2",)),
    Control(
        "HCR_EL2.TID3",
        1,
        2,
        {"HCR_EL2": HCR | bits(18)},
        "mrs x7, ID_AA64PFR0_EL1; mrs x7, ID_AA64MMFR1_EL1; mrs x7, ID_PFR0_EL1; mrs x7, MVFR2_EL1",
    ),
    Control("HCR_EL2.TACR", 1, 2, {"HCR_EL2": HCR | bits(21)}, "mrs x7, ACTLR_EL1; msr ACTLR_EL1, x7"),
    Control("HCR_EL2.TIDCP", 1, 2, {"HCR_EL2": HCR | bits(20)}, "mrs x7, S3_0_C15_C2_0; sys #3, c11, c3, #1, x7"),
    Control("HCR_EL2.TDZ", 1, 2, {"HCR_EL2": HCR | bits(28)}, "dc zva, x7"),
    Control("HCR_EL2.TDZ of tags", 1, 2, {"HCR_EL2": HCR | bits(28)}, "dc gva, x7; dc gzva, x7", ("MTE2",)),
    Control(
        "HCR_EL2.APK", 1, 2, {"HCR_EL2": HCR & ~bits(40)}, "mrs x7, APIAKEYLO_EL1; msr APGAKEYHI_EL1, x7", ("PAuth",)
    ),
    Control("HCR_EL2.ATA", 1, 2, {"HCR_EL2": HCR & ~bits(56)}, "mrs x7, GCR_EL1; msr TFSR_EL1, x7", ("MTE2",)),
    Control(
        "HCR_EL2.EnSCXT", 1, 2, {"HCR_EL2": HCR & ~bits(53)}, "mrs x7, SCXTNUM_EL1; msr SCXTNUM_EL0, x7", ("CSV2_2",)
    ),
    Control(
        "HCR_EL2.NV", 1, 2, {"HCR_EL2": HCR | bits(42)}, "mrs x7, SCTLR_EL2; msr VTTBR_EL2, x7; tlbi alle1", ("NV",)
    ),
    Control("HCR_EL2.AT", 1, 2, {"HCR_EL2": HCR | bits(44)}, "at s1e1r, x7; at s1e0w, x7", ("NV",)),
    Control("HCR_EL2.TERR", 1, 2, {"HCR_EL2": HCR | bits(36)}, "mrs x7, ERRIDR_EL1", ("RAS",)),
    Control("CPTR_EL2.TCPAC", 1, 2, {"CPTR_EL2": BASE["CPTR_EL2"] | bits(31)}, "mrs x7, CPACR_EL1; msr CPACR_EL1, x7"),
    Control("MDCR_EL2.TDA", 1, 2, {"MDCR_EL2": bits(9)}, "mrs x7, MDSCR_EL1; msr DBGBVR0_EL1, x7; mrs x7, DBGWCR3_EL1"),
    Control("MDCR_EL2.TDRA", 1, 2, {"MDCR_EL2": bits(11)}, "mrs x7, MDRAR_EL1"),
    Control("MDCR_EL2.TDOSA", 1, 2, {"MDCR_EL2": bits(10)}, "msr OSLAR_EL1, x7; mrs x7, OSLSR_EL1; msr OSDLR_EL1, x7"),
    Control(
        "MDCR_EL2.TPM", 1, 2, {"MDCR_EL2": bits(6)}, "mrs x7, PMCR_EL0; msr PMCCNTR_EL0, x7; mrs x7, PMEVTYPER0_EL0"
    ),
    Control("MDCR_EL2.TPMCR", 1, 2, {"MDCR_EL2": bits(5)}, "mrs x7, PMCR_EL0; msr PMCR_EL0, x7"),
    Control("CNTHCTL_EL2.EL1PCTEN", 1, 2, {"CNTHCTL_EL2": bits(1)}, "mrs x7, CNTPCT_EL0"),
    Control("CNTHCTL_EL2.EL1PCEN", 1, 2, {"CNTHCTL_EL2": bits(0)}, "mrs x7, CNTP_CTL_EL0; msr CNTP_CVAL_EL0, x7"),
    Control("CNTHCTL_EL2.EL1TVCT", 1, 2, {"CNTHCTL_EL2": bits(0, 1, 14)}, "mrs x7, CNTVCT_EL0", ("ECV",)),
    Control("HFGRTR_EL2", 1, 2, {"HFGRTR_EL2": BASE["HFGRTR_EL2"] | bits(29)}, "mrs x7, SCTLR_EL1", ("FGT",)),
    Control(
        "HFGWTR_EL2",
        1,
        2,
        {"HFGWTR_EL2": BASE["HFGWTR_EL2"] | bits(32, 36)},
        "msr TCR_EL1, x7; msr TTBR0_EL1, x7",
        ("FGT",),
    ),
    Control(
        "HFGITR_EL2",
        1,
        2,
        {"HFGITR_EL2": BASE["HFGITR_EL2"] | bits(0, 11, 12)},
        "ic ialluis; dc zva, x7; at s1e1r, x7",
        ("FGT",),
    ),
    Control("HDFGRTR_EL2", 1, 2, {"HDFGRTR_EL2": BASE["HDFGRTR_EL2"] | bits(4)}, "mrs x7, MDSCR_EL1", ("FGT",)),
    Control("HDFGWTR_EL2", 1, 2, {"HDFGWTR_EL2": BASE["HDFGWTR_EL2"] | bits(8)}, "msr OSLAR_EL1, x7", ("FGT",)),
    Control("SCTLR_EL1.UCT", 0, 1, {}, "mrs x7, CTR_EL0"),
    Control("SCTLR_EL1.DZE", 0, 1, {}, "dc zva, x7"),
    Control("SCTLR_EL1.UCI", 0, 1, {}, "dc cvau, x7; dc cvac, x7; dc civac, x7; ic ivau, x7"),
    Control("SCTLR_EL1.UMA", 0, 1, {}, "mrs x7, DAIF; msr DAIF, x7; msr DAIFSet, #2; msr DAIFClr, #15"),
    Control("SCTLR_EL1.EnRCTX", 0, 1, {}, "cfp rctx, x7; dvp rctx, x7; cpp rctx, x7", ("SPECRES",)),
    Control("SCTLR_EL1.TIDCP", 0, 1, {"SCTLR_EL1": SCTLR_EL1 | bits(63)}, "mrs x7, S3_3_C15_C2_0", ("TIDCP1",)),
    Control("SCTLR_EL1.TSCXT", 0, 1, {}, "mrs x7, SCXTNUM_EL0", ("CSV2_2",)),
    Control(
        "CNTKCTL_EL1",
        0,
        1,
        {"CNTKCTL_EL1": 0},
        "mrs x7, CNTVCT_EL0; mrs x7, CNTPCT_EL0; mrs x7, CNTV_CTL_EL0; msr CNTP_CVAL_EL0, x7",
    ),
    Control("PMUSERENR_EL0", 0, 1, {"PMUSERENR_EL0": 0}, "mrs x7, PMCR_EL0; msr PMSELR_EL0, x7; mrs x7, PMCCNTR_EL0"),
    Control(
        "MDSCR_EL1.TDCC", 0, 1, {"MDSCR_EL1": bits(12)}, "mrs x7, MDCCSR_EL0; mrs x7, DBGDTR_EL0; msr DBGDTRTX_EL0, x7"
    ),
    Control("SCTLR_EL1.UCT, to EL2 by HCR_EL2.TGE", 0, 2, {"HCR_EL2": HCR | bits(27)}, "mrs x7, CTR_EL0"),
    Control("SCR_EL3.TERR", 2, 3, {"SCR_EL3": EVERY_CASE["SCR_EL3"] | bits(15)}, "mrs x7, ERRIDR_EL1", ("RAS",), 3),
    Control(
        "SCR_EL3.APK", 1, 3, {"SCR_EL3": EVERY_CASE["SCR_EL3"] & ~bits(16)}, "mrs x7, APIAKEYLO_EL1", ("PAuth",), 3
    ),
    Control(
        "CPTR_EL3.TCPAC", 2, 3, {"CPTR_EL3": BASE["CPTR_EL3"] | bits(31)}, "mrs x7, CPTR_EL2; msr CPACR_EL1, x7", (), 3
    ),
    Control("MDCR_EL3.TDA", 1, 3, {"MDCR_EL3": bits(9)}, "mrs x7, MDSCR_EL1", (), 3),
    Control("MDCR_EL3.TPM", 2, 3, {"MDCR_EL3": bits(6)}, "mrs x7, PMCR_EL0", (), 3),
)


def direction(instruction: str) -> dict[str, int]:
    """What the ISS has besides the encoding: Rt, and whether it is a read."""
    name, _, operands = instruction.partition(" ")
    registers = [each for each in operands.replace(",", " ").split() if each in ("x7", "xzr")]
    return {"Rt": 7 if registers == ["x7"] else 31, "Direction": int(name == "mrs")}


TRIGGERS: tuple[Trigger, ...] = tuple(
    Trigger(
        name=f"{instruction} at EL{control.el}: {control.name}",
        case=at(control.el, instruction, control.registers),
        target=control.target,
        ec=EC.SYSTEM,
        fields=direction(instruction),
        needs=control.needs,
        level=control.level,
    )
    for control in CONTROLS
    for instruction in (each.strip() for each in control.instructions.split(";"))
)
