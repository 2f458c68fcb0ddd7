"""What a second stage maps, counted: leaves by what they have in common, entries by what hardware makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gdbtools.addresses import Input, moved
from gdbtools.analysis.kept_answers import KeptAnswers, NotedMemory
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.selection import onto, within
from gdbtools.arch.model import Attributes, Hole, Level, Read, Regime, Run
from gdbtools.arch.table_pages import TablePage, table_pages
from gdbtools.systems.structures import Extent


@dataclass(frozen=True)
class LeafGroup:
    """Leaves of one size and of the same attributes, access flag and dirty state left aside.

    `is_memory` says that they lead to memory: not to a device's addresses, nor to what is mapped as a device.
    `own_address` of them lead to the address that they translate; hardware reaches all but those that are soft-invalid:
    `cleared` have their own valid bit clear, and `cut_off` lie below a table whose entry has.
    """

    level: int
    leaf_bytes: int
    attributes: Attributes
    is_memory: bool
    leaves: int
    runs: int
    own_address: int
    cleared: int
    cut_off: int

    @property
    def size_bytes(self) -> int:
        return self.leaves * self.leaf_bytes

    @property
    def reached(self) -> int:
        return self.leaves - self.cleared - self.cut_off


@dataclass(frozen=True)
class LevelCount:
    """The tables of one level, and what their entries are; `soft_tables` and `soft_leaves` are soft-invalid ones.

    `empty` are all the others: zero, or nothing to hardware.
    """

    level: Level
    tables: int
    to_tables: int
    leaves: int
    soft_tables: int
    soft_leaves: int
    empty: int


@dataclass(frozen=True)
class Census:
    """All of a second stage.

    `first`..`last` is from the lowest address that is mapped, or would be, to the highest, None where nothing is, and
    `passed` how many empty entries a walk from there to there meets.  `memory` are the runs that lead to memory, in
    order of address; `memory_known` says whether the source told where that is, else it is what is not mapped as a
    device.  `unread` are the tables that could not be had.
    """

    regime: Regime
    groups: tuple[LeafGroup, ...]
    levels: tuple[LevelCount, ...]
    first: Input | None
    last: Input | None
    memory: tuple[Run, ...]
    memory_known: bool
    unread: tuple[Hole, ...]
    table_bytes: int
    passed: int

    @property
    def tables(self) -> int:
        return sum(each.tables for each in self.levels)

    @property
    def leaves(self) -> int:
        return sum(each.leaves for each in self.groups)

    def count(self, of: Callable[[LeafGroup], int]) -> int:
        return sum(map(of, self.groups))

    def bytes_of(self, memory: bool) -> int:
        """Return how much leads to memory, or to anything else."""
        return sum(each.size_bytes for each in self.groups if each.is_memory is memory)


@dataclass
class _Counted:
    """A `LeafGroup` that is being counted."""

    level: int
    leaf_bytes: int
    attributes: Attributes
    is_memory: bool
    leaves: int = 0
    runs: int = 0
    own_address: int = 0
    cleared: int = 0
    cut_off: int = 0

    def add(self, run: Run) -> None:
        self.leaves += run.leaves
        self.runs += 1
        if run.output == run.first and run.stride_bytes:
            self.own_address += run.leaves
        if run.kind.soft_invalid and run.fault is not None:
            if run.fault.level == run.kind.level:
                self.cleared += run.leaves
            else:
                self.cut_off += run.leaves

    @property
    def counted(self) -> LeafGroup:
        return LeafGroup(**vars(self))


def census(regime: Regime, read: Read, memory: Sequence[Extent] | None) -> Census:
    """Count what a second stage maps; each of its tables is read once.

    `memory` is where there is memory, in order of address; None where nobody says.
    """
    once = NotedMemory(read).read
    unread: list[Hole] = []
    groups: dict[tuple[object, ...], _Counted] = {}
    ours: list[Run] = []
    first: Input | None = None
    last: Input | None = None
    for each in mappings_of(regime, once):
        if isinstance(each, Hole):
            unread.append(each)
            continue
        first, last = each.first if first is None else first, each.last
        for run, is_memory in _parted(each, memory):
            ours += [run] if is_memory else []
            alike = run.attributes
            key = (is_memory, run.kind.level, run.leaf_bytes, alike.memory, tuple(alike.rights.items()))
            groups.setdefault(key, _Counted(run.kind.level, run.leaf_bytes, alike, is_memory)).add(run)
    pages = list(table_pages(regime, once))
    ordered = sorted(groups.values(), key=lambda one: (not one.is_memory, -one.leaf_bytes, -one.leaves))
    return Census(
        regime=regime,
        groups=tuple(each.counted for each in ordered),
        levels=tuple(_levels(pages)),
        first=first,
        last=last,
        memory=tuple(ours),
        memory_known=memory is not None,
        unread=tuple(unread),
        table_bytes=sum(page.size_bytes for page in pages),
        passed=0 if first is None or last is None else sum(_passed(page, first, last) for page in pages),
    )


class Censuses:
    """The censuses that a face keeps from one question to the next."""

    def __init__(self) -> None:
        self._kept = KeptAnswers[Census]()

    def of(self, regime: Regime, read: Read, memory: Sequence[Extent] | None) -> Census:
        """Return the census of a second stage: the one that is kept, where its tables are as they were, else anew."""
        asked = regime, None if memory is None else tuple(memory)
        return self._kept.of(asked, read, lambda noted: census(regime, noted.read, memory))


def _parted(run: Run, memory: Sequence[Extent] | None) -> Iterator[tuple[Run, bool]]:
    """Yield the parts of a run in order, and of each whether it leads to memory."""
    if run.attributes.device or memory is None or run.output is None:
        yield run, not run.attributes.device
        return
    at = run.first
    for extent in memory:
        for part in onto(run, extent):
            if at < part.first:
                yield _cut(run, at, part.first), False
            yield part, True
            at = moved(part.last, 1)
    if at <= run.last:
        yield _cut(run, at, moved(run.last, 1)), False


def _cut(run: Run, first: Input, end: int) -> Run:
    [part] = within((run,), (first, end - first))
    assert isinstance(part, Run)
    return part


def _levels(pages: Sequence[TablePage]) -> Sequence[LevelCount]:
    by_level: dict[Level, list[TablePage]] = {}
    for page in pages:
        by_level.setdefault(page.level, []).append(page)
    return [_level(level, ours) for level, ours in by_level.items()]


def _level(level: Level, pages: Sequence[TablePage]) -> LevelCount:
    to_tables, leaves = sum(page.tables for page in pages), sum(page.leaves for page in pages)
    soft = sum(page.soft_invalid for page in pages)
    soft_tables = sum(page.soft_tables for page in pages)
    entries = sum(page.level.entries for page in pages)
    return LevelCount(
        level, len(pages), to_tables, leaves, soft_tables, soft - soft_tables, entries - to_tables - leaves - soft
    )


def _passed(page: TablePage, first: Input, last: Input) -> int:
    """Return how many entries of a table lead nowhere, of those that lie within first..last."""
    size, entries = page.level.size_bytes, page.level.entries
    low = max(first - page.first, 0) // size
    high = min((last - page.first) // size + 1, entries)
    if low >= high:
        return 0
    # What lies outside of all that is mapped leads nowhere, so that the rest of the empty ones are within.
    empty = entries - page.live - page.soft_invalid
    return empty - low - (entries - high)
