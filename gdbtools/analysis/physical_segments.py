"""Mappings by what they lead to: parts of physical memory, of which none is over another, and what two lists share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar


class Reaching(Protocol):
    """What leads to physical memory."""

    @property
    def reach(self) -> tuple[int, int]:
        """The first physical address, and the first after them."""
        ...


Of = TypeVar("Of", bound=Reaching)


class Segment(NamedTuple):
    """Physical memory from `first` to `end` (not included), and the number of one that leads there."""

    first: int
    end: int
    number: int


class Segments:
    """The physical memory that some mappings lead to; of those that lead to the same, the first one stands for it."""

    def __init__(self, found: Iterable[Reaching]) -> None:
        reaches = sorted((*each.reach, number) for number, each in enumerate(found))
        self.parts: list[Segment] = []
        covered = 0
        for first, end, number in reaches:
            if end > covered:
                self.parts.append(Segment(max(first, covered), end, number))
                covered = end

    def common(self, other: Segments) -> Iterator[tuple[int, int, int, int]]:
        """Yield what both lists lead to: (first, end, number in this, number in the other), in order of address."""
        one = two = 0
        while one < len(self.parts) and two < len(other.parts):
            mine, theirs = self.parts[one], other.parts[two]
            first, end = max(mine.first, theirs.first), min(mine.end, theirs.end)
            if first < end:
                yield first, end, mine.number, theirs.number
            if mine.end <= theirs.end:
                one += 1
            if theirs.end <= mine.end:
                two += 1


def shared(one: Sequence[Of], other: Sequence[Of]) -> Iterator[tuple[int, int, Of, Of]]:
    """Yield the physical memory that two lists of mappings both lead to: (first, end, one's, the other's)."""
    for first, end, mine, theirs in Segments(one).common(Segments(other)):
        yield first, end, one[mine], other[theirs]


def outside(found: Sequence[Of], there: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, Of]]:
    """Yield what mappings lead to beyond some places (first, end), which are in order of address."""
    begun = 0
    for first, end, number in Segments(found).parts:
        at = first
        while begun < len(there) and there[begun][1] <= at:
            begun += 1
        for start, stop in there[begun:]:
            if start >= end:
                break
            if at < start:
                yield at, start, found[number]
            at = stop
        if at < end:
            yield at, end, found[number]
