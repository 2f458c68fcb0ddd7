"""What is suspected where a grant owes a TLB nothing, and where tables leave the tree while they are written.

There an entry that is made to grant more needs no invalidation: a CPU that goes by what it kept faults once, and
finds the tables permit it.  Whoever takes every such fault for a missed shootdown looks for what is not there.
"""

from __future__ import annotations

from gdbtools.analysis.faults.diagnosis import Diagnosis
from gdbtools.analysis.faults.spurious_model import (
    Around,
    RemoteWriter,
    SpuriousCause,
    Suspicion,
    Weight,
    was,
    witnesses,
)
from gdbtools.arch.model import EntryKind
from gdbtools.units import PAGE_BYTES

_LOW = PAGE_BYTES - 1


def kept_rights(diagnosis: Diagnosis, around: Around) -> tuple[SpuriousCause, ...]:
    """Return which of the two a TLB may have kept, where a grant owes nothing: what was seen of the entry tells.

    One that leads where it led, with more rights, owes nothing; one that leads elsewhere does.
    """
    entries = None if around.change is None else was(diagnosis, around.change.seen)
    if entries is None:
        return SpuriousCause.RIGHT_RAISED, SpuriousCause.STALE_LEAF
    before, now = entries
    if not before.kind.is_used:
        return ()
    same = (before.kind, before.address) == (now.kind, now.address)
    return (SpuriousCause.RIGHT_RAISED if same else SpuriousCause.STALE_LEAF,)


def right_raised(diagnosis: Diagnosis, around: Around) -> Suspicion:
    """As of an older leaf, but of any entry on the way: each withholds rights, and what a TLB keeps has all of them."""
    writer, change = around.writer, around.change
    if writer is not None and writer.invalidated is not None:
        weight = Weight.UNLIKELY if writer.invalidated else Weight.SHOWN
        return Suspicion(SpuriousCause.RIGHT_RAISED, weight, writer=writer)
    if witnesses(diagnosis, around.elsewhere) or around.near:
        return Suspicion(SpuriousCause.RIGHT_RAISED)
    remote = around.remote
    unflushed = remote is not None and not remote.writer.invalidated
    seen = change if change is not None and not change.here and not change.by else None
    if unflushed or seen is not None:
        return Suspicion(SpuriousCause.RIGHT_RAISED, Weight.LIKELY, change=seen, remote=remote if unflushed else None)
    return Suspicion(SpuriousCause.RIGHT_RAISED)


def missed(diagnosis: Diagnosis, around: Around) -> Suspicion:
    """Another CPU wrote the entry and had its own TLB forget the old one: this CPU was to be told, or ought to be.

    Where it wrote and flushed nothing, it owed nothing, as far as it knew.
    """
    if around.alone or around.counted == 1:
        return Suspicion(SpuriousCause.FENCED_ELSEWHERE, Weight.UNLIKELY, alone=True)
    remote, change = around.remote, around.written_elsewhere
    flushed = remote if remote is not None and remote.writer.invalidated else None
    entries = None if change is None else was(diagnosis, change.seen)
    elsewhere = entries is not None and entries[0].address != entries[1].address
    if flushed is None and not elsewhere:
        waits = around.pending if around.pending is not None and around.pending.vectors else None
        return Suspicion(SpuriousCause.FENCED_ELSEWHERE, pending=waits)
    return Suspicion(
        SpuriousCause.FENCED_ELSEWHERE, Weight.LIKELY, change=change, remote=flushed, pending=around.pending
    )


def unhooked(diagnosis: Diagnosis, around: Around) -> Suspicion | None:
    """A table was out of the tree: its entry was not valid and led where it leads, or was written there and back.

    None where nothing speaks for it: a table that was never there before looks the same.
    """
    change, remote = around.change, around.remote
    entries = None if change is None else was(diagnosis, change.seen)
    if change is not None and entries is not None and not change.by and entries[1].kind is EntryKind.TABLE:
        before, now = change.seen.value, int(entries[1].word)
        if not entries[0].kind.is_used and before & ~_LOW == now & ~_LOW and before:
            return Suspicion(SpuriousCause.UNHOOKED, Weight.SHOWN, change=change, remote=_of_table(remote))
    twice = _of_table(remote)
    if twice is not None and twice.writer.twice:
        return Suspicion(SpuriousCause.UNHOOKED, Weight.SHOWN, remote=twice)
    return None


def _of_table(remote: RemoteWriter | None) -> RemoteWriter | None:
    return None if remote is None or remote.writer.step.is_leaf else remote
