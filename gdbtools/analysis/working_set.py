"""What of a range was touched in a while: by whom, how hot each stretch of it is, and how much that is together.

A leaf, a block or a page, is the smallest thing that an access flag tells of: one touched byte is a touched leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from gdbtools.addresses import PA, VA, Input
from gdbtools.arch.model import Access

GAP_SHARE = 32
"""A gap is drawn no longer than this part of what is mapped on its sides."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A block or a page, from input address `first` on, and where its descriptor is."""

    first: Input
    size_bytes: int
    pa: PA

    @property
    def end(self) -> int:
        return self.first + self.size_bytes


@dataclass(frozen=True, slots=True)
class Touch:
    """The access that first touched a leaf in a sample, `seconds` after its begin."""

    seconds: float
    access: Access
    cpu: int
    pc: VA

    @property
    def who(self) -> tuple[Access, int, VA]:
        return self.access, self.cpu, self.pc


@dataclass(frozen=True)
class Sample:
    """One interval: the leaves that were there, and of those touched the first touch, None where nobody saw it."""

    began: float
    seconds: float
    leaves: Sequence[Leaf]
    touched: Mapping[Leaf, Touch | None]

    @property
    def resident_bytes(self) -> int:
        return sum(leaf.size_bytes for leaf in self.leaves)

    @property
    def touched_bytes(self) -> int:
        return sum(leaf.size_bytes for leaf in self.touched)


@dataclass(frozen=True, slots=True)
class Region:
    """Leaves that follow one another without a gap, in order."""

    leaves: Sequence[Leaf]

    @property
    def first(self) -> Input:
        return self.leaves[0].first

    @property
    def size_bytes(self) -> int:
        return self.leaves[-1].end - self.first


@dataclass(frozen=True, slots=True)
class TouchedRun:
    """Leaves of one size that follow one another, touched in as many samples; `touches` are those that were seen."""

    first: Input
    leaf_bytes: int
    leaves: int
    samples: int
    touches: Sequence[Touch]

    @property
    def size_bytes(self) -> int:
        return self.leaf_bytes * self.leaves

    @property
    def earliest(self) -> Touch | None:
        return min(self.touches, key=lambda touch: touch.seconds, default=None)


def every_leaf(samples: Sequence[Sample]) -> Sequence[Leaf]:
    """Return each leaf that was there in any sample, in order of address."""
    return sorted({leaf for sample in samples for leaf in sample.leaves}, key=lambda leaf: leaf.first)


def heat(samples: Sequence[Sample]) -> Mapping[Leaf, int]:
    """Return in how many samples each touched leaf was touched."""
    times: dict[Leaf, int] = {}
    for sample in samples:
        for leaf in sample.touched:
            times[leaf] = times.get(leaf, 0) + 1
    return times


def regions(leaves: Sequence[Leaf], most: int) -> Sequence[Region]:
    """Return leaves in order as regions, at most so many: the smallest gaps are taken into them."""
    edges = [at for at in range(1, len(leaves)) if leaves[at].first > leaves[at - 1].end]
    edges = sorted(sorted(edges, key=lambda at: leaves[at - 1].end - leaves[at].first)[: most - 1])
    bounds = [0, *edges, len(leaves)]
    return [Region(leaves[start:end]) for start, end in pairwise(bounds) if start < end]


def stretches(
    leaves: Sequence[Leaf], shares: Mapping[Leaf, float | None], gaps: bool = True
) -> Iterator[tuple[int, float | None]]:
    """Yield leaves in order as (bytes, share) of what lies side by side and is equally hot: 0 where nothing is said.

    None is what is not there; so is a gap, which is cut short, or left out.
    """
    longest = sum(leaf.size_bytes for leaf in leaves) // GAP_SHARE
    unit = min(leaf.size_bytes for leaf in leaves)
    for share, together in groupby(_with_gaps(leaves, shares), lambda each: each[1]):
        held = 0
        for leaf, _, gap_bytes in together:
            if gap_bytes and gaps:
                if held:
                    yield held, share
                yield max(min(gap_bytes, longest) // unit, 1) * unit, None
                held = 0
            held += leaf.size_bytes
        yield held, share


def _with_gaps(leaves: Sequence[Leaf], shares: Mapping[Leaf, float | None]) -> Iterator[tuple[Leaf, float | None, int]]:
    end = int(leaves[0].first)
    for leaf in leaves:
        yield leaf, shares.get(leaf, 0.0), max(leaf.first - end, 0)
        end = leaf.end


def touched_runs(samples: Sequence[Sample], apart: bool = False) -> Sequence[TouchedRun]:
    """Return what was touched, in order of address, as runs; `apart`: cut also where somebody else touched first."""
    times = heat(samples)
    seen: dict[Leaf, list[Touch]] = {leaf: [] for leaf in times}
    for sample in samples:
        for leaf, touch in sample.touched.items():
            seen[leaf] += [] if touch is None else [touch]

    def alike(leaf: Leaf) -> object:
        return times[leaf], leaf.size_bytes, apart and {touch.who for touch in seen[leaf]}

    found: list[TouchedRun] = []
    for together in _together(sorted(times, key=lambda leaf: leaf.first)):
        for _, group in groupby(together, alike):
            run = list(group)
            touches = [touch for leaf in run for touch in seen[leaf]]
            found.append(TouchedRun(run[0].first, run[0].size_bytes, len(run), times[run[0]], touches))
    return found


def _together(leaves: Sequence[Leaf]) -> Iterator[Sequence[Leaf]]:
    """Cut leaves in order where one does not follow the other."""
    held: list[Leaf] = []
    for leaf in leaves:
        if held and leaf.first != held[-1].end:
            yield held
            held = []
        held.append(leaf)
    if held:
        yield held


def hottest(runs: Sequence[TouchedRun], most: int) -> Sequence[TouchedRun]:
    """Return the runs that were touched in most samples, and of those the largest."""
    return sorted(runs, key=lambda run: (-run.samples, -run.size_bytes, run.first))[:most]
