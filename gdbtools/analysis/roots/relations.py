"""What roots show of one another: one kernel in their upper halves, and a process's reduced root beside its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gdbtools.analysis.roots.evidence import RootEvidence, Sign, of_tables
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Read
from gdbtools.arch.table_heuristics import Contents
from gdbtools.errors import Unreadable
from gdbtools.systems import reduced_root


def related(found: Sequence[FoundRoot], architecture: Architecture, read: Read) -> Sequence[FoundRoot]:
    """Add to each root what the others say of it."""
    together = [_beside(each, found) for each in found]
    return _with_shared(together, architecture, read) if architecture.table_heuristics.halves_share_root else together


def _beside(each: FoundRoot, found: Sequence[FoundRoot]) -> FoundRoot:
    """Add whether a root maps the others."""
    own = each.candidate.tables
    others = [other.place.root for other in found if other is not each and other.place.root not in own]
    return replace(each, evidence=(*each.evidence, *of_tables(each.tree, (), others)))


def _with_shared(found: Sequence[FoundRoot], architecture: Architecture, read: Read) -> list[FoundRoot]:
    """Add how many others have the same upper half: a kernel's is the same in every process's root."""
    halves = [_upper_half(each, architecture, read) for each in found]
    same = Counter(each for each in halves if each is not None)
    added: list[FoundRoot] = []
    for each, half in zip(found, halves, strict=True):
        others = same[half] - 1 if half is not None else 0
        sign = (RootEvidence(Sign.SAME_UPPER, others, len(found) - 1, 20),) if others > 0 else ()
        added.append(replace(each, evidence=(*each.evidence, *sign)))
    return added


def _upper_half(each: FoundRoot, architecture: Architecture, read: Read) -> frozenset[int] | None:
    """Return where the entries of a root's upper half lead; None where there are none, or nobody can read them."""
    size = each.candidate.size_bytes // 2
    try:
        half: Contents = architecture.table_heuristics.contents(read(each.place.root, 2 * size)[size:])
    except Unreadable:
        return None
    return (half.tables | {half.blocks or 0}) if half.valid else None


def paired(found: Sequence[FoundRoot], architecture: Architecture) -> Iterator[FoundRoot]:
    """Yield roots, and of two that are one process's which is full and which reduced: that maps nothing otherwise."""
    faces: dict[int, FoundRoot] = {}
    for each in found:
        at = reduced_root(architecture, each.place.root, each.place.root_bytes)
        for other in found if at is not None else ():
            if other.place.root == at and (leaves := _agreeing(other, each)):
                sign = RootEvidence(Sign.TWO_FACES, leaves, leaves, 20)
                faces[id(each)] = replace(each, reduced=at, evidence=(*each.evidence, sign))
                faces[id(other)] = replace(other, full=each.place.root, evidence=(*other.evidence, sign))
    return (faces.get(id(each), each) for each in found)


def _agreeing(reduced: FoundRoot, full: FoundRoot) -> int:
    """Return how many leaves of a reduced root lead where the full one leads too; 0 unless all do, and it has more."""
    if (reduced.place.height, reduced.place.input_bits) != (full.place.height, full.place.input_bits):
        return 0
    leaves = reduced.tree.leaves
    if leaves >= full.tree.leaves:
        return 0
    for run in reduced.tree.runs:
        for at in (run.first, run.last):
            mapped = full.tree.at(at)
            if mapped is None or mapped.output is None or run.output is None:
                return 0
            if mapped.output + mapped.offset_of(at) != run.output + run.offset_of(at):
                return 0
    return leaves
