"""Why a fault may have been taken that the tables no longer explain, the likeliest first, and what tells them apart.

Only what the architecture allows is suspected.  After a fault of a kind whose entries a TLB may hold it may have kept
an old leaf; after any other, only an old *table*.  Without the barriers of the architecture nobody promises that a walk
sees a store to a descriptor.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, Sighting, steps_of
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict
from gdbtools.analysis.faults.writer import Writer
from gdbtools.arch.model import ExceptionRecord, FaultKind
from gdbtools.units import PAGE_BYTES


class SpuriousCause(enum.Enum):
    """What may lie behind a fault that the tables permit."""

    OTHER_EXCEPTION = enum.auto()
    """The registers are of an earlier exception."""
    REPAIRED = enum.auto()
    """Another CPU, a hypervisor, or this debugger changed the tables after the fault."""
    STALE_LEAF = enum.auto()
    """A TLB kept an older leaf."""
    STALE_TABLE = enum.auto()
    """A TLB kept an older table, as walks may: it led to a descriptor that is no longer in use."""
    MISSING_BARRIER = enum.auto()
    """The table was written, and the walk did not see it yet."""


class Weight(enum.IntEnum):
    """How much speaks for a cause; of two that weigh the same, the order of the kind of fault decides."""

    UNLIKELY = 0
    """Something that was seen speaks against it."""
    POSSIBLE = 1
    """The kind of fault allows it."""
    LIKELY = 2
    """Something that was seen speaks for it."""
    SHOWN = 3
    """The code that ran, or what was seen at this very stop, shows it."""


@dataclass(frozen=True)
class Elsewhere:
    """The last exception of another CPU, and the root of the tables that it was translated by."""

    number: int
    exception: ExceptionRecord
    root: int


@dataclass(frozen=True)
class SeenChange:
    """A descriptor that refused just this when it was last seen, and no longer does.

    `by` is the command of this debugger that changed it, if one did; `here` says that it was seen at this very stop.
    """

    seen: Sighting
    by: str = ""
    here: bool = False


@dataclass(frozen=True)
class Around:
    """What is known besides the fault itself.

    `alone` says that the source has one CPU by its own account, and it stands where the exception brought it: nobody
    has run since.
    """

    elsewhere: Sequence[Elsewhere] = ()
    alone: bool = False
    change: SeenChange | None = None
    writer: Writer | None = None


@dataclass(frozen=True)
class Suspicion:
    """A cause, how much speaks for it or against it, and what does.

    `witnesses` are the CPUs that had the same fault; `change` is one that was seen; `writer` is in the code before the
    access; `alone` as in `Around`; `levels` are those of the fault and of what permits it, where they disagree.
    """

    cause: SpuriousCause
    weight: Weight = Weight.POSSIBLE
    witnesses: tuple[int, ...] = ()
    change: SeenChange | None = None
    writer: Writer | None = None
    alone: bool = False
    levels: tuple[int, int] | None = None


_ORDER = (SpuriousCause.REPAIRED, SpuriousCause.MISSING_BARRIER, SpuriousCause.STALE_TABLE)
_ORDER_OF_CACHED = (SpuriousCause.STALE_LEAF, *_ORDER)


def suspicions(diagnosis: Diagnosis, around: Around, cached: Collection[FaultKind]) -> tuple[Suspicion, ...]:
    """Rank what may explain a fault that the tables permit; nothing where they refuse it.

    `cached` are the kinds of fault whose entries a TLB may hold (`Exceptions.cached_refusals`).
    """
    fault = diagnosis.exception.syndrome.fault
    if diagnosis.verdict is not Verdict.TABLES_PERMIT or fault is None:
        return ()
    weigh: dict[SpuriousCause, Callable[[Diagnosis, Around], Suspicion]] = {
        SpuriousCause.REPAIRED: _repaired,
        SpuriousCause.STALE_LEAF: _stale_leaf,
        SpuriousCause.STALE_TABLE: _stale_table,
        SpuriousCause.MISSING_BARRIER: _missing_barrier,
    }
    order = _ORDER_OF_CACHED if fault.kind in cached else _ORDER
    found = (weigh[cause](diagnosis, around) for cause in order)
    ranked = sorted(found, key=lambda each: -each.weight)
    return (*([Suspicion(SpuriousCause.OTHER_EXCEPTION)] if diagnosis.entry == "" else []), *ranked)


def _repaired(diagnosis: Diagnosis, around: Around) -> Suspicion:
    witnesses, change = _witnesses(diagnosis, around.elsewhere), around.change
    if change and change.here:
        return Suspicion(SpuriousCause.REPAIRED, Weight.SHOWN, witnesses, change)
    if around.alone and not (change and change.by):
        return Suspicion(SpuriousCause.REPAIRED, Weight.UNLIKELY, alone=True)
    return Suspicion(
        SpuriousCause.REPAIRED, Weight.LIKELY if witnesses or change else Weight.POSSIBLE, witnesses, change
    )


def _witnesses(diagnosis: Diagnosis, elsewhere: Sequence[Elsewhere]) -> tuple[int, ...]:
    """Return the CPUs whose last exception was the same fault in the same page of the same tables."""
    fault, page = diagnosis.exception.syndrome.fault, diagnosis.exception.address // PAGE_BYTES
    root = diagnosis.walk.regime.root if diagnosis.walk else None
    return tuple(
        each.number
        for each in elsewhere
        if each.exception.syndrome.fault == fault and each.exception.address // PAGE_BYTES == page and each.root == root
    )


def _stale_leaf(diagnosis: Diagnosis, around: Around) -> Suspicion:
    """A store to the leaf before the access shows it if no invalidation that covers the page came in between."""
    writer, disagree = around.writer, levels(diagnosis)
    if writer is not None and writer.step.is_leaf and writer.invalidated is not None:
        return Suspicion(
            SpuriousCause.STALE_LEAF, Weight.UNLIKELY if writer.invalidated else Weight.SHOWN, writer=writer
        )
    return Suspicion(SpuriousCause.STALE_LEAF, Weight.LIKELY if disagree else Weight.POSSIBLE, levels=disagree)


def _missing_barrier(diagnosis: Diagnosis, around: Around) -> Suspicion:  # noqa: ARG001 (as the others)
    """A store to a descriptor before the access shows it if what has it seen did not come in between."""
    writer = around.writer
    if writer is None:
        return Suspicion(SpuriousCause.MISSING_BARRIER)
    return Suspicion(
        SpuriousCause.MISSING_BARRIER, Weight.UNLIKELY if writer.synchronized else Weight.SHOWN, writer=writer
    )


def _stale_table(diagnosis: Diagnosis, around: Around) -> Suspicion:
    """A fault of a deeper level than there is now went through a table that is gone, or through its copy in a TLB."""
    writer, disagree = around.writer, levels(diagnosis)
    if writer is not None and not writer.step.is_leaf and writer.invalidated is False:
        return Suspicion(SpuriousCause.STALE_TABLE, Weight.SHOWN, writer=writer, levels=disagree)
    deeper = disagree is not None and disagree[0] > disagree[1]
    return Suspicion(SpuriousCause.STALE_TABLE, Weight.LIKELY if deeper else Weight.POSSIBLE, levels=disagree)


def levels(diagnosis: Diagnosis) -> tuple[int, int] | None:
    """Return the level of the fault and that of the leaf that permits it now, where they disagree."""
    fault, found = diagnosis.exception.syndrome.fault, diagnosis.walk
    if fault is None or fault.level is None or found is None or diagnosis.verdict is not Verdict.TABLES_PERMIT:
        return None
    asked = found.final if fault.stage == 2 else found
    if asked is None or asked.leaf is None or fault.s1ptw or asked.leaf.level.number == fault.level:
        return None
    return fault.level, asked.leaf.level.number


def change_seen(
    diagnosis: Diagnosis, seen: DescriptorHistory, refuses: Callable[[Sighting], bool]
) -> SeenChange | None:
    """Look for a descriptor of the walk that was otherwise when last seen; `refuses` says if it explained the fault.

    What was seen at this stop comes first: nobody but this debugger has changed it since.
    """
    steps = steps_of(diagnosis.walk) if diagnosis.walk else ()
    for here, look in ((True, seen.here), (False, seen.before)):
        for step in steps:
            sighting = look(step.pa)
            if sighting is not None and sighting.value != int(step.entry.word) and refuses(sighting):
                return SeenChange(sighting, here=here)
    return None
