"""Which control traps which instruction, as data: one `Rule` for each sentence of the manual that says so.

Source: DDI 0487, the descriptions of the controls' fields, and the accessor pseudocode of the registers and System
instructions.  What a rule traps is named as in `trap_groups`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from gdbtools.arch.aarch64 import set_way
from gdbtools.arch.aarch64 import trap_groups as groups
from gdbtools.arch.aarch64.fine_grained_traps import fine_grained_traps
from gdbtools.arch.aarch64.hypervisor import HCR_EL2, HCRX_EL2, SCR_EL3
from gdbtools.arch.aarch64.registers import SCTLR, SCTLR_EL2
from gdbtools.arch.aarch64.trap_controls import (
    AMUSERENR_EL0,
    CNTHCTL_EL2,
    CNTKCTL_EL1,
    CPACR_EL1,
    CPTR_EL2,
    CPTR_EL3,
    GCSCR,
    GCSCRE0_EL1,
    HSTR_EL2,
    ICC_SRE,
    ICH_HCR_EL2,
    MDCR_EL2,
    MDCR_EL3,
    MDSCR_EL1,
    MPAM2_EL2,
    MPAMHCR_EL2,
    PMUSERENR_EL0,
    SCTLR2_EL1,
    SMCR,
)
from gdbtools.bits import Field, Word


class Under(enum.Enum):
    """Under which of HCR_EL2.{E2H, TGE} a rule holds."""

    ANY = enum.auto()
    HOST = enum.auto()
    """{1, 1}: EL0 is a host's."""
    GUEST = enum.auto()
    """Not {1, 1}."""
    E2H = enum.auto()
    NOT_E2H = enum.auto()
    E2H_GUEST = enum.auto()
    """{1, 0}."""

    def holds(self, e2h: bool, tge: bool) -> bool:
        host = e2h and tge
        return {
            Under.ANY: True,
            Under.HOST: host,
            Under.GUEST: not host,
            Under.E2H: e2h,
            Under.NOT_E2H: not e2h,
            Under.E2H_GUEST: e2h and not tge,
        }[self]


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of a register, and the values of it that trap."""

    holder: str
    field: Field
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is `trapped` to `target` from `levels` while all the conditions hold."""

    conditions: tuple[Condition, ...]
    levels: tuple[int, ...]
    target: int
    trapped: tuple[str, ...]
    reads: bool = True
    writes: bool = True
    under: Under = Under.GUEST
    spared: tuple[str, ...] = ()
    """What matches a pattern of `trapped`, and is not trapped."""


_FP_EVERYWHERE, _FP_AT_EL0 = (0b00, 0b10), (0b00, 0b01, 0b10)


def _when(holder: str, field: Field, *values: int) -> Condition:
    return Condition(holder, field, values or (1,))


def _clear(holder: str, field: Field) -> Condition:
    return Condition(holder, field, (0,))


def _hcr(name: str, value: int = 1) -> Condition:
    return Condition("HCR_EL2", HCR_EL2.field(name), (value,))


def _hcrx(name: str, value: int = 0) -> Condition:
    return Condition("HCRX_EL2", HCRX_EL2.field(name), (value,))


def _scr(name: str, value: int = 0) -> Condition:
    return Condition("SCR_EL3", SCR_EL3.field(name), (value,))


def _of_user(name: str, value: int, trapped: str, reads: bool = True, writes: bool = True) -> Iterator[Rule]:
    """Give what SCTLR_EL1 traps at EL0, and SCTLR_EL2 where EL0 is a host's."""
    at_el1 = Condition("SCTLR_EL1", SCTLR.field(name), (value,))
    yield Rule((at_el1,), (0,), 1, groups.split(trapped), reads, writes)
    at_el2 = Condition("SCTLR_EL2", SCTLR_EL2.field(name), (value,))
    yield Rule((at_el2,), (0,), 2, groups.split(trapped), reads, writes, Under.HOST)


