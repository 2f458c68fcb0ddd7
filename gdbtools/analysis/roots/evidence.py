"""What speaks for a root table, and against it: each sign by itself, with what was counted and what it weighs.

The weights are a ranking's, no probabilities.  What data may show by chance weighs little; what only tables in use
show weighs much, and only those signs make a root a likely one.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from gdbtools.arch.model import Privilege, Run
from gdbtools.arch.table_heuristics import Owner, RootPlace
from gdbtools.units import PAGE_BYTES

Interval = tuple[int, int]
"""First address, and the first after it."""


class Sign(enum.Enum):
    """One thing that speaks for a root, or against it; the value is whether data cannot show it by chance."""

    HELD = "held", True
    """A register of the source leads to it."""
    PROVEN = "proven", True
    """The code of the reduced space in force puts it into the register, and it has all that this space has."""
    NAMED = "named", True
    """A kernel names it in what it wrote down about itself."""
    POINTERS = "pointers", True
    """Pages of the upper half that words in memory point into are mapped by it."""
    VECTORS = "vectors", True
    """What the privileged level may execute holds exception vectors."""
    RUNNING = "running", True
    """The pc of a CPU may be executed, at its level."""
    STACK = "stack", True
    """The sp of such a CPU may be written."""
    LOST = "lost", False
    """The pc of a CPU whose address space it may be is not mapped."""
    OWN_TABLES = "own tables", True
    """It maps its own tables, to be written."""
    OTHER_ROOTS = "other roots", True
    """It maps the other roots, to be written."""
    SAME_UPPER = "same upper half", True
    """Other roots have the same upper half."""
    TWO_FACES = "two faces", True
    """Where the reduced root of the same process is kept there is one, and it maps nothing otherwise."""
    AMID = "amid", False
    """It stands among other data."""
    SAME_SIZE = "same size", False
    """It has the size of the kernel's."""
    REFERENCED = "referenced", False
    """An entry of another table leads to it."""
    IDENTITY = "identity", False
    """Addresses lead to themselves."""
    TABLES = "tables", False
    """Entries that lead to tables do."""
    LEAVES = "leaves", False
    """How many leaves there are."""
    IN_MEMORY = "in memory", False
    """Leaves lead to memory, and not to devices or nowhere."""
    MEMORY = "memory", False
    """Memory is mapped: how many bytes of all that there are."""
    ADJOINING = "adjoining", False
    """Leaves go on where the one before them ends."""
    ONE_PLACE = "one place", False
    """Leaves lead to one and the same place."""
    ENDLESS = "endless", False
    """Its tables are met over and over, by themselves or by many entries: more often than those that map memory."""

    def __init__(self, label: str, tells: bool) -> None:
        self.label = label
        self.tells = tells


@dataclass(frozen=True, slots=True)
class RootEvidence:
    """A sign: `count` of `total` fit, and what that weighs."""

    sign: Sign
    count: int
    total: int
    weight: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a CPU stood, as far as its source says; `alone`: at a level that shares its tables with no other."""

    number: int
    level: Privilege | None
    pc: int | None
    sp: int | None
    alone: bool = False


@dataclass(frozen=True)
class Tree:
    """What a root maps, as addresses of the lower half, if it is read as `place` says.

    `endless` says that its tables are met over and over, so that there was more than was read.
    """

    place: RootPlace
    owner: Owner
    tables: int
    runs: tuple[Run, ...]
    endless: bool

    @cached_property
    def leaves(self) -> int:
        return sum(run.size_bytes // run.leaf_bytes for run in self.runs)

    @cached_property
    def mapped_bytes(self) -> int:
        return sum(run.size_bytes for run in self.runs)

    @cached_property
    def _starts(self) -> list[int]:
        return [run.first for run in self.runs]

    def at(self, address: int) -> Run | None:
        """Return what maps an address of the lower half."""
        index = bisect_right(self._starts, address) - 1
        return self.runs[index] if index >= 0 and address <= self.runs[index].last else None

    @cached_property
    def writable(self) -> tuple[Interval, ...]:
        """Where the privileged level may write: physical addresses."""
        return merged(outputs(run) for run in self.runs if run.attributes.rights[max(run.attributes.rights)].write)

    @cached_property
    def executable(self) -> tuple[Interval, ...]:
        """Where the privileged level may execute what nobody below it sees; of a virtual machine, where anybody may."""
        return merged(outputs(run) for run in self.runs if self._is_privileged_code(run))

    def _is_privileged_code(self, run: Run) -> bool:
        rights = run.attributes.rights
        top = max(rights)
        seen = any(each.read for el, each in rights.items() if el != top)
        return rights[top].execute and (self.owner is Owner.VIRTUAL_MACHINE or not seen)


def outputs(run: Run) -> Interval:
    """Return where a run leads: all of it, or the one leaf that it leads to again and again."""
    assert run.output is not None, "one stage always gives an address"
    return run.output, run.output + (run.size_bytes if run.stride_bytes else run.leaf_bytes)


def merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Put intervals in order, those that touch together."""
    found: list[Interval] = []
    for first, end in sorted(intervals):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((first, end))
    return tuple(found)


