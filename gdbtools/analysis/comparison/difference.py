"""What became of an address space between two looks at it: in mappings, never in bytes.

Both lists of runs are cut into pieces and compared, and what changed in the same way within one stretch of like
mappings is said once.  So the cost is that of the runs, and the answer has the size of what happened.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from gdbtools.addresses import Input
from gdbtools.analysis.comparison.compared_attributes import NO_ASPECTS, NOTHING, USE, Aspect, ComparedKind, Kinds
from gdbtools.analysis.comparison.overlay_runs import Piece, part, pieces
from gdbtools.arch.model import Hole, Run

FEW = 16
"""How many leaves that did not change, or that there are not, may lie between two that changed alike, for these to be
said together."""


class ChangeKind(enum.Enum):
    """What became of a range."""

    MAPPED = enum.auto()
    UNMAPPED = enum.auto()
    SPLIT = enum.auto()
    """Large leaves became smaller ones, some of which may be missing."""
    MERGED = enum.auto()
    """Smaller leaves, some of which may have been missing, became large ones."""
    CHANGED = enum.auto()


@dataclass(frozen=True, slots=True)
class Portion:
    """Leaves of one kind on one side of a change: `size_bytes` in all, from `first`, at `places` that are not one run.

    `run` is the first such place; None stands for what is not mapped.  Where the side has several portions, `aspects`
    says in what this one differs from the other side, its size apart.
    """

    first: Input
    run: Run | None
    size_bytes: int
    places: int
    aspects: frozenset[Aspect] = frozenset()


@dataclass(frozen=True, slots=True)
class MappingChange:
    """What changed alike between `first` and `last`: `size_bytes` of it, the rest being as it was.

    The side with the smaller leaves of a split or a merge has a portion for each kind of them; any other has one.
    """

    kind: ChangeKind
    first: Input
    last: Input
    size_bytes: int
    before: tuple[Portion, ...]
    after: tuple[Portion, ...]
    aspects: frozenset[Aspect]

    @property
    def is_use(self) -> bool:
        """Return whether nothing changed but what changes by use."""
        return bool(self.aspects) and self.aspects <= USE


@dataclass(frozen=True, slots=True)
class Uncompared:
    """A range whose tables could not be read, before or after."""

    first: Input
    size_bytes: int
    before: Hole | None
    after: Hole | None


def difference(
    before: Sequence[Run | Hole], after: Sequence[Run | Hole], ignored: Collection[Aspect] = ()
) -> tuple[list[MappingChange], list[Uncompared]]:
    """Return what became of the mappings, and what cannot be said of it; all lists are in order of address.

    What differs in `ignored` aspects only is no difference.
    """
    comparison = _Comparison(frozenset(ignored))
    changes: list[MappingChange] = []
    uncompared: list[Uncompared] = []
    for piece in pieces(before, after):
        if isinstance(piece.before, Hole) or isinstance(piece.after, Hole):
            _add_uncompared(uncompared, piece)
        else:
            changes += comparison.take(piece.first, piece.end, piece.before, piece.after)
    changes += comparison.finish()
    return sorted(changes, key=lambda change: (change.first, change.last)), uncompared


def _add_uncompared(found: list[Uncompared], piece: Piece) -> None:
    """Add a piece that cannot be compared, as a part of the last where it goes on in the same tables."""
    before, after = (each if isinstance(each, Hole) else None for each in (piece.before, piece.after))
    first = piece.first
    if found and found[-1].first + found[-1].size_bytes == first:
        last = found[-1]
        if (last.before, last.after) == (before, after):
            first = found.pop().first
    found.append(Uncompared(first, piece.end - first, before, after))


class _Key(NamedTuple):
    """What is said together: one kind of change, from one kind of leaf to another; 0 where a side has not just one."""

    kind: ChangeKind
    before: int
    after: int
    leaf_bytes: int
    moved: bool


class _Side(NamedTuple):
    """What a piece is on one side."""

    run: Run | None
    kind: ComparedKind


@dataclass
class _Tally:
    """A portion that is being counted."""

    first: Input
    aspects: frozenset[Aspect]
    run: Run | None = None
    size_bytes: int = 0
    places: int = 0
    _next: tuple[int, int | None, int | None] | None = None

    def add(self, first: Input, end: int, run: Run | None) -> None:
        """Count the piece from `first` to `end`, which `run` covers."""
        here = None if run is None else part(run, first, end)
        output, ipa = (None, None) if here is None else (here.output, here.ipa)
        goes_on = self._next == (first, output, ipa)
        if not self.places:
            self.run = here
        elif goes_on and self.places == 1 and self.run is not None:
            self.run = self.run._replace(size_bytes=end - self.run.first)
        led = end - first if here is not None and here.stride_bytes else 0
        self._next = end, None if output is None else output + led, None if ipa is None else ipa + led
        self.size_bytes += end - first
        self.places += not goes_on


_ALL: Final = 0, 0, False


@dataclass
class _Group:
    """A change that is being put together: tallies by number of the kind, leaf size and whether they moved."""

    key: _Key
    first: Input
    end: int
    size_bytes: int = 0
    before: dict[tuple[int, int, bool], _Tally] = field(default_factory=dict)
    after: dict[tuple[int, int, bool], _Tally] = field(default_factory=dict)
    aspects: frozenset[Aspect] = frozenset()

    def add(self, first: Input, end: int, before: _Side, after: _Side, aspects: frozenset[Aspect]) -> None:
        """Add the piece from `first` to `end`."""
        self.end = end
        self.size_bytes += end - first
        self.aspects |= aspects
        for side, (run, kind), many in (
            (self.before, before, self.key.kind is ChangeKind.MERGED),
            (self.after, after, self.key.kind is ChangeKind.SPLIT),
        ):
            which = (kind.number, run.leaf_bytes if run else 0, Aspect.OUTPUT in aspects) if many else _ALL
            tally = side.setdefault(which, _Tally(first, aspects - {Aspect.SIZE} if many else frozenset()))
            tally.add(first, end, run)

    def change(self) -> MappingChange:
        before, after = (
            tuple(Portion(each.first, each.run, each.size_bytes, each.places, each.aspects) for each in side.values())
            for side in (self.before, self.after)
        )
        return MappingChange(
            self.key.kind, self.first, cast(Input, self.end - 1), self.size_bytes, before, after, self.aspects
        )


class _Comparison:
    """The pieces of one range of addresses, taken in order."""

    def __init__(self, ignored: frozenset[Aspect]) -> None:
        self._kinds = Kinds(ignored)
        self._groups: dict[_Key, _Group] = {}
        self._last = -1, NOTHING, NOTHING

    def take(self, first: Input, end: int, before: Run | None, after: Run | None) -> Iterator[MappingChange]:
        """Compare one piece; give the changes that are complete before it."""
        was, now = _Side(before, self._kinds.of(before)), _Side(after, self._kinds.of(after))
        if not self._goes_on(first, was, now):
            yield from self.finish()
        self._last = end, was.kind, now.kind
        aspects = NO_ASPECTS
        if before is not None and after is not None:
            if self._kinds.same(before, after):
                return
            aspects = self._kinds.aspects(before, after, first, end)
            if not aspects:
                return
        key = _key(first, end, was, now, aspects)
        group = self._groups.get(key)
        leaf = min(run.leaf_bytes for run in (before, after) if run is not None)
        if group is not None and first - group.end > max(group.size_bytes, FEW * leaf):
            yield group.change()
            group = None
        if group is None:
            group = self._groups[key] = _Group(key, first, end)
        group.add(first, end, was, now, aspects)

    def finish(self) -> Iterator[MappingChange]:
        """Yield what is left of the stretch that ends here."""
        groups, self._groups = self._groups, {}
        for group in groups.values():
            yield group.change()

    def _goes_on(self, first: Input, before: _Side, after: _Side) -> bool:
        """Return whether a piece belongs to the stretch of the last one: near it, and alike on one side at least."""
        end, last_was, last_now = self._last
        if first == end and (before.kind is last_was is not NOTHING or after.kind is last_now is not NOTHING):
            return True
        pairs = (last_was.home, before.kind.home), (last_now.home, after.kind.home)
        near = first - end <= FEW * min(side.run.leaf_bytes for side in (before, after) if side.run is not None)
        return near and any(one is not None and one == other for one, other in pairs)


def _key(first: Input, end: int, before: _Side, after: _Side, aspects: frozenset[Aspect]) -> _Key:
    """Return which change a piece belongs to."""
    was, now = before.run, after.run
    if was is not None and now is not None:
        if Aspect.SIZE not in aspects:
            leaf = min(was.leaf_bytes, now.leaf_bytes)
            return _Key(ChangeKind.CHANGED, before.kind.number, after.kind.number, leaf, Aspect.OUTPUT in aspects)
        splits = was.leaf_bytes > now.leaf_bytes
    else:
        there = was or now
        assert there is not None, "a piece is of something"
        splits = now is None
        if first % there.leaf_bytes == 0 and end % there.leaf_bytes == 0:
            kind = ChangeKind.UNMAPPED if splits else ChangeKind.MAPPED
            return _Key(kind, before.kind.number, after.kind.number, there.leaf_bytes, False)
    # What is left is of a leaf that the other side has in parts, the missing ones among them.
    large = was if splits else now
    assert large is not None, "it is the side that is not missing"
    if splits:
        return _Key(ChangeKind.SPLIT, before.kind.number, 0, large.leaf_bytes, False)
    return _Key(ChangeKind.MERGED, 0, after.kind.number, large.leaf_bytes, False)
