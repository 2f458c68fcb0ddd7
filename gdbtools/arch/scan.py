"""The table loops for a whole address space: `scan` gives its mappings, `tables` reads every table of it.

A table is looked at as a whole.  Whether 512 descriptors are one run is a single comparison of big integers, and what
is not one run is cut into runs by what is left of each descriptor when its place in the run is taken from it; a
descriptor is decoded once for each kind that is met.  So the cost is that of the tables, not of what they map.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from itertools import groupby, islice
from typing import NamedTuple

from gdbtools.arch.model import Entry, EntryKind, Hole, LeafKind, Level, Read, Regime, Run, Step
from gdbtools.arch.walk import address_of, fetch
from gdbtools.errors import Unreadable

SMALL = 256
"""How many pieces of a shared subtree are kept for the next time it is met."""


class _Piece(NamedTuple):
    """Leaves of one kind that follow one another; `stride` is how far apart they lead."""

    first: int
    leaves: int
    output: int
    stride: int
    size: int
    kind: LeafKind
    pa: int


class _Slice(NamedTuple):
    """A part of a table that lies together in physical memory: where it is, which entry is its first."""

    pa: int
    entry: int
    raw: bytes


class _Seen(NamedTuple):
    """A subtree that is met again: its pieces for the base where they were found; None if they are too many to keep."""

    base: int
    pieces: tuple[_Piece | Hole, ...] | None


def scan(regime: Regime, read: Read) -> Iterator[Run | Hole]:
    """Give every mapping of one stage as maximal runs, in order of address.

    A leaf whose access flag is clear is among them, with its fault; a table that cannot be read is a `Hole`.  A table
    is read once, whole, however many entries lead to it.
    """
    if not regime.levels:
        attributes = regime.attributes(())
        assert attributes is not None, "an MMU that is off grants everything"
        size = regime.last - regime.first + 1
        yield Run(regime.first, size, regime.first, size, size, LeafKind(0, attributes, None), 0)
    elif regime.admit(regime.first) is None:
        yield from _runs(_merged(_Scan(regime, read).subtree(regime.root, 0, regime.first, (), 0)))


def _runs(pieces: Iterator[_Piece | Hole]) -> Iterator[Run | Hole]:
    for piece in pieces:
        if isinstance(piece, Hole):
            yield piece
        else:
            first, count, output, stride, size, kind, pa = piece
            yield Run(first, count * size, output, size, stride, kind, pa)


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


class _Scan:
    """One scan of one regime: what has been read and decoded so far."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self.regime = regime
        self.read = read
        self._raw: dict[tuple[int, int], list[_Slice | Hole]] = {}
        self._seen: dict[tuple[int, int, int], _Seen | None] = {}
        self._kinds: dict[tuple[int, int, int], tuple[LeafKind, int, int]] = {}
        self._distinct: list[LeafKind] = []
        self._linear = [regime.linear_bits(level) for level in regime.levels]

    def subtree(
        self, table: int, depth: int, base: int, path: tuple[Step, ...], inherited: int
    ) -> Iterator[_Piece | Hole]:
        """Give the pieces below a table; one that is met again is looked up, not walked."""
        key = table, depth, inherited
        if key not in self._seen:
            self._seen[key] = None
            yield from self._fresh(table, depth, base, path, inherited)
            return
        seen = self._seen[key]
        if seen is None:
            found = tuple(islice(_merged(self._fresh(table, depth, base, path, inherited)), SMALL + 1))
            seen = self._seen[key] = _Seen(base, found if len(found) <= SMALL else None)
        if seen.pieces is None:
            yield from self._fresh(table, depth, base, path, inherited)
            return
        offset = base - seen.base
        for piece in seen.pieces:
            if isinstance(piece, Hole):
                yield Hole(piece.first + offset, piece.size_bytes, piece.pa, piece.why, piece.refusal)
            else:
                yield piece._replace(first=piece.first + offset)

    def _fresh(
        self, table: int, depth: int, base: int, path: tuple[Step, ...], inherited: int
    ) -> Iterator[_Piece | Hole]:
        level = self.regime.levels[depth]
        for part in self._table(table, level):
            if isinstance(part, Hole):
                yield Hole(base + part.first, part.size_bytes, part.pa, part.why, part.refusal)
            else:
                yield from self._part(part, depth, base, path, inherited)

    def _part(
        self, part: _Slice, depth: int, base: int, path: tuple[Step, ...], inherited: int
    ) -> Iterator[_Piece | Hole]:
        level = self.regime.levels[depth]
        for index, count, value, stride in _entries(part.raw, self.regime.byte_order, self.regime.stride(level)):
            for done in range(count):
                at = index + done
                first = base + (part.entry + at) * level.size_bytes
                pa = part.pa + at * self.regime.entry_bytes
                descriptor = value + done * stride
                known = self._known(descriptor, count - done, stride, depth, inherited)
                if known is not None:
                    kind, output = known
                    step_bytes = level.size_bytes if stride else 0
                    yield _Piece(first, count - done, output, step_bytes, level.size_bytes, kind, pa)
                    break
                yield from self._single(descriptor, depth, part.entry + at, pa, first, path, inherited)

    def _known(self, value: int, count: int, stride: int, depth: int, inherited: int) -> tuple[LeafKind, int] | None:
        """Give the kind and the output of descriptors that are of a kind met before, all of them; else None."""
        rest = value & ~self._linear[depth]
        known = self._kinds.get((depth, rest, inherited))
        if known is None:
            return None
        kind, high, scale = known
        output = (value - rest) * scale + high
        last = value + (count - 1) * stride
        # A carry out of the address, or an address out of range, is nothing that a run may cross.
        if last & ~self._linear[depth] != rest or (last - rest) * scale + high > self.regime.output_last:
            return None
        return kind, output

    def _single(
        self, value: int, depth: int, index: int, pa: int, first: int, path: tuple[Step, ...], inherited: int
    ) -> Iterator[_Piece | Hole]:
        """Decode one descriptor with all care, remember its kind, and go on below a table."""
        regime = self.regime
        level = regime.levels[depth]
        raw = value.to_bytes(regime.entry_bytes, regime.byte_order)
        step = Step(level, index, pa, regime.decode(raw, level))
        entry = step.entry
        if entry.kind is EntryKind.INVALID:
            return
        refusal = regime.accept(step)
        if entry.kind is EntryKind.TABLE:
            if refusal is None:
                below = inherited | regime.handed_down(entry)
                yield from self.subtree(entry.address, depth + 1, first, (*path, step), below)
            return
        attributes = regime.attributes((*path, step))
        assert attributes is not None, "the path ends in a leaf"
        kind = self._distinct_kind(LeafKind(level.number, attributes, refusal.fault if refusal else None))
        if entry.address <= regime.output_last:
            linear, scale = self._linear[depth], level.size_bytes // regime.stride(level)
            self._kinds[depth, value & ~linear, inherited] = kind, entry.address - (value & linear) * scale, scale
        yield _Piece(first, 1, entry.address, level.size_bytes, level.size_bytes, kind, pa)

    def _distinct_kind(self, kind: LeafKind) -> LeafKind:
        for known in self._distinct:
            if known == kind:
                return known
        self._distinct.append(kind)
        return kind

    def _table(self, table: int, level: Level) -> list[_Slice | Hole]:
        """Give a table's parts: one, unless the stage below scatters it or withholds some of it."""
        key = table, level.number
        if key not in self._raw:
            self._raw[key] = list(self._parts(table, level))
        return self._raw[key]

    def _parts(self, table: int, level: Level) -> Iterator[_Slice | Hole]:
        entry_bytes = self.regime.entry_bytes
        at, end = table, table + level.entries * entry_bytes
        while at < end:
            index = (at - table) // entry_bytes
            pa, take = at, end - at
            via, refusal = fetch(self.regime, at, self.read)
            if via is not None:
                page = via.leaf.level.size_bytes if via.leaf else end - at
                take = min(page - at % page, end - at)
                pa = at if refusal else address_of(via)
            covered = index * level.size_bytes, take // entry_bytes * level.size_bytes
            if refusal is not None:
                yield Hole(*covered, at, "stage 2 refuses to fetch this table", refusal)
            else:
                try:
                    yield _Slice(pa, index, self.read(pa, take))
                except Unreadable as missing:
                    yield Hole(*covered, missing.pa, missing.why)
            at += take


