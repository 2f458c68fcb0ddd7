"""Every table of one stage, read once: what its entries are, counted, and which tables they lead to.

What the entries of a run have in common is decoded once for each kind that is met, as `scan` does; a last level is
counted, not walked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from gdbtools.addresses import PA, Input, Output
from gdbtools.arch.entry_runs import EntryLayout, entry_runs, not_zero
from gdbtools.arch.model import Entry, EntryKind, Hole, Level, Read, Regime, Step
from gdbtools.arch.table_reader import TableReader, TableSlice


@dataclass(frozen=True, slots=True)
class TablePage:
    """One table: where it is, and what its entries are.

    `address` is where the entry above leads: through a stage below, an input address of that.  `parts` are the pieces
    that were read, (PA, size in bytes); `unread` says of the others why not.  `first` is the lowest input address that
    it translates where it was met first.  `tables` and `leaves` are entries that hardware uses, `soft_invalid` those
    that have only their valid bit clear, `soft_tables` of them those that would lead to tables, `invalid` those that
    are not zero and nothing to hardware; all entries are counted.  `leads_to` has (index, address) of each that leads
    to a table within the regime's range, a soft-invalid one too.
    """

    address: Output
    level: Level
    first: Input
    parts: tuple[tuple[PA, int], ...]
    unread: tuple[Hole, ...]
    tables: int
    leaves: int
    soft_invalid: int
    soft_tables: int
    invalid: int
    leads_to: tuple[tuple[int, Output], ...]

    @property
    def live(self) -> int:
        """How many entries hardware uses."""
        return self.tables + self.leaves

    @property
    def size_bytes(self) -> int:
        """How much of it was read."""
        return sum(size_bytes for _, size_bytes in self.parts)


def table_pages(regime: Regime, read: Read, last_too: bool = True) -> Iterator[TablePage]:
    """Yield every table of a regime, the root first, then level by level in order of address.

    A table that is met again at the same level, or through itself, is not followed again.  Unless `last_too`, tables of
    the last level are read, and none of their entries is looked at or counted.
    """
    if not regime.levels or regime.admit(regime.first) is not None:
        return
    counter = _Counter(regime, read)
    top = regime.levels[0]
    base = regime.first - top.index(regime.first) * top.size_bytes
    pending = deque([(regime.root, 0, base)])
    seen = {(regime.root, 0)}
    while pending:
        table, depth, base = pending.popleft()
        page = counter.page(table, depth, base, last_too or depth + 1 < len(regime.levels))
        yield page
        for index, address in page.leads_to:
            first = base + index * page.level.size_bytes
            if (address, depth + 1) not in seen:
                seen.add((address, depth + 1))
                pending.append((address, depth + 1, first))


class _Counts:
    """Entries of one table, by what they are to hardware."""

    def __init__(self) -> None:
        self.tables = self.leaves = self.soft_invalid = self.soft_tables = self.invalid = 0

    def add(self, kind: EntryKind, soft: bool, many: int) -> None:
        if kind is EntryKind.INVALID:
            self.invalid += many
        elif soft:
            self.soft_invalid += many
            self.soft_tables += many if kind is EntryKind.TABLE else 0
        elif kind is EntryKind.TABLE:
            self.tables += many
        else:
            self.leaves += many


class _Counter:
    """Counts the entries of the tables of one regime; what was decoded is kept by kind."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self.regime = regime
        self.tables = TableReader(regime, read)
        self._layouts = [EntryLayout.of(regime, level) for level in regime.levels]
        self._kinds: dict[tuple[int, int], tuple[EntryKind, bool]] = {}
        """From depth and an entry without its address to what it is, and whether only its valid bit is clear."""

    def page(self, table: Output, depth: int, base: int, counted: bool) -> TablePage:
        """Return a table, whose first entry translates `base`: a root may have entries of another range."""
        level, regime = self.regime.levels[depth], self.regime
        counts, below, parts, unread = _Counts(), list[tuple[int, Output]](), list[tuple[PA, int]](), list[Hole]()
        for part in self.tables.table(table, level):
            if isinstance(part, Hole):
                unread.append(part)
                continue
            parts.append((part.pa, len(part.raw)))
            for index, to in self._counted(part, depth, counts) if counted else ():
                first = base + index * level.size_bytes
                if first <= regime.last and regime.first < first + level.size_bytes:
                    below.append((index, to))
        return TablePage(
            address=table,
            level=level,
            first=cast(Input, max(base, regime.first)),
            parts=tuple(parts),
            unread=tuple(unread),
            tables=counts.tables,
            leaves=counts.leaves,
            soft_invalid=counts.soft_invalid,
            soft_tables=counts.soft_tables,
            invalid=counts.invalid,
            leads_to=tuple(below),
        )

    def _counted(self, part: TableSlice, depth: int, counts: _Counts) -> Iterator[tuple[int, Output]]:
        """Count the entries of a part; yield (index, address) of each that leads to a table."""
        level, entry_bytes, layout = self.regime.levels[depth], self.regime.entry_bytes, self._layouts[depth]
        runs = entry_runs(part.raw, layout)
        if runs.kind is not None:
            kind, soft = self._kind(depth, runs.firsts[0], runs.kind)
            if kind is not EntryKind.TABLE:
                counts.add(kind, soft, sum(runs.counts))
                return
        skipped, others = not_zero(part.raw, entry_bytes), ~layout.counting
        for index, many, value in runs.rows():
            skipped -= many
            step = runs.step
            kind, soft = self._kind(depth, value, value & others)
            carries = (value + (many - 1) * step) & others != value & others
            if kind is not EntryKind.TABLE and not carries:
                counts.add(kind, soft, many)
                continue
            for number in range(many):
                entry, soft = self._decoded(depth, value + number * step)
                counts.add(entry.kind, soft, 1)
                at = part.entry + index + number
                pa = PA(part.pa + (index + number) * entry_bytes)
                if entry.kind is EntryKind.TABLE and self.regime.accept(Step(level, at, pa, entry)) is None:
                    yield at, entry.address
        counts.invalid += skipped  # without a bit that every valid one has

    def _kind(self, depth: int, value: int, kind: int) -> tuple[EntryKind, bool]:
        if (found := self._kinds.get((depth, kind))) is None:
            entry, soft = self._decoded(depth, value)
            found = self._kinds[depth, kind] = entry.kind, soft
        return found

    def _decoded(self, depth: int, value: int) -> tuple[Entry, bool]:
        """Return an entry, and whether it is soft-invalid: then as if it were valid."""
        raw = value.to_bytes(self.regime.entry_bytes, self.regime.byte_order)
        entry = self.regime.decode(raw, self.regime.levels[depth])
        return (entry, False) if entry.kept is None else (entry.kept, True)
