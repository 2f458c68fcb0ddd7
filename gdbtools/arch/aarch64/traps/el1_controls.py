"""What the controls of EL1 trap, and what is laid out like them at higher levels.

Source: DDI 0487, "EL1 configurable controls", the descriptions of the controls' fields, and the accessor
pseudocode of the registers and System instructions.
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbtools.arch.aarch64.registers.translation import SCTLR, SCTLR_EL2
from gdbtools.arch.aarch64.traps import groups
from gdbtools.arch.aarch64.traps.registers import (
    AMUSERENR_EL0,
    CNTHCTL_EL2,
    CNTKCTL_EL1,
    CPACR_EL1,
    CPTR_EL2,
    GCSCR,
    GCSCRE0_EL1,
    ICC_SRE,
    MDSCR_EL1,
    PMUSERENR_EL0,
    SCTLR2_EL1,
    SMCR,
)
from gdbtools.arch.aarch64.traps.rule import Condition, TrapRule, Under, clear, hcr, when
from gdbtools.bits import Field

_FP_EVERYWHERE, _FP_AT_EL0 = (0b00, 0b10), (0b00, 0b01, 0b10)


def _of_user(name: str, value: int, trapped: str, reads: bool = True, writes: bool = True) -> Iterator[TrapRule]:
    """Yield what SCTLR_EL1 traps at EL0, and SCTLR_EL2 where EL0 is a host's."""
    at_el1 = Condition("SCTLR_EL1", SCTLR.field(name), (value,))
    yield TrapRule((at_el1,), (0,), 1, groups.split(trapped), reads, writes)
    at_el2 = Condition("SCTLR_EL2", SCTLR_EL2.field(name), (value,))
    yield TrapRule((at_el2,), (0,), 2, groups.split(trapped), reads, writes, Under.HOST)


def _of_vectors(name: str, field: str, trapped: str) -> Iterator[TrapRule]:
    """Yield what a two-bit field of CPACR_EL1, and of CPTR_EL2 that is laid out like it, traps at which levels."""
    here = CPACR_EL1.field(field)
    what = (trapped,)
    yield TrapRule((when("CPACR_EL1", here, *_FP_AT_EL0),), (0,), 1, what)
    yield TrapRule((when("CPACR_EL1", here, *_FP_EVERYWHERE),), (1,), 1, what, under=Under.ANY)
    yield TrapRule((when("CPTR_EL2", here, *_FP_AT_EL0),), (0,), 2, what, under=Under.HOST)
    yield TrapRule((when("CPTR_EL2", here, *_FP_EVERYWHERE),), (0,), 2, what, under=Under.E2H_GUEST)
    yield TrapRule((when("CPTR_EL2", here, *_FP_EVERYWHERE),), (1, 2), 2, what, under=Under.E2H)
    yield TrapRule((when("CPTR_EL2", CPTR_EL2.field(name)),), (0, 1, 2), 2, what, under=Under.NOT_E2H)