def _entries(raw: bytes, order: str, stride: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a table into runs: (index, count, first descriptor, by how much each is more than the last: `stride` or 0).

    Entries without their lowest bit are invalid in every architecture, and left out.
    """
    count = len(raw) // 8
    if raw == _zeros(len(raw)):
        return
    first = int.from_bytes(raw[:8], "big" if order == "big" else "little")
    if count > 1 and first & 1:
        if raw == raw[:8] * count:
            yield 0, count, first, 0
            return
        if order == "little":
            ones, ramp = _ramp(count, stride)
            if int.from_bytes(raw, "little") == first * ones + ramp:
                yield 0, count, first, stride
                return
    values = struct.unpack(f"{'<' if order == 'little' else '>'}{count}Q", raw)
    index = 0
    places = range(0, count * stride, stride)
    rest = [value - place if value & 1 else None for value, place in zip(values, places, strict=True)]
    for key, group in groupby(rest):
        length = sum(1 for _ in group)
        if key is not None:
            yield index, length, values[index], stride
        index += length


@cache
def _zeros(size_bytes: int) -> bytes:
    return bytes(size_bytes)


@cache
def _ramp(count: int, stride: int) -> tuple[int, int]:
    """Give 1, 1, 1, ... and 0, stride, 2*stride, ... as 64-bit digits of one number."""
    ones = sum(1 << 64 * index for index in range(count))
    return ones, sum(index * stride << 64 * index for index in range(count))


def tables(regime: Regime, read: Read) -> Iterator[int | None]:
    """Read every table of a regime once; give the address of each, None for one that cannot be read.

    A table that is met again, at the same level or through itself, is not followed again.
    """
    seen: set[tuple[int, int]] = set()
    pending = [(regime.root, 0)] if regime.levels and regime.admit(regime.first) is None else []
    scanner = _Scan(regime, read)
    while pending:
        table, depth = pending.pop()
        if (table, depth) in seen:
            continue
        seen.add((table, depth))
        level, size = regime.levels[depth], regime.entry_bytes
        for part in scanner._table(table, level):
            if isinstance(part, Hole):
                yield None
                continue
            yield part.pa
            for offset in range(0, len(part.raw), size):
                entry: Entry = regime.decode(part.raw[offset : offset + size], level)
                step = Step(level, part.entry + offset // size, part.pa + offset, entry)
                if entry.kind is EntryKind.TABLE and regime.accept(step) is None:
                    pending.append((entry.address, depth + 1))
