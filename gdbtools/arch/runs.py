"""Many runs, as columns: what a scan finds, joined as it is added."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

from gdbtools.addresses import Input
from gdbtools.arch.model import Hole, LeafKind, Run


class RunShape(NamedTuple):
    """What runs have in common but where they are."""

    leaf_bytes: int
    kind: LeafKind


_Row = tuple[int, int, int, int, int]
"""First address, leaves, output, code, where the first descriptor is."""


class Runs:
    """Runs and holes in order of address, some 40 bytes a run; a `Run` is made each time that one is asked for.

    Runs that go on with each other are joined as they are added.  `shapes` are numbered; a scan's `Runs` share them.
    """

    def __init__(self, shapes: list[RunShape]) -> None:
        self.shapes = shapes
        self._first, self._leaves, self._output, self._pa = array("Q"), array("Q"), array("Q"), array("Q")
        self._code = array("I")
        """Twice the number of the shape; odd where all leaves lead to the same place."""
        self._holes: list[tuple[int, Hole]] = []
        """Each with how many runs are before it."""
        self._end = self._onward = -1
        """Where the last run ends, and where a leaf leads that goes on with it; -1: none does."""

    def __len__(self) -> int:
        return len(self._first) + len(self._holes)

    def __iter__(self) -> Iterator[Run | Hole]:
        return self._made(len(self._first))

    def add(self, first: int, leaves: int, output: int, shape: int, pa: int, repeats: bool = False) -> None:
        """Add leaves of one shape; where they go on with the last run, or lead to the same place again, to that."""
        mapped, code = leaves * self.shapes[shape].leaf_bytes, shape << 1 | repeats
        if first == self._end:
            if output == self._onward and code == self._code[-1] and not repeats:
                self._leaves[-1] += leaves
                self._end, self._onward = first + mapped, output + mapped
                return
            if output == self._output[-1] and (repeats or leaves == 1) and self._may_repeat(shape):
                self._leaves[-1] += leaves
                self._code[-1] |= 1
                self._end, self._onward = first + mapped, -1
                return
        self._first.append(first)
        self._leaves.append(leaves)
        self._output.append(output)
        self._code.append(code)
        self._pa.append(pa)
        self._end, self._onward = first + mapped, output + mapped

    def add_many(self, first: array[int], leaves: array[int], output: array[int], shape: int, pa: array[int]) -> None:
        """Add runs of one shape of which only the first may go on with what is before it."""
        self.add(first[0], leaves[0], output[0], shape, pa[0])
        code = array("I", [shape << 1])
        for column, more in zip(self._columns, (first, leaves, output, code * len(first), pa), strict=True):
            column += more[1:]
        mapped = self._leaves[-1] * self.shapes[shape].leaf_bytes
        self._end, self._onward = self._first[-1] + mapped, self._output[-1] + mapped

    def _may_repeat(self, shape: int) -> bool:
        """Return whether the last run is of that shape, and a single leaf or the same one over and over."""
        code = self._code[-1]
        return code >> 1 == shape and (bool(code & 1) or self._leaves[-1] == 1)

    def add_hole(self, hole: Hole) -> None:
        self._holes.append((len(self._first), hole))
        self.close()

    def add_moved(self, others: Runs, offset: int) -> None:
        """Add what others have, so many addresses further on."""
        for each in others._rows(len(others._first)):
            if isinstance(each, Hole):
                self.add_hole(each._replace(first=cast(Input, each.first + offset)))
            else:
                first, leaves, output, code, pa = each
                self.add(first + offset, leaves, output, code >> 1, pa, bool(code & 1))

    def close(self) -> None:
        """Have nothing join the last run any more."""
        self._end = -1

    @property
    def _finished(self) -> int:
        """How many runs nothing can join any more."""
        return len(self._first) - (self._end >= 0)

    @property
    def has_finished(self) -> bool:
        return self._finished > 0 or bool(self._holes)

    def taken(self) -> Iterator[Run | Hole]:
        """Yield what nothing can join any more, and forget it."""
        finished = self._finished
        yield from self._made(finished)
        for column in self._columns:
            del column[:finished]
        self._holes.clear()

    def _made(self, count: int) -> Iterator[Run | Hole]:
        """Yield the first so many runs and all holes."""
        make: Callable[..., Run] = Run  # of ints: to say of each what address it is would cost as much as the run
        shapes = self.shapes
        for each in self._rows(count):
            if isinstance(each, Hole):
                yield each
            else:
                first, leaves, output, code, pa = each
                size, kind = shapes[code >> 1]
                yield make(first, leaves * size, output, size, 0 if code & 1 else size, kind, pa)

    def _rows(self, count: int) -> Iterator[_Row | Hole]:
        done = 0
        for before, hole in self._holes:
            yield from self._between(done, before)
            yield hole
            done = before
        yield from self._between(done, count)

    def _between(self, start: int, end: int) -> Iterator[_Row]:
        return zip(*(column[start:end] for column in self._columns), strict=True)

    @property
    def _columns(self) -> tuple[array[int], ...]:
        return self._first, self._leaves, self._output, self._code, self._pa