def _of_vectors(name: str, field: str, trapped: str) -> Iterator[Rule]:
    """Give what a two-bit field of CPACR_EL1, and of CPTR_EL2 that is laid out like it, traps at which levels."""
    here = CPACR_EL1.field(field)
    what = (trapped,)
    yield Rule((_when("CPACR_EL1", here, *_FP_AT_EL0),), (0,), 1, what)
    yield Rule((_when("CPACR_EL1", here, *_FP_EVERYWHERE),), (1,), 1, what, under=Under.ANY)
    yield Rule((_when("CPTR_EL2", here, *_FP_AT_EL0),), (0,), 2, what, under=Under.HOST)
    yield Rule((_when("CPTR_EL2", here, *_FP_EVERYWHERE),), (0,), 2, what, under=Under.E2H_GUEST)
    yield Rule((_when("CPTR_EL2", here, *_FP_EVERYWHERE),), (1, 2), 2, what, under=Under.E2H)
    yield Rule((_when("CPTR_EL2", CPTR_EL2.field(name)),), (0, 1, 2), 2, what, under=Under.NOT_E2H)


def _to_el1() -> Iterator[Rule]:
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
    yield Rule((_clear("SCTLR_EL1", SCTLR.UMA),), (0,), 1, ("DAIF", "DAIFSet", "DAIFClr"))
    for name, to, under in (("SCTLR2_EL1", 1, Under.GUEST), ("SCTLR2_EL2", 2, Under.HOST)):
        what = groups.split(groups.IMPLEMENTATION_DEFINED_128)
        yield Rule((_clear(name, SCTLR2_EL1.EnIDCP128),), (0,), to, what, under=under)
    yield Rule(
        (_when("CPACR_EL1", CPACR_EL1.TTA),), (0,), 1, groups.split(groups.TRACE), spared=groups.split(groups.NOT_TRACE)
    )
    yield Rule(
        (_when("CPACR_EL1", CPACR_EL1.TTA),), (1,), 1, groups.split(groups.TRACE), spared=groups.split(groups.NOT_TRACE)
    )
    yield Rule((_clear("CPACR_EL1", CPACR_EL1.E0POE),), (0,), 1, ("POR_EL0",))
    yield Rule((_clear("CPTR_EL2", CPACR_EL1.E0POE),), (0,), 2, ("POR_EL0",), under=Under.HOST)
    yield from _of_vectors("TFP", "FPEN", groups.FLOATING_POINT)
    yield from _of_vectors("TZ", "ZEN", groups.SVE)
    yield from _of_vectors("TSM", "SMEN", groups.SME)
    for level, levels in ((1, (0, 1)), (2, (0, 1, 2)), (3, (0, 1, 2, 3))):
        under = Under.GUEST if level == 1 else Under.ANY
        yield Rule((_clear(f"SMCR_EL{level}", SMCR.EZT0),), levels, level, (groups.ZT0,), under=under)
        pushes = _clear(f"GCSCR_EL{level}", GCSCR.PUSHMEn)
        yield Rule((pushes,), (level,), level, ("GCSPUSHM",), under=Under.ANY)
        stores = _clear(f"GCSCR_EL{level}", GCSCR.STREn)
        yield Rule((stores,), (level,), level, ("GCSSTR",), under=Under.ANY)
        if level < 3:
            common = groups.joined(
                groups.GROUP_0,
                groups.GROUP_1,
                groups.COMMON,
                groups.SOFTWARE_GENERATED,
                *(("ICH_*_EL2",) if level == 2 else ()),
            )
            system = _clear(f"ICC_SRE_EL{level}", ICC_SRE.SRE)
            yield Rule((system,), (level,), level, groups.split(common), under=Under.ANY)
    for field, instruction in ((GCSCRE0_EL1.PUSHMEn, "GCSPUSHM"), (GCSCRE0_EL1.STREn, "GCSSTR")):
        yield Rule((_clear("GCSCRE0_EL1", field),), (0,), 1, (instruction,), under=Under.ANY)
    yield Rule((_clear("GCSCRE0_EL1", GCSCRE0_EL1.nTR),), (0,), 1, ("GCSPR_EL0",), writes=False, under=Under.ANY)
    yield Rule((_when("MDSCR_EL1", MDSCR_EL1.TDCC),), (0,), 1, groups.split(groups.CHANNEL_OF_USER), under=Under.ANY)
    yield Rule((_clear("MDSCR_EL1", MDSCR_EL1.EnSPM),), (0,), 1, ("SPM*_EL0",), under=Under.ANY)
    activity, but = groups.split(groups.ACTIVITY), ("AMUSERENR*",)
    yield Rule((_clear("AMUSERENR_EL0", AMUSERENR_EL0.EN),), (0,), 1, activity, under=Under.ANY, spared=but)
    yield from _monitors_by_user()
    yield from _timers()


