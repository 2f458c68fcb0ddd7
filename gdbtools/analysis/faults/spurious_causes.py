"""Why a fault may have been taken that the tables no longer explain, the likeliest first, and what tells them apart.

Only what the architecture allows is suspected.  After a fault of a kind whose entries a TLB may hold it may have kept
an old leaf or, where that holds of invalid entries, the lack of one; after any other, only an old *table*.  Without the
barriers of the architecture nobody promises that a walk sees a store to a descriptor.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, SeenWrite, Sighting, steps_of
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict
from gdbtools.analysis.faults.writer import Writer
from gdbtools.arch.model import EntryKind, ExceptionRecord, FaultKind
from gdbtools.units import PAGE_BYTES


class SpuriousCause(enum.Enum):
    """What may lie behind a fault that the tables permit."""

    OTHER_EXCEPTION = enum.auto()
    """The registers are of an earlier exception."""
    REPAIRED = enum.auto()
    """Another CPU, a hypervisor, or this debugger changed the tables after the fault."""
    CACHED_INVALID = enum.auto()
    """A TLB kept the entry as it was before it was made valid, as some architectures allow."""
    STALE_LEAF = enum.auto()
    """A TLB kept an older leaf."""
    FENCED_ELSEWHERE = enum.auto()
    """Another CPU wrote the entry, and had its own TLB forget the old one alone."""
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
    `write` is the guest's own, if a watchpoint stood on the descriptor.
    """

    seen: Sighting
    by: str = ""
    here: bool = False
    write: SeenWrite | None = None


@dataclass(frozen=True)
class RemoteWriter:
    """Another CPU, and the store to a descriptor of the walk that the code before its pc made."""

    number: int
    writer: Writer


@dataclass(frozen=True)
class Around:
    """What is known besides the fault itself.

    `alone` says that the source has one CPU by its own account, and it stands where the exception brought it: nobody
    has run since.  `counted` is how many CPUs it has by that account, 0 where it does not say.  `cpu` is the one that
    faulted.
    """

    elsewhere: Sequence[Elsewhere] = ()
    alone: bool = False
    change: SeenChange | None = None
    writer: Writer | None = None
    remote: RemoteWriter | None = None
    counted: int = 0
    cpu: int = 0

    @property
    def written_elsewhere(self) -> SeenChange | None:
        """The change that another CPU was seen to make."""
        change = self.change
        return change if change is not None and change.write is not None and change.write.cpu != self.cpu else None


@dataclass(frozen=True)
class Suspicion:
    """A cause, how much speaks for it or against it, and what does.

    `witnesses` are the CPUs that had the same fault; `change` is one that was seen; `writer` is in the code before the
    access, `remote` in that of another CPU; `alone` as in `Around`; `levels` are those of the fault and of what permits
    it, where they disagree.
    """

    cause: SpuriousCause
    weight: Weight = Weight.POSSIBLE
    witnesses: tuple[int, ...] = ()
    change: SeenChange | None = None
    writer: Writer | None = None
    alone: bool = False
    levels: tuple[int, int] | None = None
    remote: RemoteWriter | None = None


_ORDER = (SpuriousCause.REPAIRED, SpuriousCause.MISSING_BARRIER, SpuriousCause.STALE_TABLE)
_ORDER_OF_CACHED = (SpuriousCause.STALE_LEAF, *_ORDER)
_MAY_BE_INVALID = (FaultKind.TRANSLATION, FaultKind.PAGE)


def suspicions(
    diagnosis: Diagnosis, around: Around, cached: Collection[FaultKind], local: bool = False
) -> tuple[Suspicion, ...]:
    """Rank what may explain a fault that the tables permit; nothing where they refuse it.

    `cached` are the kinds of fault whose entries a TLB may hold (`Exceptions.cached_refusals`), `local` says whether
    what has it forget them does so on one CPU alone (`Exceptions.fences_are_local`).
    """
    fault = diagnosis.exception.syndrome.fault
    if diagnosis.verdict is not Verdict.TABLES_PERMIT or fault is None:
        return ()
    weigh: dict[SpuriousCause, Callable[[Diagnosis, Around], Suspicion]] = {
        SpuriousCause.REPAIRED: _repaired,
        SpuriousCause.CACHED_INVALID: _cached_invalid,
        SpuriousCause.STALE_LEAF: _stale_leaf,
        SpuriousCause.FENCED_ELSEWHERE: _fenced_elsewhere,
        SpuriousCause.STALE_TABLE: _stale_table,
        SpuriousCause.MISSING_BARRIER: _missing_barrier,
    }
    order: tuple[SpuriousCause, ...] = _ORDER_OF_CACHED if fault.kind in cached else _ORDER
    if FaultKind.TRANSLATION in cached and fault.kind in _MAY_BE_INVALID:
        order = (*_kept(diagnosis, around), *([SpuriousCause.FENCED_ELSEWHERE] if local else []), *_ORDER)
    found = (weigh[cause](diagnosis, around) for cause in order)
    ranked = sorted(found, key=lambda each: -each.weight)
    return (*([Suspicion(SpuriousCause.OTHER_EXCEPTION)] if diagnosis.entry == "" else []), *ranked)


