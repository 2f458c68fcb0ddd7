"""Why a fault may have been taken that the tables no longer explain, the likeliest first, and what tells them apart.

Only what the architecture allows is suspected.  After a fault of a kind whose entries a TLB may hold it may have kept
an old leaf or, where that holds of invalid entries, the lack of one; after any other, only an old *table*.  Without the
barriers of the architecture nobody promises that a walk sees a store to a descriptor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, Sighting, steps_of
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict
from gdbtools.analysis.faults.granted import kept_rights, missed, right_raised, unhooked
from gdbtools.analysis.faults.spurious_model import (
    Around,
    SeenChange,
    SpuriousCause,
    Suspicion,
    Weight,
    was,
    witnesses,
)
from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.model import EntryKind, Fault, FaultKind

_ORDER = (SpuriousCause.REPAIRED, SpuriousCause.MISSING_BARRIER, SpuriousCause.STALE_TABLE)
_ORDER_OF_CACHED = (SpuriousCause.STALE_LEAF, *_ORDER)
_MAY_BE_INVALID = (FaultKind.TRANSLATION, FaultKind.PAGE)


def suspicions(diagnosis: Diagnosis, around: Around, exceptions: Exceptions) -> tuple[Suspicion, ...]:
    """Rank what may explain a fault that the tables permit; nothing where they refuse it.

    `exceptions` are those of the architecture: what its TLBs may hold, and what it owes them.
    """
    fault = diagnosis.exception.syndrome.fault
    if diagnosis.verdict is not Verdict.TABLES_PERMIT or fault is None:
        return ()
    weigh: dict[SpuriousCause, Callable[[Diagnosis, Around], Suspicion | None]] = {
        SpuriousCause.REPAIRED: partial(_repaired, cached=fault.kind in exceptions.cached_refusals),
        SpuriousCause.UNHOOKED: unhooked,
        SpuriousCause.RIGHT_RAISED: right_raised,
        SpuriousCause.CACHED_INVALID: _cached_invalid,
        SpuriousCause.STALE_LEAF: _stale_leaf,
        SpuriousCause.FENCED_ELSEWHERE: missed if exceptions.grants_owe_nothing else _fenced_elsewhere,
        SpuriousCause.STALE_TABLE: _stale_table,
        SpuriousCause.MISSING_BARRIER: _missing_barrier,
    }
    change = around.change
    # What this debugger did since the fault explains it by itself: nobody else's part is left to suspect.
    ours = change is not None and change.here and change.by
    order = (SpuriousCause.REPAIRED,) if ours else _order(diagnosis, around, exceptions, fault)
    found = (weigh[cause](diagnosis, around) for cause in order)
    ranked = sorted((each for each in found if each is not None), key=lambda each: -each.weight)
    return (*([Suspicion(SpuriousCause.OTHER_EXCEPTION)] if diagnosis.entry == "" else []), *ranked)


def _order(diagnosis: Diagnosis, around: Around, exceptions: Exceptions, fault: Fault) -> Sequence[SpuriousCause]:
    """Return what may be behind a kind of fault at all; of two that weigh the same, the first is told first."""
    cached, local = exceptions.cached_refusals, exceptions.fences_are_local
    order: tuple[SpuriousCause, ...] = _ORDER_OF_CACHED if fault.kind in cached else _ORDER
    if FaultKind.TRANSLATION in cached and fault.kind in _MAY_BE_INVALID:
        order = (*_kept(diagnosis, around), *([SpuriousCause.FENCED_ELSEWHERE] if local else []), *_ORDER)
    elif exceptions.grants_owe_nothing and fault.kind in cached:
        order = (*kept_rights(diagnosis, around), SpuriousCause.FENCED_ELSEWHERE, *_ORDER)
    if exceptions.tables_are_unhooked and fault.kind not in cached:
        order = (SpuriousCause.UNHOOKED, *order)
    return [each for each in order if each is not SpuriousCause.MISSING_BARRIER or exceptions.barriers_are_owed]


def _kept(diagnosis: Diagnosis, around: Around) -> tuple[SpuriousCause, ...]:
    """Return which of the two a TLB may have kept, where both may be held: what was seen of the entry tells."""
    was = None if around.change is None else _was(diagnosis, around.change.seen)
    if was is None:
        return SpuriousCause.CACHED_INVALID, SpuriousCause.STALE_LEAF
    if was is EntryKind.TABLE:
        return ()
    return (SpuriousCause.STALE_LEAF if was.is_used else SpuriousCause.CACHED_INVALID,)


def _was(diagnosis: Diagnosis, seen: Sighting) -> EntryKind | None:
    entries = was(diagnosis, seen)
    return None if entries is None else entries[0].kind


def _repaired(diagnosis: Diagnosis, around: Around, cached: bool) -> Suspicion:
    """`cached` says whether a TLB may hold what the fault is of: then who wrote and flushed was before it."""
    others, change = witnesses(diagnosis, around.elsewhere), around.change
    if change and change.here:
        return Suspicion(SpuriousCause.REPAIRED, Weight.SHOWN, others, change)
    if around.alone and not (change and change.by):
        return Suspicion(SpuriousCause.REPAIRED, Weight.UNLIKELY, alone=True)
    if change and change.write and diagnosis.entry and around.written_elsewhere is None:
        # It has run into what it wrote itself.
        return Suspicion(SpuriousCause.REPAIRED, Weight.UNLIKELY, change=change)
    remote = None if cached else around.remote
    weight = Weight.LIKELY if others or change or around.near or remote else Weight.POSSIBLE
    return Suspicion(SpuriousCause.REPAIRED, weight, others, change, near=around.near, remote=remote)


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
    others = around.written_elsewhere is not None or witnesses(diagnosis, around.elsewhere)
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