def rules() -> Iterator[TrapRule]:
    """Yield what traps to EL1, and what the same controls at higher levels trap to those."""
    yield from _of_user("UCI", 0, groups.BY_USER)
    yield from _of_user("UCT", 0, "CTR_EL0")
    yield from _of_user("DZE", 0, groups.ZERO_BY_USER)
    yield from _of_user("EnRCTX", 0, "CFP RCTX; DVP RCTX; CPP RCTX; COSP RCTX; CFPRCTX; DVPRCTX; CPPRCTX; COSPRCTX")
    yield from _of_user("EnTP2", 0, "TPIDR2_EL0")
    yield from _of_user("EnFPM", 0, "FPMR")
    yield from _of_user("TSCXT", 1, "SCXTNUM_EL0")
    yield from _of_user("TIDCP", 1, groups.IMPLEMENTATION_DEFINED)
    yield from _of_user("nTWI", 0, "WFI; WFIT")
    yield from _of_user("nTWE", 0, "WFE; WFET")
    yield from _of_user("EnASR", 0, "ST64BV")
    yield from _of_user("EnAS0", 0, "ST64BV0")
    yield from _of_user("EnALS", 0, "LD64B or ST64B")
    yield TrapRule((clear("SCTLR_EL1", SCTLR.UMA),), (0,), 1, ("DAIF", "DAIFSet", "DAIFClr"))
    for name, to, under in (("SCTLR2_EL1", 1, Under.GUEST), ("SCTLR2_EL2", 2, Under.HOST)):
        what = groups.split(groups.IMPLEMENTATION_DEFINED_128)
        yield TrapRule((clear(name, SCTLR2_EL1.EnIDCP128),), (0,), to, what, under=under)
    yield TrapRule(
        (when("CPACR_EL1", CPACR_EL1.TTA),), (0,), 1, groups.split(groups.TRACE), spared=groups.split(groups.NOT_TRACE)
    )
    yield TrapRule(
        (when("CPACR_EL1", CPACR_EL1.TTA),), (1,), 1, groups.split(groups.TRACE), spared=groups.split(groups.NOT_TRACE)
    )
    yield TrapRule((clear("CPACR_EL1", CPACR_EL1.E0POE),), (0,), 1, ("POR_EL0",))
    yield TrapRule((clear("CPTR_EL2", CPACR_EL1.E0POE),), (0,), 2, ("POR_EL0",), under=Under.HOST)
    yield from _of_vectors("TFP", "FPEN", groups.FLOATING_POINT)
    yield from _of_vectors("TZ", "ZEN", groups.SVE)
    yield from _of_vectors("TSM", "SMEN", groups.SME)
    for level, levels in ((1, (0, 1)), (2, (0, 1, 2)), (3, (0, 1, 2, 3))):
        under = Under.GUEST if level == 1 else Under.ANY
        yield TrapRule((clear(f"SMCR_EL{level}", SMCR.EZT0),), levels, level, (groups.ZT0,), under=under)
        pushes = clear(f"GCSCR_EL{level}", GCSCR.PUSHMEn)
        yield TrapRule((pushes,), (level,), level, ("GCSPUSHM",), under=Under.ANY)
        stores = clear(f"GCSCR_EL{level}", GCSCR.STREn)
        yield TrapRule((stores,), (level,), level, ("GCSSTR",), under=Under.ANY)
        if level < 3:
            common = groups.joined(
                groups.GROUP_0,
                groups.GROUP_1,
                groups.COMMON,
                groups.SOFTWARE_GENERATED,
                *(("ICH_*_EL2",) if level == 2 else ()),
            )
            system = clear(f"ICC_SRE_EL{level}", ICC_SRE.SRE)
            yield TrapRule((system,), (level,), level, groups.split(common), under=Under.ANY)
    for field, instruction in ((GCSCRE0_EL1.PUSHMEn, "GCSPUSHM"), (GCSCRE0_EL1.STREn, "GCSSTR")):
        yield TrapRule((clear("GCSCRE0_EL1", field),), (0,), 1, (instruction,), under=Under.ANY)
    yield TrapRule((clear("GCSCRE0_EL1", GCSCRE0_EL1.nTR),), (0,), 1, ("GCSPR_EL0",), writes=False, under=Under.ANY)
    yield TrapRule((when("MDSCR_EL1", MDSCR_EL1.TDCC),), (0,), 1, groups.split(groups.CHANNEL_OF_USER), under=Under.ANY)
    yield TrapRule((clear("MDSCR_EL1", MDSCR_EL1.EnSPM),), (0,), 1, ("SPM*_EL0",), under=Under.ANY)
    activity, but = groups.split(groups.ACTIVITY), ("AMUSERENR*",)
    yield TrapRule((clear("AMUSERENR_EL0", AMUSERENR_EL0.EN),), (0,), 1, activity, under=Under.ANY, spared=but)
    yield from _monitors_by_user()
    yield from _timers()