def _kept(diagnosis: Diagnosis, around: Around) -> tuple[SpuriousCause, ...]:
    """Return which of the two a TLB may have kept, where both may be held: what was seen of the entry tells."""
    was = None if around.change is None else _was(diagnosis, around.change.seen)
    if was is None:
        return SpuriousCause.CACHED_INVALID, SpuriousCause.STALE_LEAF
    if was is EntryKind.TABLE:
        return ()
    invalid = was in (EntryKind.INVALID, EntryKind.SOFT_INVALID)
    return (SpuriousCause.CACHED_INVALID if invalid else SpuriousCause.STALE_LEAF,)


def _was(diagnosis: Diagnosis, seen: Sighting) -> EntryKind | None:
    """Return what an entry of the walk was when it was seen; None for one that is not of it."""
    found = diagnosis.walk
    for each in (found, found and found.final):
        for step in each.steps if each else ():
            if each is not None and step.pa == seen.pa:
                raw = seen.value.to_bytes(each.regime.entry_bytes, each.regime.byte_order)
                return each.regime.decode(raw, step.level).kind
    return None


def _repaired(diagnosis: Diagnosis, around: Around) -> Suspicion:
    witnesses, change = _witnesses(diagnosis, around.elsewhere), around.change
    if change and change.here:
        return Suspicion(SpuriousCause.REPAIRED, Weight.SHOWN, witnesses, change)
    if around.alone and not (change and change.by):
        return Suspicion(SpuriousCause.REPAIRED, Weight.UNLIKELY, alone=True)
    if change and change.write and diagnosis.entry and around.written_elsewhere is None:
        # It has run into what it wrote itself.
        return Suspicion(SpuriousCause.REPAIRED, Weight.UNLIKELY, change=change)
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


def _cached_invalid(diagnosis: Diagnosis, around: Around) -> Suspicion:
    """As of an older leaf, but at any level; that the entry was seen invalid before speaks for it.

    It does not where another CPU's part is known: the same fault, or the write.
    """
    found, writer = replace(_stale_leaf(diagnosis, around), cause=SpuriousCause.CACHED_INVALID), around.writer
    if writer is not None and not writer.step.is_leaf and writer.invalidated is False:
        return Suspicion(SpuriousCause.CACHED_INVALID, Weight.SHOWN, writer=writer)
    others = around.written_elsewhere is not None or _witnesses(diagnosis, around.elsewhere)
    if found.weight is Weight.POSSIBLE and around.change is not None and not around.change.here and not others:
        return replace(found, weight=Weight.LIKELY, change=around.change)
    return found


def _fenced_elsewhere(diagnosis: Diagnosis, around: Around) -> Suspicion:  # noqa: ARG001 (as the others)
    """The code of another CPU that wrote the entry shows it, or that it was seen to: what it fenced was its own TLB."""
    if around.remote is not None or around.written_elsewhere is not None:
        return Suspicion(
            SpuriousCause.FENCED_ELSEWHERE, Weight.LIKELY, change=around.written_elsewhere, remote=around.remote
        )
    if around.alone or around.counted == 1:
        return Suspicion(SpuriousCause.FENCED_ELSEWHERE, Weight.UNLIKELY, alone=True)
    return Suspicion(SpuriousCause.FENCED_ELSEWHERE)


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
    change = around.change
    if change is not None and not change.here and _was(diagnosis, change.seen) is EntryKind.TABLE:
        return Suspicion(SpuriousCause.STALE_TABLE, Weight.LIKELY, change=change, levels=disagree)
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
