"""What the controls of EL2 trap.

Source: DDI 0487, "EL2 configurable controls", the descriptions of the controls' fields, and the accessor
pseudocode of the registers and System instructions.
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbtools.arch.aarch64.instructions import set_way
from gdbtools.arch.aarch64.traps import groups
from gdbtools.arch.aarch64.traps.fine_grained import fine_grained_traps
from gdbtools.arch.aarch64.traps.registers import (
    CPACR_EL1,
    CPTR_EL2,
    HSTR_EL2,
    ICC_SRE,
    ICH_HCR_EL2,
    MDCR_EL2,
    MPAM2_EL2,
    MPAMHCR_EL2,
)
from gdbtools.arch.aarch64.traps.rule import Condition, TrapRule, Under, clear, hcr, hcrx, when
from gdbtools.bits import Field, Word


def rules() -> Iterator[TrapRule]:
    """Yield what traps to EL2, the coarse controls before the fine-grained ones."""
    yield from _by_hcr()
    yield from _by_hcrx()
    yield from _by_others()
    yield from _by_fine_grained_traps()


def _by_hcr() -> Iterator[TrapRule]:
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
        yield TrapRule((hcr(name, value),), levels, 2, groups.split(what), reads, writes, spared=spared)
    yield TrapRule((hcr("NV"),), (1,), 2, groups.split(groups.OF_EL2), spared=groups.split(groups.NOT_NESTED))
    yield TrapRule((hcr("NV"), hcr("NV2", 0)), (1,), 2, ("SP_EL1",))
    first = ("VBAR_EL1", "ELR_EL1", "SPSR_EL1", "SCXTNUM_EL1")
    yield TrapRule((hcr("NV"), hcr("NV1"), hcr("NV2", 0)), (1,), 2, first)
    yield TrapRule((hcr("TGE"),), (0,), 2, (groups.GENERAL_EXCEPTION, groups.SERROR), under=Under.ANY)
    # "DAIF": a host's EL0 has no bit that lets it.
    yield TrapRule((hcr("E2H"), hcr("TGE")), (0,), 2, ("DAIF", "DAIFSet", "DAIFClr"), under=Under.HOST)
    debug = groups.joined(groups.DEBUG, groups.OS_LOCK, groups.ROM)
    yield TrapRule((hcr("TGE"),), (0,), 2, groups.split(debug), under=Under.ANY)


def _by_hcrx() -> Iterator[TrapRule]:
    table: tuple[tuple[Condition, tuple[int, ...], str], ...] = (
        (hcrx("TCR2En"), (1,), "TCR2_EL1"),
        (hcrx("SCTLR2En"), (1,), "SCTLR2_EL1"),
        (hcrx("EnFPM"), (0, 1), "FPMR"),
        (hcrx("SRMASKEn"), (1,), groups.MASKS),
        (hcrx("D128En"), (1,), groups.PAIRS),
        (hcrx("EnIDCP128"), (0, 1), groups.IMPLEMENTATION_DEFINED_128),
        (hcrx("EnASR"), (0, 1), "ST64BV"),
        (hcrx("EnAS0"), (0, 1), "ST64BV0"),
        (hcrx("EnALS"), (0, 1), "LD64B or ST64B"),
        (hcrx("MCE2", 1), (1,), groups.MEMORY_OPERATION),
    )
    for condition, levels, what in table:
        yield TrapRule((condition,), levels, 2, groups.split(what))
    yield TrapRule((hcrx("TALLINT", 1),), (1,), 2, ("ALLINT",), reads=False)


def _by_others() -> Iterator[TrapRule]:
    for name, layout, under in (("TTA", CPTR_EL2, Under.NOT_E2H), ("TTA", CPACR_EL1, Under.E2H)):
        trace = when("CPTR_EL2", layout.field(name))
        yield TrapRule(
            (trace,), (0, 1, 2), 2, groups.split(groups.TRACE), under=under, spared=groups.split(groups.NOT_TRACE)
        )
    yield TrapRule((when("CPTR_EL2", CPTR_EL2.TCPAC),), (1,), 2, ("CPACR_EL1", "CPACR"))
    yield TrapRule((when("CPTR_EL2", CPTR_EL2.TAM),), (0, 1), 2, groups.split(groups.ACTIVITY), under=Under.ANY)
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
        yield TrapRule(
            (condition,), levels, 2, groups.split(what), under=Under.ANY, spared=groups.split(groups.NOT_MONITORS)
        )
    for counter in range(31):
        beyond = Condition("MDCR_EL2", MDCR_EL2.HPMN, tuple(range(counter + 1)))
        what = f"PMEVCNTR{counter}_EL0; PMEVTYPER{counter}_EL0; PMEVCNTR{counter}; PMEVTYPER{counter}"
        yield TrapRule((beyond,), (0, 1), 2, groups.split(what), under=Under.ANY)
    gic: tuple[tuple[Field, str], ...] = (
        (ICH_HCR_EL2.TALL0, groups.GROUP_0),
        (ICH_HCR_EL2.TALL1, groups.GROUP_1),
        (ICH_HCR_EL2.TC, groups.joined(groups.COMMON, groups.SOFTWARE_GENERATED)),
        (ICH_HCR_EL2.TDIR, "ICC_DIR_EL1; ICC_DIR"),
    )
    for field, what in gic:
        yield TrapRule((when("ICH_HCR_EL2", field),), (1,), 2, groups.split(what))
    yield TrapRule((clear("ICC_SRE_EL2", ICC_SRE.Enable),), (1,), 2, ("ICC_SRE_EL1", "ICC_SRE"))
    for holder, field, value, name in (
        ("MPAM2_EL2", MPAM2_EL2.TRAPMPAM0EL1, 1, "MPAM0_EL1"),
        ("MPAM2_EL2", MPAM2_EL2.TRAPMPAM1EL1, 1, "MPAM1_EL1"),
        ("MPAM2_EL2", MPAM2_EL2.EnMPAMSM, 0, "MPAMSM_EL1"),
        ("MPAM2_EL2", MPAM2_EL2.TIDR, 1, "MPAMIDR_EL1"),
        ("MPAMHCR_EL2", MPAMHCR_EL2.TRAP_MPAMIDR_EL1, 1, "MPAMIDR_EL1"),
    ):
        yield TrapRule((Condition(holder, field, (value,)),), (1,), 2, (name,))


def _by_fine_grained_traps() -> Iterator[TrapRule]:
    for trap in fine_grained_traps():
        condition = Condition(trap.holder, trap.field, (trap.value,))
        conditions = (condition, hcrx("FGTnXS")) if trap.qualified else (condition,)
        yield TrapRule(conditions, trap.levels, trap.target, trap.trapped, trap.reads, trap.writes)


def coprocessor_trap(number: int) -> Condition | None:
    """Return what traps an AArch32 access to coprocessor 15 by its CRn, or its CRm where it is of two registers."""
    word: type[Word] = HSTR_EL2
    name = f"T{number}"
    return when("HSTR_EL2", word.field(name)) if any(field.name == name for field in word.fields()) else None