def _monitors_by_user() -> Iterator[Rule]:
    enable = _clear("PMUSERENR_EL0", PMUSERENR_EL0.EN)

    def rule(trapped: str, also: Field | None = None, reads: bool = True, writes: bool = True, but: str = "") -> Rule:
        conditions = (enable,) if also is None else (enable, _clear("PMUSERENR_EL0", also))
        return Rule(conditions, (0,), 1, groups.split(trapped), reads, writes, Under.ANY, groups.split(but))

    counters = groups.joined(groups.EVENT_COUNTERS, "PMCCNTR*")
    apart = groups.joined(counters, "PMSELR*", "PMSWINC*", "PMUSERENR*", "PMICNTR_EL0")
    yield rule(groups.MONITORS, but=apart)
    yield rule(counters, reads=False)
    yield rule(groups.EVENT_COUNTERS, PMUSERENR_EL0.ER, writes=False)
    yield rule("PMSELR*", PMUSERENR_EL0.ER)
    yield rule("PMCCNTR*", PMUSERENR_EL0.CR, writes=False)
    yield rule("PMSWINC*", PMUSERENR_EL0.SW)
    identification = _when("PMUSERENR_EL0", PMUSERENR_EL0.TID)
    yield Rule((identification,), (0,), 1, ("PMCEID*",), writes=False, under=Under.ANY)
    per_counter = _clear("PMUSERENR_EL0", PMUSERENR_EL0.UEN)
    yield Rule((per_counter,), (0,), 1, ("PMICNTR_EL0",), under=Under.ANY)


def _timers() -> Iterator[Rule]:
    of_user = (
        ("EL0PCTEN", groups.PHYSICAL_COUNTER),
        ("EL0VCTEN", groups.VIRTUAL_COUNTER),
        ("EL0PTEN", groups.PHYSICAL_TIMER),
        ("EL0VTEN", groups.VIRTUAL_TIMER),
    )
    for holder, to, under in (("CNTKCTL_EL1", 1, Under.GUEST), ("CNTHCTL_EL2", 2, Under.HOST)):
        for name, what in of_user:
            yield Rule((_clear(holder, CNTKCTL_EL1.field(name)),), (0,), to, groups.split(what), under=under)
        neither = (_clear(holder, CNTKCTL_EL1.EL0PCTEN), _clear(holder, CNTKCTL_EL1.EL0VCTEN))
        yield Rule(neither, (0,), to, groups.split(groups.FREQUENCY), writes=False, under=under)
    for field, what in ((CNTHCTL_EL2.EL1PCTEN, groups.PHYSICAL_COUNTER), (CNTHCTL_EL2.EL1PCEN, groups.PHYSICAL_TIMER)):
        yield Rule((_clear("CNTHCTL_EL2", field),), (0, 1), 2, groups.split(what), under=Under.NOT_E2H)
    for field, what in ((CNTKCTL_EL1.EL1PCTEN, groups.PHYSICAL_COUNTER), (CNTKCTL_EL1.EL1PTEN, groups.PHYSICAL_TIMER)):
        yield Rule((_clear("CNTHCTL_EL2", field),), (0, 1), 2, groups.split(what), under=Under.E2H_GUEST)
    for field, what in ((CNTKCTL_EL1.EL1TVT, groups.VIRTUAL_TIMER), (CNTKCTL_EL1.EL1TVCT, groups.VIRTUAL_COUNTER)):
        yield Rule((_when("CNTHCTL_EL2", field),), (0, 1), 2, groups.split(what))
    nested = (_hcr("NV"), _hcr("NV1", 0), _hcr("NV2"))
    for field, timer in ((CNTKCTL_EL1.EL1NVPCT, "CNTP"), (CNTKCTL_EL1.EL1NVVCT, "CNTV")):
        what = f"{timer}_CTL_EL02; {timer}_CVAL_EL02"
        yield Rule((_when("CNTHCTL_EL2", field), *nested), (1,), 2, groups.split(what))


