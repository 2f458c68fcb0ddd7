"""The table loop for a whole address space: `scan` gives its mappings.

A table is looked at as a whole.  Whether 512 descriptors are one run is a single comparison of big integers, and what
is not one run is cut into runs by what is left of each descriptor when its place in the run is taken from it; a
descriptor is decoded once for each kind that is met.  So the cost is that of the tables, not of what they map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple, cast

from gdbtools.addresses import PA, VA, Input, Output
from gdbtools.arch.entry_runs import EntryLayout, entry_runs
from gdbtools.arch.model import EntryKind, Fault, Hole, LeafKind, Level, Read, Regime, Run, Step
from gdbtools.arch.walk import address_of, fetch, whole
from gdbtools.errors import Unreadable

_FIRST = VA(0)
"""Within one table."""
SMALL = 256
"""How many pieces of a shared subtree are kept for the next time it is met."""
PROTECTED = "physical memory is protected from the reading of this table"
HANDED_BITS = 64
"""What tables hand down is below this bit; from it on stands the number of the fault of a soft-invalid entry."""


class _Piece(NamedTuple):
    """Leaves of one kind that follow one another; `stride` is how far apart they lead."""

    first: int
    leaves: int
    output: int
    stride: int
    size: int
    kind: LeafKind
    pa: int


class TableSlice(NamedTuple):
    """A part of a table that lies together in physical memory."""

    pa: PA
    entry: int
    """Which entry of the table is its first."""
    raw: bytes
    refused: Fault | None = None
    """What hardware would meet instead, where only soft-invalid entries of the stage below lead here."""


class _Seen(NamedTuple):
    """A subtree that is met again: its pieces for the base where they were found; None if they are too many to keep."""

    base: int
    pieces: tuple[_Piece | Hole, ...] | None


def scan(regime: Regime, read: Read, first: Input | None = None, last: Input | None = None) -> Iterator[Run | Hole]:
    """Yield every mapping of one stage, or those that hold any of first..last, as maximal runs, in order of address.

    A leaf whose access flag is clear is among them, with its fault, and so is what soft-invalid entries lead to; a
    table that cannot be read is a `Hole`.  A table is read once, whole, however many entries lead to it.
    """
    wanted = regime.first if first is None else first, regime.last if last is None else last
    yield from Scanner(regime, read).within(*wanted)


def _runs(pieces: Iterator[_Piece | Hole]) -> Iterator[Run | Hole]:
    run: Callable[..., Run] = Run  # a piece has ints: to say of each address what it is would cost as much as the run
    for piece in pieces:
        if isinstance(piece, Hole):
            yield piece
        else:
            first, count, output, stride, size, kind, pa = piece
            yield run(first, count * size, output, size, stride, kind, pa)


def _merged(pieces: Iterator[_Piece | Hole]) -> Iterator[_Piece | Hole]:
    """Join neighbours of one kind that go on where the one before ended, or that lead to the same place again."""
    held: _Piece | None = None
    for piece in pieces:
        if held is None or isinstance(piece, Hole):
            if held is not None:
                yield held
            if isinstance(piece, Hole):
                held = None
                yield piece
            else:
                held = piece
            continue
        first, count, output, stride, size, kind, pa = held
        if piece.kind is kind and piece.size == size and piece.first == first + count * size:
            if piece.output == output + count * size and (stride or count == 1) and (piece.stride or piece.leaves == 1):
                held = _Piece(first, count + piece.leaves, output, size, size, kind, pa)
                continue
            if piece.output == output and not (stride and count > 1) and not (piece.stride and piece.leaves > 1):
                held = _Piece(first, count + piece.leaves, output, 0, size, kind, pa)
                continue
        yield held
        held = piece
    if held is not None:
        yield held


class _Met(NamedTuple):
    """A descriptor on the way down, not decoded yet: only a new kind of leaf asks for it again."""

    depth: int
    entry: int
    pa: int
    value: int


class Scanner:
    """One scan of one regime, of all of it or of some ranges: what has been read and decoded so far is kept."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self.regime = regime
        self.read = read
        self._raw: dict[tuple[int, int], list[TableSlice | Hole]] = {}
        self._seen: dict[tuple[int, int, int], _Seen | None] = {}
        self._kinds: list[dict[tuple[int, int], tuple[LeafKind, int, int]]] = [{} for _ in regime.levels]
        """By depth: from a leaf without its address, and what it inherits, to its kind, high address bits and scale."""
        self._tables: dict[tuple[int, int], tuple[int, Fault | None]] = {}
        """From depth and a table entry without its address to what it hands down, and what hardware meets at it."""
        self._distinct: list[LeafKind] = []
        self._refused: list[Fault] = []
        """What hardware meets at soft-invalid entries; the place of one is handed down from there."""
        self._leaf_bits = [regime.linear_bits(level) for level in regime.levels]
        self._table_bits = regime.table_bits()
        self._strides = [regime.stride(level) for level in regime.levels]
        self._first, self._last = regime.first, regime.last

    def tables_read(self) -> Iterator[tuple[PA, int]]:
        """Yield every table that was read so far: where it is, and the number of the level that it was met at."""
        for (_, level), parts in self._raw.items():
            for part in parts:
                if isinstance(part, TableSlice):
                    yield part.pa, level

    def within(self, first: Input, last: Input) -> Iterator[Run | Hole]:
        """Yield the mappings that hold any of first..last, in whole leaves; one such question at a time."""
        regime = self.regime
        if not regime.levels:
            if attributes := regime.attributes(()):
                size = regime.last - regime.first + 1
                output = cast(Output, regime.first)
                yield Run(regime.first, size, output, size, size, LeafKind(0, attributes, None), PA(0))
        elif regime.admit(regime.first) is None:
            self._first, self._last = max(first, regime.first), min(last, regime.last)
            # A root may have another half's entries before this one's, which may begin within an entry.
            top = regime.levels[0]
            base = (regime.first // top.size_bytes - top.index(regime.first)) * top.size_bytes
            yield from _runs(_merged(self.subtree(regime.root, 0, base, (), 0)))

    def subtree(
        self, table: int, depth: int, base: int, path: tuple[_Met, ...], inherited: int
    ) -> Iterator[_Piece | Hole]:
        """Yield the pieces below a table; one that is met again is looked up, not walked."""
        level = self.regime.levels[depth]
        if base < self._first or base + level.entries * level.size_bytes - 1 > self._last:
            return self._fresh(table, depth, base, path, inherited)
        key = table, depth, inherited
        if key not in self._seen:
            self._seen[key] = None
            return self._fresh(table, depth, base, path, inherited)
        seen = self._seen[key]
        if seen is None:
            found = tuple(islice(_merged(self._fresh(table, depth, base, path, inherited)), SMALL + 1))
            seen = self._seen[key] = _Seen(base, found if len(found) <= SMALL else None)
        if seen.pieces is None:
            return self._fresh(table, depth, base, path, inherited)
        return (_moved(piece, base - seen.base) for piece in seen.pieces)

    def _fresh(
        self, table: int, depth: int, base: int, path: tuple[_Met, ...], inherited: int
    ) -> Iterator[_Piece | Hole]:
        level, stride, others = self.regime.levels[depth], self._strides[depth], ~self._leaf_bits[depth]
        size, entry_bytes = level.size_bytes, self.regime.entry_bytes
        kinds, output_last = self._kinds[depth], self.regime.output_last
        layout = EntryLayout(entry_bytes, self.regime.byte_order, self.regime.may_be_valid)
        for part in self.table(table, level):
            if isinstance(part, Hole):
                yield Hole(cast(Input, base + part.first), part.size_bytes, part.pa, part.why, part.refusal)
                continue
            entry, raw = part.entry, part.raw
            handed = inherited if part.refused is None else self._refusing(inherited, part.refused)
            skipped = max(self._first - base, 0) // size - entry
            wanted = (self._last - base) // size + 1 - entry
            if skipped > 0 or wanted < len(raw) // entry_bytes:
                skipped = max(skipped, 0)
                raw = raw[skipped * entry_bytes : max(wanted, 0) * entry_bytes]
                entry += skipped
            for index, count, value, step in entry_runs(raw, layout, stride) if raw else ():
                at = entry + index
                pa, first = part.pa + (at - part.entry) * entry_bytes, base + at * size
                known = kinds.get((value & others, handed))
                while known is None or not _is_one(value, count, step, others, known, output_last):
                    # Of a kind not met before, or a run that crosses what it may not: its first alone, then the rest.
                    yield from self._single(_Met(depth, at, pa, value), first, path, handed)
                    at, pa, first, value, count = at + 1, pa + entry_bytes, first + size, value + step, count - 1
                    if not count:
                        break
                    known = kinds.get((value & others, handed))
                else:
                    kind, high, scale = known
                    output = (value & ~others) * scale + high
                    yield _Piece(first, count, output, size if step else 0, size, kind, pa)

    def _single(self, met: _Met, first: int, path: tuple[_Met, ...], inherited: int) -> Iterator[_Piece | Hole]:
        """Go on below a table, or decode a leaf with all care and remember its kind."""
        depth, table_bits, regime = met.depth, self._table_bits, self.regime
        known = self._tables.get((depth, met.value & ~table_bits))
        below = (met.value & table_bits) * regime.table_scale
        if known is not None and 0 < below <= regime.output_last:
            handed, refused = known
            yield from self.subtree(below, depth + 1, first, (*path, met), self._refusing(inherited, refused) | handed)
            return
        step, refused = self._step(met)
        entry = step.entry
        if entry.kind is EntryKind.INVALID:
            return
        refusal, passed = regime.accept(step), self._refusing(inherited, refused)
        if entry.kind is EntryKind.TABLE:
            if refusal is None:
                handed = regime.handed_down(entry)
                if entry.address == below:
                    self._tables[depth, met.value & ~table_bits] = handed, refused
                yield from self.subtree(entry.address, depth + 1, first, (*path, met), passed | handed)
            return
        attributes = regime.attributes((*(self._step(each)[0] for each in path), step))
        assert attributes is not None, "the path ends in a leaf"
        fault = self._refused[(passed >> HANDED_BITS) - 1] if passed >> HANDED_BITS else None
        soft = fault is not None
        if fault is None and refusal is not None:
            fault = refusal.fault
        kind = self._distinct_kind(LeafKind(step.level.number, attributes, fault, soft))
        size, bits = step.level.size_bytes, self._leaf_bits[depth]
        if entry.span_bytes:
            # Of identical entries each leads elsewhere: by itself, and not by what it has in common with others.
            yield _Piece(first, 1, entry.address | first & (entry.span_bytes - 1), size, size, kind, met.pa)
            return
        if entry.address <= regime.output_last:
            scale = size // self._strides[depth]
            high = entry.address - (met.value & bits) * scale
            self._kinds[depth][met.value & ~bits, inherited] = kind, high, scale
        yield _Piece(first, 1, entry.address, size, size, kind, met.pa)

    def _refusing(self, inherited: int, fault: Fault | None) -> int:
        """Add to what is inherited what hardware meets here; what it met before, it met first."""
        if fault is None or inherited >> HANDED_BITS:
            return inherited
        if fault not in self._refused:
            self._refused.append(fault)
        return inherited | self._refused.index(fault) + 1 << HANDED_BITS

    def _step(self, met: _Met) -> tuple[Step, Fault | None]:
        """Decode an entry; a soft-invalid one as if it were valid, with what hardware meets there."""
        level = self.regime.levels[met.depth]
        raw = met.value.to_bytes(self.regime.entry_bytes, self.regime.byte_order)
        return whole(self.regime, Step(level, met.entry, PA(met.pa), self.regime.decode(raw, level)))

    def _distinct_kind(self, kind: LeafKind) -> LeafKind:
        for known in self._distinct:
            if known == kind:
                return known
        self._distinct.append(kind)
        return kind

    def table(self, table: int, level: Level) -> list[TableSlice | Hole]:
        """Return a table's parts: one, unless the stage below scatters it or withholds some of it."""
        key = table, level.number
        found = self._raw.get(key)
        if found is None:
            found = self._raw[key] = (
                self._whole(PA(table), level) if self.regime.below is None else [*self._parts(table, level)]
            )
        return found

    def _whole(self, table: PA, level: Level) -> list[TableSlice | Hole]:
        size_bytes = level.entries * self.regime.entry_bytes
        if refusal := self.regime.read_refused(table, size_bytes, level):
            return [Hole(_FIRST, level.entries * level.size_bytes, table, PROTECTED, refusal)]
        try:
            return [TableSlice(table, 0, self.read(table, size_bytes))]
        except Unreadable as missing:
            return [Hole(_FIRST, level.entries * level.size_bytes, missing.pa, missing.why)]

    def _parts(self, table: int, level: Level) -> Iterator[TableSlice | Hole]:
        entry_bytes = self.regime.entry_bytes
        at, end = table, table + level.entries * entry_bytes
        while at < end:
            index = (at - table) // entry_bytes
            where = cast(Output, at)
            pa, take = PA(at), end - at
            via, refusal = fetch(self.regime, where, self.read)
            refused = None
            if via is not None and via.kept is not None and refusal is not None:
                refused = refusal.fault
                via = via.kept
                refusal = self.regime.fetch_refused(via)
            if via is not None:
                # Where stage 2 has no leaf, its last entry says how far that goes.
                page = via.steps[-1].level.size_bytes if via.steps else end - at
                take = min(page - at % page, end - at)
                if refusal is None:
                    pa = address_of(via)
            covered = cast(Input, index * level.size_bytes), take // entry_bytes * level.size_bytes
            protected = self.regime.read_refused(pa, take, level) if refusal is None else None
            if refusal is not None:
                yield Hole(*covered, where, "stage 2 refuses to fetch this table", refusal)
            elif protected is not None:
                yield Hole(*covered, pa, PROTECTED, protected)
            else:
                try:
                    yield TableSlice(pa, index, self.read(pa, take), refused)
                except Unreadable as missing:
                    yield Hole(*covered, missing.pa, missing.why)
            at += take


def _is_one(value: int, count: int, step: int, others: int, known: tuple[LeafKind, int, int], output_last: int) -> bool:
    """Return whether descriptors that count up are all of one kind: no carry out of the address, none out of range."""
    last = value + (count - 1) * step
    return last & others == value & others and (last & ~others) * known[2] + known[1] <= output_last


def _moved(piece: _Piece | Hole, offset: int) -> _Piece | Hole:
    if isinstance(piece, Hole):
        return Hole(cast(Input, piece.first + offset), piece.size_bytes, piece.pa, piece.why, piece.refusal)
    return piece._replace(first=piece.first + offset)