def _monitors_by_user() -> Iterator[TrapRule]:
    enable = clear("PMUSERENR_EL0", PMUSERENR_EL0.EN)

    def rule(
        trapped: str, also: Field | None = None, reads: bool = True, writes: bool = True, but: str = ""
    ) -> TrapRule:
        conditions = (enable,) if also is None else (enable, clear("PMUSERENR_EL0", also))
        return TrapRule(conditions, (0,), 1, groups.split(trapped), reads, writes, Under.ANY, groups.split(but))

    counters = groups.joined(groups.EVENT_COUNTERS, "PMCCNTR*")
    apart = groups.joined(counters, "PMSELR*", "PMSWINC*", "PMUSERENR*", "PMICNTR_EL0")
    yield rule(groups.MONITORS, but=apart)
    yield rule(counters, reads=False)
    yield rule(groups.EVENT_COUNTERS, PMUSERENR_EL0.ER, writes=False)
    yield rule("PMSELR*", PMUSERENR_EL0.ER)
    yield rule("PMCCNTR*", PMUSERENR_EL0.CR, writes=False)
    yield rule("PMSWINC*", PMUSERENR_EL0.SW)
    identification = when("PMUSERENR_EL0", PMUSERENR_EL0.TID)
    yield TrapRule((identification,), (0,), 1, ("PMCEID*",), writes=False, under=Under.ANY)
    per_counter = clear("PMUSERENR_EL0", PMUSERENR_EL0.UEN)
    yield TrapRule((per_counter,), (0,), 1, ("PMICNTR_EL0",), under=Under.ANY)


def _timers() -> Iterator[TrapRule]:
    of_user = (
        ("EL0PCTEN", groups.PHYSICAL_COUNTER),
        ("EL0VCTEN", groups.VIRTUAL_COUNTER),
        ("EL0PTEN", groups.PHYSICAL_TIMER),
        ("EL0VTEN", groups.VIRTUAL_TIMER),
    )
    for holder, to, under in (("CNTKCTL_EL1", 1, Under.GUEST), ("CNTHCTL_EL2", 2, Under.HOST)):
        for name, what in of_user:
            yield TrapRule((clear(holder, CNTKCTL_EL1.field(name)),), (0,), to, groups.split(what), under=under)
        neither = (clear(holder, CNTKCTL_EL1.EL0PCTEN), clear(holder, CNTKCTL_EL1.EL0VCTEN))
        yield TrapRule(neither, (0,), to, groups.split(groups.FREQUENCY), writes=False, under=under)
    for field, what in ((CNTHCTL_EL2.EL1PCTEN, groups.PHYSICAL_COUNTER), (CNTHCTL_EL2.EL1PCEN, groups.PHYSICAL_TIMER)):
        yield TrapRule((clear("CNTHCTL_EL2", field),), (0, 1), 2, groups.split(what), under=Under.NOT_E2H)
    for field, what in ((CNTKCTL_EL1.EL1PCTEN, groups.PHYSICAL_COUNTER), (CNTKCTL_EL1.EL1PTEN, groups.PHYSICAL_TIMER)):
        yield TrapRule((clear("CNTHCTL_EL2", field),), (0, 1), 2, groups.split(what), under=Under.E2H_GUEST)
    for field, what in ((CNTKCTL_EL1.EL1TVT, groups.VIRTUAL_TIMER), (CNTKCTL_EL1.EL1TVCT, groups.VIRTUAL_COUNTER)):
        yield TrapRule((when("CNTHCTL_EL2", field),), (0, 1), 2, groups.split(what))
    nested = (hcr("NV"), hcr("NV1", 0), hcr("NV2"))
    for field, timer in ((CNTKCTL_EL1.EL1NVPCT, "CNTP"), (CNTKCTL_EL1.EL1NVVCT, "CNTV")):
        what = f"{timer}_CTL_EL02; {timer}_CVAL_EL02"
        yield TrapRule((when("CNTHCTL_EL2", field), *nested), (1,), 2, groups.split(what))