def _by_hcr() -> Iterator[Rule]:
    # The control, the value that traps, the levels, what, and whether by reads and by writes.
    table: tuple[tuple[str, int, tuple[int, ...], str, bool, bool], ...] = (
        ("TVM", 1, (0, 1), groups.VIRTUAL_MEMORY, False, True),
        ("TRVM", 1, (0, 1), groups.VIRTUAL_MEMORY, True, False),
        ("TSW", 1, (1,), "; ".join(sorted(set_way.AARCH64 | set_way.AARCH32)), True, True),
        ("TPCP", 1, (0, 1), groups.TO_COHERENCY, True, True),
        ("TPU", 1, (0, 1), groups.joined(groups.TO_UNIFICATION, groups.TO_UNIFICATION_BROADCAST), True, True),
        ("TOCU", 1, (0, 1), groups.TO_UNIFICATION, True, True),
        ("TICAB", 1, (1,), groups.TO_UNIFICATION_BROADCAST, True, True),
        ("TTLB", 1, (1,), groups.TLB, True, True),
        ("TTLBIS", 1, (1,), groups.TLB_INNER, True, True),
        ("TTLBOS", 1, (1,), groups.TLB_OUTER, True, True),
        ("TDZ", 1, (0, 1), groups.ZERO, True, True),
        ("TACR", 1, (1,), "ACTLR_EL1; ACTLR; ACTLR2", True, True),
        ("TIDCP", 1, (0, 1), groups.IMPLEMENTATION_DEFINED, True, True),
        ("TID0", 1, (0, 1), "JIDR; FPSID", True, False),
        ("TID1", 1, (1,), "REVIDR_EL1; AIDR_EL1; SMIDR_EL1; TCMTR; TLBTR; REVIDR; AIDR", True, False),
        ("TID2", 1, (0, 1), "CTR_EL0; CTR", True, False),
        ("TID2", 1, (1,), groups.CACHES, True, True),
        ("TID3", 1, (1,), groups.IDENTIFICATION_3, True, False),
        ("TID4", 1, (1,), groups.CACHES, True, True),
        ("TID5", 1, (1,), "GMID_EL1", True, False),
        ("AT", 1, (1,), "AT S1E[01]*", True, True),
        ("TERR", 1, (1,), groups.ERRORS, True, True),
        ("FIEN", 0, (1,), groups.INJECTION, True, True),
        ("TLOR", 1, (1,), groups.ORDERING, True, True),
        ("APK", 0, (1,), groups.KEYS, True, True),
        ("API", 0, (0, 1), groups.POINTER_AUTHENTICATION, True, True),
        ("ATA", 0, (1,), groups.TAGS, True, True),
        ("EnSCXT", 0, (0, 1), "SCXTNUM_EL0; SCXTNUM_EL1", True, True),
        ("IMO", 1, (1,), groups.SOFTWARE_GENERATED, False, True),
        ("FMO", 1, (1,), groups.SOFTWARE_GENERATED, False, True),
        ("TWI", 1, (0, 1), "WFI; WFIT", True, True),
        ("TWE", 1, (0, 1), "WFE; WFET", True, True),
        ("TSC", 1, (1,), "SMC", True, True),
        ("NV", 1, (1,), "ERET", True, True),
        ("TEA", 1, (0, 1), groups.EXTERNAL_ABORT, True, True),
        ("AMO", 1, (0, 1), groups.SERROR, True, True),
    )
    for name, value, levels, what, reads, writes in table:
        spared = ("ERXPFG*",) if name == "TERR" else ()
        yield Rule((_hcr(name, value),), levels, 2, groups.split(what), reads, writes, spared=spared)
    yield Rule((_hcr("NV"),), (1,), 2, groups.split(groups.OF_EL2), spared=groups.split(groups.NOT_NESTED))
    yield Rule((_hcr("NV"), _hcr("NV2", 0)), (1,), 2, ("SP_EL1",))
    first = ("VBAR_EL1", "ELR_EL1", "SPSR_EL1", "SCXTNUM_EL1")
    yield Rule((_hcr("NV"), _hcr("NV1"), _hcr("NV2", 0)), (1,), 2, first)
    yield Rule((_hcr("TGE"),), (0,), 2, (groups.GENERAL_EXCEPTION, groups.SERROR), under=Under.ANY)
    # "DAIF": a host's EL0 has no bit that lets it.
    yield Rule((_hcr("E2H"), _hcr("TGE")), (0,), 2, ("DAIF", "DAIFSet", "DAIFClr"), under=Under.HOST)
    debug = groups.joined(groups.DEBUG, groups.OS_LOCK, groups.ROM)
    yield Rule((_hcr("TGE"),), (0,), 2, groups.split(debug), under=Under.ANY)