def inside(interval: Interval, others: Sequence[Interval]) -> Iterator[Interval]:
    """Yield the parts of an interval that are in others, which are in order."""
    first, end = interval
    for index in range(max(0, bisect_right(others, (first, first)) - 1), len(others)):
        start, stop = others[index]
        if start >= end:
            return
        if max(first, start) < min(end, stop):
            yield max(first, start), min(end, stop)


def overlap(interval: Interval, others: Sequence[Interval]) -> int:
    """Return how many bytes of an interval are in others, which are in order."""
    return sum(end - first for first, end in inside(interval, others))


def share(weight: int, count: int, total: int) -> int:
    return round(weight * count / total) if total else 0


def of_shape(tree: Tree, memory: Sequence[Interval]) -> Iterator[RootEvidence]:
    """Yield what the tables show by themselves: how much of them there is, and how well it holds together."""
    leaves, runs = tree.leaves, tree.runs
    yield RootEvidence(Sign.TABLES, tree.tables - 1, tree.tables - 1, min(20, 2 * (tree.tables - 1).bit_length()))
    yield RootEvidence(Sign.LEAVES, leaves, leaves, min(10, leaves.bit_length()))
    within = sum(_within(run, memory) for run in runs)
    mapped = sum(overlap(part, memory) for part in merged(map(outputs, runs)))
    # A hypervisor maps its memory by few large leaves, and devices by many small ones.
    good = max(within / max(1, leaves), mapped / max(1, tree.mapped_bytes))
    odd = good < 1 / 2 and tree.owner is not Owner.VIRTUAL_MACHINE
    yield RootEvidence(Sign.IN_MEMORY, within, leaves, round(10 * good) - (5 if odd else 0))
    total = sum(end - first for first, end in memory)
    yield RootEvidence(Sign.MEMORY, mapped, total, share(10, mapped, total))
    following = sum(run.size_bytes // run.leaf_bytes - 1 for run in runs if run.stride_bytes)
    yield RootEvidence(Sign.ADJOINING, following, max(leaves - 1, 1), share(5, following, leaves - 1))
    repeating = (run for run in runs if not run.stride_bytes)
    again = sum(run.size_bytes // run.leaf_bytes for run in repeating)
    if again * 2 > leaves:
        yield RootEvidence(Sign.ONE_PLACE, again, leaves, -30)
    if tree.endless:
        yield RootEvidence(Sign.ENDLESS, 1, 1, -30)


def _within(run: Run, memory: Sequence[Interval]) -> int:
    """Count the leaves of a run that lead to memory."""
    first, end = outputs(run)
    found = overlap((first, end), memory)
    return (run.size_bytes // run.leaf_bytes) * found // (end - first)


def of_identity(tree: Tree) -> Iterator[RootEvidence]:
    """Yield whether addresses lead to themselves, as they do while an MMU is being turned on, and on bare metal."""
    same = sum(run.size_bytes // run.leaf_bytes for run in tree.runs if run.first == run.output and run.stride_bytes)
    if same:
        yield RootEvidence(Sign.IDENTITY, same, tree.leaves, share(10, same, tree.leaves))


def of_pointers(tree: Tree, place: RootPlace, pointers: Iterable[int]) -> RootEvidence:
    """Count the pages that are pointed into and are mapped, if the root translates the range of `place`."""
    first = place.first
    offsets = [page * PAGE_BYTES - first for page in pointers]
    found = sum(offset >= 0 and tree.at(offset) is not None for offset in offsets)
    return RootEvidence(Sign.POINTERS, found, len(offsets), share(40, found, max(len(offsets), 16)))


def of_tables(tree: Tree, own: Sequence[int], roots: Sequence[int]) -> Iterator[RootEvidence]:
    """Yield whether it maps what an operating system has to write: its tables, and the roots of the others."""
    for sign, pages in ((Sign.OWN_TABLES, own), (Sign.OTHER_ROOTS, roots)):
        mapped = sum(overlap((page, page + 1), tree.writable) for page in pages)
        if mapped:
            yield RootEvidence(sign, mapped, len(pages), share(10, mapped, len(pages)))


def of_cpus(
    tree: Tree, place: RootPlace, cpus: Sequence[Standing], levels: Sequence[Privilege]
) -> Iterator[RootEvidence]:
    """Yield whether CPUs may have been running in it: those at one of its regime's levels, with pc in its range."""
    running = stack = lost = 0
    inside = [each for each in cpus if each.level in levels and each.pc is not None and _in_range(place, each.pc)]
    for each in inside:
        assert each.pc is not None and each.level is not None, "it lies in the range, at one of the levels"  # noqa: PT018
        run = tree.at(each.pc - place.first)
        if run is None or not run.attributes.rights[each.level].execute:
            lost += 1
            continue
        running += 1
        if each.sp is not None and _in_range(place, each.sp):
            top = tree.at((each.sp - 1) - place.first) or tree.at(each.sp - place.first)
            stack += top is not None and top.attributes.rights[each.level].write
    if running:
        yield RootEvidence(Sign.RUNNING, running, len(inside), 15)
    if stack:
        yield RootEvidence(Sign.STACK, stack, len(inside), 15)
    if lost and not running:
        # Another process's pc is nothing against this one.
        privileged = any(each.level and not each.level.is_user for each in inside)
        yield RootEvidence(Sign.LOST, lost, len(inside), -15 if privileged else 0)


def _in_range(place: RootPlace, address: int) -> bool:
    return place.first <= address < place.first + (1 << place.input_bits)
