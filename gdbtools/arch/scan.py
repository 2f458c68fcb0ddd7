"""The table loop for a whole address space: `scan` gives its mappings.

A table is looked at as a whole.  Whether 512 descriptors are one run is a single comparison of big integers, and what
is not one run is cut into runs by what is left of each descriptor when its place in the run is taken from it; a
descriptor is decoded once for each kind that is met.  So the cost is that of the tables, not of what they map.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import eq
from typing import NamedTuple, cast

from gdbtools.addresses import PA, Input, Output, moved
from gdbtools.arch.entry_runs import EntryLayout, EntryRuns, entry_runs
from gdbtools.arch.model import (
    Entry,
    EntryKind,
    Fault,
    Hole,
    LeafKind,
    Level,
    Read,
    Refusal,
    Regime,
    Run,
    Step,
    expecting,
)
from gdbtools.arch.runs import Runs, RunShape
from gdbtools.arch.table_reader import TableReader, TableSlice
from gdbtools.arch.walk import whole

MANY = 8
"""Runs of a table that are worth being looked at together."""
SMALL = 256
"""How many runs of a shared subtree are kept for the next time it is met."""
HANDED_BITS = 64
"""What tables hand down is below this bit; from it on stands the number of the fault of a soft-invalid entry."""


class _Tier(NamedTuple):
    """A level of the tables: how much address space an entry covers, and a whole table, and how entries stand there."""

    level: Level
    size_bytes: int
    table_bytes: int
    layout: EntryLayout


class _LeafForm(NamedTuple):
    """What leaves of one kind are: `output` is their counting bits, times `scale`, and what others add to it."""

    shape: int
    scale: int
    high: int


class _Seen(NamedTuple):
    """A subtree that is met again: its runs for the base where they were found; None if they are too many to keep."""

    base: int
    runs: Runs | None


class _Met:
    """A descriptor on the way down, decoded when a new kind of leaf asks for it."""

    __slots__ = ("depth", "entry", "pa", "step", "value")

    def __init__(self, depth: int, entry: int, pa: int, value: int) -> None:
        self.depth, self.entry, self.pa, self.value = depth, entry, pa, value
        self.step: tuple[Step, Fault | None] | None = None


_Path = tuple[_Met, ...]
_NOTHING: Iterable[None] = ()


def scan(regime: Regime, read: Read, first: Input | None = None, last: Input | None = None) -> Iterator[Run | Hole]:
    """Yield every mapping of one stage, or those that hold any of first..last, as maximal runs, in order of address.

    A leaf whose access flag is clear is among them, with its fault, and so is what soft-invalid entries lead to; a
    table that cannot be read is a `Hole`.  A table is read once, whole, however many entries lead to it.
    """
    wanted = regime.first if first is None else first, regime.last if last is None else last
    yield from Scanner(regime, read).within(*wanted)


class Scanner:
    """One scan of one regime, of all of it or of some ranges: what has been read and decoded so far is kept."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self.regime = regime
        self.tables = TableReader(regime, read)
        self._seen: dict[tuple[int, int, int], _Seen | None] = {}
        self._kinds: dict[tuple[int, int], dict[int | None, _LeafForm]] = defaultdict(dict)
        """By depth and what is inherited: from a leaf without its address to its kind."""
        self._tables: dict[tuple[int, int], tuple[int, Fault | None]] = {}
        """From depth and a table entry without its address to what it hands down, and what hardware meets at it."""
        self._shapes: list[RunShape] = []
        self._refused: list[Fault] = []
        """What hardware meets at soft-invalid entries; the place of one is handed down from there."""
        self._table_bits = regime.table_bits()
        self._tiers = [
            _Tier(level, level.size_bytes, level.size_bytes * level.entries, EntryLayout.of(regime, level))
            for level in regime.levels
        ]
        self._expect = expecting(read) if regime.below is None else None
        self._first, self._last = regime.first, regime.last

    def within(self, first: Input, last: Input) -> Iterator[Run | Hole]:
        """Yield the mappings that hold any of first..last, in whole leaves; one such question at a time.

        Of each it is certain where it ends before the next table is read.
        """
        regime = self.regime
        if not regime.levels:
            if attributes := regime.attributes(()):
                size = regime.last - regime.first + 1
                output = cast(Output, regime.first)
                yield Run(regime.first, size, output, size, size, LeafKind(0, attributes, None), PA(0))
            return
        found = Runs(self._shapes)
        for _ in self._collecting(found, first, last):
            yield from found.taken()
        yield from found

    def runs(self) -> Runs:
        """Return all mappings at once, of a regime that has levels."""
        found = Runs(self._shapes)
        for _ in self._collecting(found, self.regime.first, self.regime.last):
            pass
        return found

    def _collecting(self, found: Runs, first: Input, last: Input) -> Iterator[None]:
        """Add what holds any of first..last; pause wherever a table is to be read and there is something to take."""
        regime = self.regime
        if regime.admit(regime.first) is None:
            self._first, self._last = max(first, regime.first), min(last, regime.last)
            # A root may have another half's entries before this one's, which may begin within an entry.
            top = regime.levels[0]
            base = (regime.first // top.size_bytes - top.index(regime.first)) * top.size_bytes
            yield from self._subtree(found, regime.root, 0, base, (), 0)
        found.close()

    def _subtree(self, found: Runs, table: int, depth: int, base: int, path: _Path, inherited: int) -> Iterable[None]:
        """Add what is below a table; one that is met again is looked up, not walked."""
        if base < self._first or base + self._tiers[depth].table_bytes - 1 > self._last:
            return self._walked(found, table, depth, base, path, inherited)
        key = table, depth, inherited
        if key not in self._seen:
            self._seen[key] = None
            return self._walked(found, table, depth, base, path, inherited)
        seen = self._seen[key]
        if seen is None:
            seen = self._seen[key] = _Seen(base, self._few(table, depth, base, path, inherited))
        if seen.runs is None:
            return self._walked(found, table, depth, base, path, inherited)
        found.add_moved(seen.runs, base - seen.base)
        return _NOTHING

    def _few(self, table: int, depth: int, base: int, path: _Path, inherited: int) -> Runs | None:
        """Return what is below a table; None where it is too much to keep."""
        found = Runs(self._shapes)
        for _ in self._walked(found, table, depth, base, path, inherited):
            if len(found) > SMALL:
                return None
        found.close()
        return found if len(found) <= SMALL else None

    def _walked(self, found: Runs, table: int, depth: int, base: int, path: _Path, inherited: int) -> Iterator[None]:
        if found.has_finished:
            yield None
        tier = self._tiers[depth]
        for part in self.tables.table(table, tier.level):
            if isinstance(part, Hole):
                found.add_hole(part._replace(first=cast(Input, base + part.first)))
                continue
            handed = inherited if part.refused is None else self._refusing(inherited, part.refused)
            if not (self._first <= base and base + tier.table_bytes - 1 <= self._last):
                part = self._wanted(part, tier.size_bytes, base)
            cut = entry_runs(part.raw, tier.layout)
            if not cut.starts:
                continue
            if self._expect is not None and depth + 1 < len(self._tiers):
                self._expect(self._tables_below(cut, depth))
            known = self._kinds[depth, handed].get(cut.kind) if len(cut.starts) >= MANY else None
            first = base + part.entry * tier.size_bytes
            if known is None or not self._at_once(found, cut, tier, known, first, part.pa):
                yield from self._one_by_one(found, cut, depth, first, part, path, handed)

    def _wanted(self, part: TableSlice, size_bytes: int, base: int) -> TableSlice:
        """Return those entries of a table that the question is about."""
        entry_bytes = self.regime.entry_bytes
        skipped = max((self._first - base) // size_bytes - part.entry, 0)
        wanted = max((self._last - base) // size_bytes + 1 - part.entry, 0)
        raw = part.raw[skipped * entry_bytes : wanted * entry_bytes]
        return TableSlice(moved(part.pa, skipped * entry_bytes), part.entry + skipped, raw)

    def _tables_below(self, cut: EntryRuns, depth: int) -> list[tuple[PA, int]]:
        """Return the tables that entries lead to and that have not been read: (where, size in bytes)."""
        level, below, bits = self._tiers[depth].level, self._tiers[depth + 1].level, self._table_bits
        are_tables: dict[int, bool] = {}
        found: dict[int, None] = {}
        for _, count, first in cut.rows():
            for value in (first + at * cut.step for at in range(count if cut.step else 1)):
                if value & ~bits not in are_tables:
                    are_tables[value & ~bits] = self._decode(value, level).kind is EntryKind.TABLE
                if are_tables[value & ~bits]:
                    found[(value & bits) * self.regime.table_scale] = None
        size_bytes = below.entries * self.regime.entry_bytes
        return [(PA(table), size_bytes) for table in found if not self.tables.has(table, below)]

    def _decode(self, value: int, level: Level) -> Entry:
        return self.regime.decode(value.to_bytes(self.regime.entry_bytes, self.regime.byte_order), level)

    def _at_once(self, found: Runs, cut: EntryRuns, tier: _Tier, known: _LeafForm, first: int, pa: int) -> bool:
        """Add a table whose entries are all of one kind, unless some lead too far, or to the same place again."""
        shape, scale, high = known
        size, counting, entry_bytes = tier.size_bytes, tier.layout.counting, tier.layout.entry_bytes
        outputs = array("Q", [(value & counting) * scale + high for value in cut.firsts])
        if max(outputs) + max(cut.counts) * size - 1 > self.regime.output_last:
            return False
        if any(map(eq, cut.firsts, islice(cut.firsts, 1, None))):
            return False
        firsts = array("Q", [first + index * size for index in cut.starts])
        pas = array("Q", [pa + index * entry_bytes for index in cut.starts])
        found.add_many(firsts, array("Q", cut.counts), outputs, shape, pas)
        return True

    def _one_by_one(
        self, found: Runs, cut: EntryRuns, depth: int, first: int, part: TableSlice, path: _Path, handed: int
    ) -> Iterator[None]:
        tier, kinds, output_last = self._tiers[depth], self._kinds[depth, handed], self.regime.output_last
        size, counting, entry_bytes, step = tier.size_bytes, tier.layout.counting, tier.layout.entry_bytes, cut.step
        others, repeats = ~counting, not step
        for index, count, value in cut.rows():
            while count:
                known = kinds.get(value & others)
                if known is not None:
                    shape, scale, high = known
                    output, last = (value & counting) * scale + high, value + (count - 1) * step
                    if (last & counting) * scale + high <= output_last and not (last ^ value) & others:
                        at = first + index * size
                        found.add(at, count, output, shape, part.pa + index * entry_bytes, repeats)
                        break
                # Of a kind not met before, or a run that crosses what it may not: its first alone, then the rest.
                met = _Met(depth, part.entry + index, part.pa + index * entry_bytes, value)
                yield from self._single(found, met, first + index * size, path, handed)
                index, value, count = index + 1, value + step, count - 1

    def _single(self, found: Runs, met: _Met, first: int, path: _Path, inherited: int) -> Iterable[None]:
        """Go on below a table, or decode a leaf with all care and remember its kind."""
        depth, regime, rest = met.depth, self.regime, met.value & ~self._table_bits
        below = (met.value & self._table_bits) * regime.table_scale
        if (depth, rest) in self._tables and 0 < below <= regime.output_last:
            handed, refused = self._tables[depth, rest]
            handed |= self._refusing(inherited, refused)
            return self._subtree(found, below, depth + 1, first, (*path, met), handed)
        step, refused = self._step(met)
        entry = step.entry
        if entry.kind is EntryKind.INVALID:
            return _NOTHING
        refusal, passed = regime.accept(step), self._refusing(inherited, refused)
        if entry.kind is not EntryKind.TABLE:
            shape = self._shape((*path, met), refusal, passed)
            self._leaf(found, met, first, shape, inherited)
            return _NOTHING
        if refusal is not None:
            return _NOTHING
        handed = regime.handed_down(entry)
        if entry.address == below:
            self._tables[depth, rest] = handed, refused
        return self._subtree(found, entry.address, depth + 1, first, (*path, met), passed | handed)

    def _shape(self, path: _Path, refusal: Refusal | None, passed: int) -> int:
        """Return the number of what the leaves are that a path like this leads to; those that say the same are one."""
        attributes = self.regime.attributes(tuple(self._step(each)[0] for each in path))
        assert attributes is not None, "the path ends in a leaf"
        soft = bool(passed >> HANDED_BITS)
        fault = self._refused[(passed >> HANDED_BITS) - 1] if soft else refusal.fault if refusal else None
        tier = self._tiers[path[-1].depth]
        shape = RunShape(tier.size_bytes, LeafKind(tier.level.number, attributes, fault, soft))
        if shape not in self._shapes:
            self._shapes.append(shape)
        return self._shapes.index(shape)

    def _leaf(self, found: Runs, met: _Met, first: int, shape: int, inherited: int) -> None:
        """Add a leaf, and remember its kind."""
        tier, entry = self._tiers[met.depth], self._step(met)[0].entry
        if entry.span_bytes:
            # Of identical entries each leads elsewhere: by itself, and not by what it has in common with others.
            found.add(first, 1, entry.address | first & (entry.span_bytes - 1), shape, met.pa)
            return
        if entry.address <= self.regime.output_last:
            counting, scale = tier.layout.counting, tier.size_bytes // tier.layout.stride
            high = entry.address - (met.value & counting) * scale
            self._kinds[met.depth, inherited][met.value & ~counting] = _LeafForm(shape, scale, high)
        found.add(first, 1, entry.address, shape, met.pa)

    def _refusing(self, inherited: int, fault: Fault | None) -> int:
        """Add to what is inherited what hardware meets here; what it met before, it met first."""
        if fault is None or inherited >> HANDED_BITS:
            return inherited
        if fault not in self._refused:
            self._refused.append(fault)
        return inherited | self._refused.index(fault) + 1 << HANDED_BITS

    def _step(self, met: _Met) -> tuple[Step, Fault | None]:
        """Decode an entry; a soft-invalid one as if it were valid, with what hardware meets there."""
        if met.step is None:
            level = self._tiers[met.depth].level
            met.step = whole(self.regime, Step(level, met.entry, PA(met.pa), self._decode(met.value, level)))
        return met.step