def _by_hcrx() -> Iterator[Rule]:
    table: tuple[tuple[Condition, tuple[int, ...], str], ...] = (
        (_hcrx("TCR2En"), (1,), "TCR2_EL1"),
        (_hcrx("SCTLR2En"), (1,), "SCTLR2_EL1"),
        (_hcrx("EnFPM"), (0, 1), "FPMR"),
        (_hcrx("SRMASKEn"), (1,), groups.MASKS),
        (_hcrx("D128En"), (1,), groups.PAIRS),
        (_hcrx("EnIDCP128"), (0, 1), groups.IMPLEMENTATION_DEFINED_128),
        (_hcrx("EnASR"), (0, 1), "ST64BV"),
        (_hcrx("EnAS0"), (0, 1), "ST64BV0"),
        (_hcrx("EnALS"), (0, 1), "LD64B or ST64B"),
        (_hcrx("MCE2", 1), (1,), groups.MEMORY_OPERATION),
    )
    for condition, levels, what in table:
        yield Rule((condition,), levels, 2, groups.split(what))
    yield Rule((_hcrx("TALLINT", 1),), (1,), 2, ("ALLINT",), reads=False)


def _by_other_controls_of_el2() -> Iterator[Rule]:
    for name, layout, under in (("TTA", CPTR_EL2, Under.NOT_E2H), ("TTA", CPACR_EL1, Under.E2H)):
        trace = _when("CPTR_EL2", layout.field(name))
        yield Rule(
            (trace,), (0, 1, 2), 2, groups.split(groups.TRACE), under=under, spared=groups.split(groups.NOT_TRACE)
        )
    yield Rule((_when("CPTR_EL2", CPTR_EL2.TCPAC),), (1,), 2, ("CPACR_EL1", "CPACR"))
    yield Rule((_when("CPTR_EL2", CPTR_EL2.TAM),), (0, 1), 2, groups.split(groups.ACTIVITY), under=Under.ANY)
    table: tuple[tuple[Field, tuple[int, ...], tuple[int, ...], str], ...] = (
        (MDCR_EL2.TDE, (1,), (0, 1), groups.joined(groups.DEBUG, groups.OS_LOCK, groups.ROM, groups.DEBUG_EXCEPTION)),
        (MDCR_EL2.TDA, (1,), (0, 1), groups.DEBUG),
        (MDCR_EL2.TDOSA, (1,), (0, 1), groups.OS_LOCK),
        (MDCR_EL2.TDRA, (1,), (0, 1), groups.ROM),
        (MDCR_EL2.TDCC, (1,), (0, 1), groups.CHANNEL),
        (MDCR_EL2.TPM, (1,), (0, 1), groups.MONITORS),
        (MDCR_EL2.TPMCR, (1,), (0, 1), "PMCR_EL0; PMCR"),
        (MDCR_EL2.TPMS, (1,), (1,), groups.PROFILING),
        (MDCR_EL2.E2PB, (0, 2), (1,), groups.PROFILING_BUFFER),
        (MDCR_EL2.E2TB, (0, 2), (1,), groups.TRACE_BUFFER),
        (MDCR_EL2.TTRF, (1,), (1,), groups.TRACE_FILTER),
        (MDCR_EL2.EnSPM, (0,), (0, 1), "SPM*_EL[01]"),
        (MDCR_EL2.EBWE, (0,), (1,), "MDSELR_EL1"),
        (MDCR_EL2.EnSTEPOP, (0,), (1,), "MDSTEPOP_EL1"),
    )
    for field, values, levels, what in table:
        condition = Condition("MDCR_EL2", field, values)
        yield Rule(
            (condition,), levels, 2, groups.split(what), under=Under.ANY, spared=groups.split(groups.NOT_MONITORS)
        )
    for counter in range(31):
        beyond = Condition("MDCR_EL2", MDCR_EL2.HPMN, tuple(range(counter + 1)))
        what = f"PMEVCNTR{counter}_EL0; PMEVTYPER{counter}_EL0; PMEVCNTR{counter}; PMEVTYPER{counter}"
        yield Rule((beyond,), (0, 1), 2, groups.split(what), under=Under.ANY)
    gic: tuple[tuple[Field, str], ...] = (
        (ICH_HCR_EL2.TALL0, groups.GROUP_0),
        (ICH_HCR_EL2.TALL1, groups.GROUP_1),
        (ICH_HCR_EL2.TC, groups.joined(groups.COMMON, groups.SOFTWARE_GENERATED)),
        (ICH_HCR_EL2.TDIR, "ICC_DIR_EL1; ICC_DIR"),
    )
    for field, what in gic:
        yield Rule((_when("ICH_HCR_EL2", field),), (1,), 2, groups.split(what))
    yield Rule((_clear("ICC_SRE_EL2", ICC_SRE.Enable),), (1,), 2, ("ICC_SRE_EL1", "ICC_SRE"))
    for holder, field, value, name in (
        ("MPAM2_EL2", MPAM2_EL2.TRAPMPAM0EL1, 1, "MPAM0_EL1"),
        ("MPAM2_EL2", MPAM2_EL2.TRAPMPAM1EL1, 1, "MPAM1_EL1"),
        ("MPAM2_EL2", MPAM2_EL2.EnMPAMSM, 0, "MPAMSM_EL1"),
        ("MPAM2_EL2", MPAM2_EL2.TIDR, 1, "MPAMIDR_EL1"),
        ("MPAMHCR_EL2", MPAMHCR_EL2.TRAP_MPAMIDR_EL1, 1, "MPAMIDR_EL1"),
    ):
        yield Rule((Condition(holder, field, (value,)),), (1,), 2, (name,))


