"""Entries of a table that count up together: a whole table's are compared at once, before any is looked at."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import compress
from operator import sub
from typing import Final, Literal, NamedTuple

from gdbtools.arch.model import Level, Regime


class EntryLayout(NamedTuple):
    """How the entries of a level's tables stand in memory, and the bits of which a valid one has any.

    Neighbours that lead to neighbours differ by `stride`, in the bits that are `counting`; the others are their kind.
    """

    entry_bytes: int
    order: Literal["little", "big"]
    may_be_valid: int
    stride: int
    counting: int

    @classmethod
    def of(cls, regime: Regime, level: Level) -> EntryLayout:
        """Return that of a level of a regime."""
        stride, counting = regime.stride(level), regime.linear_bits(level)
        return cls(regime.entry_bytes, regime.byte_order, regime.may_be_valid, stride, counting)


class EntryRuns(NamedTuple):
    """Runs of a table's entries, as columns: where each starts, how many entries it has, and its first entry.

    Within a run each entry is `step` more than the one before it: the stride, or 0.  `kind` is what all entries of the
    table have besides the bits that count; None where that was not seen.
    """

    starts: Sequence[int] = ()
    counts: Sequence[int] = ()
    firsts: Sequence[int] = ()
    step: int = 0
    kind: int | None = None

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """Yield each run: (index, count, first entry)."""
        return zip(self.starts, self.counts, self.firsts, strict=True)


_NONE: Final = EntryRuns()
_CODES: Final = {4: "I", 8: "Q"}
"""How `struct` calls an entry of so many bytes."""
_ORDERS: Final = {"little": "<", "big": ">"}
"""How it calls an order of bytes."""


def entry_runs(raw: bytes, layout: EntryLayout) -> EntryRuns:
    """Cut a table into runs; entries that have none of the bits `may_be_valid` are left out."""
    each, present = layout.entry_bytes, layout.may_be_valid
    count = len(raw) // each
    if raw == _zeros(len(raw)):
        return _NONE
    first = int.from_bytes(raw[:each], layout.order)
    if first & present and count > 1:
        if raw == raw[:each] * count:
            return EntryRuns((0,), (count,), (first,))
        # Its second entry says whether the whole is worth a comparison.
        goes_on = int.from_bytes(raw[each : 2 * each], layout.order) == first + layout.stride
        if goes_on and layout.order == "little" and _is_one_run(raw, first, layout):
            return EntryRuns((0,), (count,), (first,), layout.stride)
    values = struct.unpack(f"{_ORDERS[layout.order]}{count}{_CODES[each]}", raw)
    if raw.count(0) > len(raw) - count // 2:
        return _few(values, layout)
    return _many(values, raw if layout.order == "little" else struct.pack(f"<{count}{_CODES[each]}", *values), layout)


def not_zero(raw: bytes, entry_bytes: int) -> int:
    """Return how many entries of a table have any bit set."""
    count = len(raw) // entry_bytes
    return count - struct.unpack(f"<{count}{_CODES[entry_bytes]}", raw).count(0)


def _few(values: Sequence[int], layout: EntryLayout) -> EntryRuns:
    """Cut a table of few entries that are not zero, looking at no others."""
    starts: list[int] = []
    counts: list[int] = []
    end, onward = -1, 0
    for index in compress(range(len(values)), values):
        value = values[index]
        if not value & layout.may_be_valid:
            continue
        if index == end and value == onward:
            counts[-1] += 1
        else:
            starts.append(index)
            counts.append(1)
        end, onward = index + 1, value + layout.stride
    return EntryRuns(starts, counts, [values[start] for start in starts], layout.stride)


def _many(values: Sequence[int], little: bytes, layout: EntryLayout) -> EntryRuns:
    """Cut a table by comparing all of its entries, which are the digits of one number, at once."""
    count, present, stride = len(values), layout.may_be_valid, layout.stride
    table, digits = int.from_bytes(little, "little"), _digits(count, 8 * layout.entry_bytes, stride)
    starts = [0, *compress(range(1, count), _changes(table, count, present, digits))]
    counts = [*map(sub, (*starts[1:], count), starts)]
    firsts = [*map(values.__getitem__, starts)]
    others = ((1 << digits.bits) - 1) & ~layout.counting
    kind = firsts[0] & others
    if kind & present and table & digits.ones * others == digits.ones * kind:
        return EntryRuns(starts, counts, firsts, stride, kind)
    there = [first & present for first in firsts]
    starts, counts, firsts = ([*compress(column, there)] for column in (starts, counts, firsts))
    return EntryRuns(starts, counts, firsts, stride)


def _is_one_run(little: bytes, first: int, layout: EntryLayout) -> bool:
    digits = _digits(len(little) // layout.entry_bytes, 8 * layout.entry_bytes, layout.stride)
    return int.from_bytes(little, "little") == first * digits.ones + digits.places


class _Digits(NamedTuple):
    """Numbers of digits of so many bits: with a 1 in each, with each one's place times the stride, with its top bit."""

    bits: int
    ones: int
    places: int
    tops: int


def _changes(table: int, count: int, present: int, digits: _Digits) -> Sequence[int]:
    """Return for each entry, 0 where the next one goes on with it.

    With its place taken from it, an entry of a run is as the one before it; its top bit is lent, so that none borrows
    from its neighbour.  Entries that are left out go on with each other.
    """
    bits, ones, places, tops = digits
    lower = ones * ((1 << bits - 1) - 1)
    may_be_valid = table & ones * present
    there = ((may_be_valid & lower) + lower | may_be_valid) & tops
    rests = (table | tops) - (places & lower) ^ (table ^ ~places) & tops
    rests &= (there >> bits - 1) * ((1 << bits) - 1)
    passes_zero = table & ~(table >> bits) & tops
    changes = (rests ^ rests >> bits) | (there ^ there >> bits) | passes_zero
    return struct.unpack(f"<{count}{_CODES[bits // 8]}", changes.to_bytes(count * bits // 8, "little"))


@cache
def _zeros(size_bytes: int) -> bytes:
    return bytes(size_bytes)


@lru_cache(maxsize=64)
def _digits(count: int, bits: int, stride: int) -> _Digits:
    ones = sum(1 << bits * index for index in range(count))
    places = sum(index * stride % (1 << bits) << bits * index for index in range(count))
    return _Digits(bits, ones, places, ones << bits - 1)