def _by_fine_grained_traps() -> Iterator[Rule]:
    for trap in fine_grained_traps():
        condition = Condition(trap.holder, trap.field, (trap.value,))
        conditions = (condition, _hcrx("FGTnXS")) if trap.qualified else (condition,)
        yield Rule(conditions, trap.levels, trap.target, trap.trapped, trap.reads, trap.writes)


def _by_scr() -> Iterator[Rule]:
    below, kernel, hypervisor = (0, 1, 2), (1, 2), (2,)
    table: tuple[tuple[str, int, tuple[int, ...], str, bool, bool], ...] = (
        ("APK", 0, kernel, groups.KEYS, True, True),
        ("API", 0, below, groups.POINTER_AUTHENTICATION, True, True),
        ("TERR", 1, kernel, groups.ERRORS, True, True),
        ("TWERR", 1, kernel, groups.ERRORS_WRITTEN, False, True),
        ("FIEN", 0, kernel, groups.INJECTION, True, True),
        ("TLOR", 1, kernel, groups.ORDERING, True, True),
        ("ATA", 0, kernel, groups.joined(groups.TAGS, "TFSR_EL12"), True, True),
        ("EnSCXT", 0, below, "SCXTNUM_EL*", True, True),
        ("TRNDR", 1, (0, 1, 2, 3), "RNDR; RNDRRS", True, False),
        ("EnTP2", 0, below, "TPIDR2_EL0", True, True),
        ("EnFPM", 0, below, "FPMR", True, True),
        ("GCSEn", 0, below, groups.STACK_REGISTERS, True, True),
        ("HXEn", 0, hypervisor, "HCRX_EL2", True, True),
        ("ADEn", 0, kernel, "ACCDATA_EL1", True, True),
        ("AMVOFFEN", 0, hypervisor, "AMEVCNTVOFF*_EL2", True, True),
        ("FGTEn", 0, hypervisor, "HFG?TR_EL2; HDFG?TR_EL2; HAFGRTR_EL2", True, True),
        ("FGTEn2", 0, hypervisor, "HFG?TR2_EL2; HDFG?TR2_EL2", True, True),
        ("ECVEn", 0, hypervisor, "CNTPOFF_EL2", True, True),
        ("RCWMASKEn", 0, kernel, f"RCW*MASK_EL1; {groups.OF_128_BITS}RCW*MASK_EL1", True, True),
        ("TCR2En", 0, kernel, "TCR2_EL*", True, True),
        ("SCTLR2En", 0, kernel, "SCTLR2_EL*", True, True),
        ("PIEn", 0, below, "POR_EL0", True, True),
        ("PIEn", 0, kernel, "PIR_EL*; PIRE0_EL*; POR_EL1*; POR_EL2; S2POR_EL1; S2PIR_EL2", True, True),
        ("AIEn", 0, kernel, "MAIR2_EL*; AMAIR2_EL*", True, True),
        ("MECEn", 0, hypervisor, "MECID_*_EL2; VMECID_?_EL2", True, True),
        ("PFAREn", 0, kernel, "PFAR_EL*", True, True),
        ("SRMASKEn", 0, kernel, groups.joined(groups.MASKS, "*MASK_EL2"), True, True),
        ("HDBSSEn", 0, hypervisor, "HDBSSBR_EL2; HDBSSPROD_EL2", True, True),
        ("HACDBSEn", 0, hypervisor, "HACDBSBR_EL2; HACDBSCONS_EL2", True, True),
        ("VTLBIDEn", 0, hypervisor, "VTLBID*_EL2", True, True),
        ("D128En", 0, kernel, groups.PAIRS, True, True),
        ("D128En", 0, hypervisor, groups.PAIRS_OF_EL2, True, True),
        ("EnIDCP128", 0, below, groups.IMPLEMENTATION_DEFINED_128, True, True),
        ("TID3", 1, kernel, groups.IDENTIFICATION_3, True, False),
        ("TID5", 1, kernel, "GMID_EL1", True, False),
        ("ST", 0, (1,), "CNTPS_*_EL1", True, True),
        ("TWI", 1, below, "WFI; WFIT", True, True),
        ("TWE", 1, below, "WFE; WFET", True, True),
        ("EnAS0", 0, below, "ST64BV0", True, True),
        ("EA", 1, (0, 1, 2, 3), groups.joined(groups.EXTERNAL_ABORT, groups.SERROR), True, True),
        ("FIQ", 1, hypervisor, groups.GROUP_0, True, True),
        ("IRQ", 1, hypervisor, groups.GROUP_1, True, True),
    )
    for name, value, levels, what, reads, writes in table:
        spared = ("ERXPFG*",) if name == "TERR" else ()
        yield Rule((_scr(name, value),), levels, 3, groups.split(what), reads, writes, Under.ANY, spared)
    # At EL1 the registers are the virtual ones where HCR_EL2 takes the interrupts.
    yield Rule((_scr("FIQ", 1), _hcr("FMO", 0)), (1,), 3, groups.split(groups.GROUP_0), under=Under.ANY)
    yield Rule((_scr("IRQ", 1), _hcr("IMO", 0)), (1,), 3, groups.split(groups.GROUP_1), under=Under.ANY)
    both = (_scr("IRQ", 1), _scr("FIQ", 1))
    yield Rule(both, (2,), 3, groups.split(groups.COMMON), under=Under.ANY)
    yield Rule((*both, _hcr("IMO", 0), _hcr("FMO", 0)), (1,), 3, groups.split(groups.COMMON), under=Under.ANY)


def _by_other_controls_of_el3() -> Iterator[Rule]:
    below, kernel = (0, 1, 2), (1, 2)

    def rule(holder: str, field: Field, values: tuple[int, ...], levels: tuple[int, ...], what: str) -> Rule:
        spared = (
            groups.split(groups.NOT_MONITORS)
            if field is MDCR_EL3.TPM
            else groups.split(groups.NOT_TRACE)
            if field is CPTR_EL3.TTA
            else ()
        )
        return Rule((Condition(holder, field, values),), levels, 3, groups.split(what), under=Under.ANY, spared=spared)

    of_all = (0, 1, 2, 3)
    for field, value, levels, what in (
        (CPTR_EL3.TFP, 1, of_all, groups.FLOATING_POINT),
        (CPTR_EL3.EZ, 0, of_all, groups.SVE),
        (CPTR_EL3.ESM, 0, of_all, groups.joined(groups.SME, "SMPRI_EL1", "SMPRIMAP_EL2")),
        (CPTR_EL3.TTA, 1, of_all, groups.TRACE),
        (CPTR_EL3.TAM, 1, below, groups.ACTIVITY),
        (CPTR_EL3.TCPAC, 1, kernel, "CPACR_EL1*; CPTR_EL2; CPACR"),
    ):
        yield rule("CPTR_EL3", field, (value,), levels, what)
    for field, value, levels, what in (
        (MDCR_EL3.TDA, 1, below, groups.joined(groups.DEBUG, groups.ROM)),
        (MDCR_EL3.TDOSA, 1, below, groups.OS_LOCK),
        (MDCR_EL3.TDCC, 1, below, groups.CHANNEL),
        (MDCR_EL3.TPM, 1, below, groups.MONITORS),
        (MDCR_EL3.TTRF, 1, kernel, "TRFCR_EL*; TRFCR; HTRFCR"),
        (MDCR_EL3.EnPM2, 0, below, groups.MONITORS_NEW),
        (MDCR_EL3.EnPMSS, 0, kernel, groups.SNAPSHOTS),
        (MDCR_EL3.EnPMSN, 0, kernel, "PMSNEVFR_EL1"),
        (MDCR_EL3.EnPMS3, 0, kernel, "PMSDSFR_EL1"),
        (MDCR_EL3.EnTB2, 0, kernel, "TRBMPAM_EL1"),
        (MDCR_EL3.EnITE, 0, kernel, "TRCITECR_EL*"),
        (MDCR_EL3.EBWE, 0, kernel, "MDSELR_EL1"),
        (MDCR_EL3.EnSTEPOP, 0, kernel, "MDSTEPOP_EL1"),
    ):
        yield rule("MDCR_EL3", field, (value,), levels, what)
    profiling = groups.joined(groups.PROFILING, groups.PROFILING_BUFFER, "PMSCR_EL2; PMSCR_EL12")
    # The buffers are owned by one Security state; the others trap.
    for field, what in ((MDCR_EL3.NSPB, profiling), (MDCR_EL3.NSTB, groups.TRACE_BUFFER)):
        yield rule("MDCR_EL3", field, (0b00, 0b10), kernel, what)
        for value, non_secure in ((0b01, 1), (0b11, 0)):
            owned = Condition("MDCR_EL3", field, (value,))
            yield Rule((owned, _scr("NS", non_secure)), kernel, 3, groups.split(what), under=Under.ANY)
    records = groups.split(groups.BRANCH_RECORDS)
    for values, non_secure in (((0b00, 0b10), 1), ((0b00, 0b01, 0b10), 0)):
        owned = Condition("MDCR_EL3", MDCR_EL3.SBRBE, values)
        yield Rule((owned, _scr("NS", non_secure)), kernel, 3, records, under=Under.ANY)
    interface = Condition("ICC_SRE_EL3", ICC_SRE.Enable, (0,))
    yield Rule((interface,), kernel, 3, ("ICC_SRE_EL1", "ICC_SRE_EL2"), under=Under.ANY)


@cache
def rules() -> tuple[Rule, ...]:
    """Give every rule, the coarse ones before the fine-grained ones."""
    return (
        *_to_el1(),
        *_by_hcr(),
        *_by_hcrx(),
        *_by_other_controls_of_el2(),
        *_by_fine_grained_traps(),
        *_by_scr(),
        *_by_other_controls_of_el3(),
    )


def coprocessor_trap(number: int) -> Condition | None:
    """Give what traps an AArch32 access to coprocessor 15 by its CRn, or its CRm where it is of two registers."""
    word: type[Word] = HSTR_EL2
    name = f"T{number}"
    return _when("HSTR_EL2", word.field(name)) if any(field.name == name for field in word.fields()) else None
