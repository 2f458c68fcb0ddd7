"""Entries of a table that count up together: a whole table's are compared at once, before any is looked at."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from operator import sub
from typing import Final, Literal, NamedTuple


class EntryLayout(NamedTuple):
    """How a table's entries stand in memory, and the bits of which a valid one has any."""

    entry_bytes: int
    order: Literal["little", "big"]
    may_be_valid: int


_CODES: Final = {4: "I", 8: "Q"}
"""How `struct` calls an entry of so many bytes."""


def entry_runs(raw: bytes, layout: EntryLayout, stride: int) -> Sequence[tuple[int, int, int, int]]:
    """Cut a table into runs: (index, count, first descriptor, by how much each is more than the last: `stride` or 0).

    Entries that have none of the bits `may_be_valid` are left out.
    """
    each, present = layout.entry_bytes, layout.may_be_valid
    count = len(raw) // each
    if raw == _zeros(len(raw)):
        return ()
    little = layout.order == "little"
    first = int.from_bytes(raw[:each], layout.order)
    if count > 1 and first & present:
        if raw == raw[:each] * count:
            return ((0, count, first, 0),)
        # Its second entry says whether the whole is worth a comparison.
        if little and int.from_bytes(raw[each : 2 * each], "little") == first + stride:
            ones, ramp = _ramp(count, stride, 8 * each)
            if int.from_bytes(raw, "little") == first * ones + ramp:
                return ((0, count, first, stride),)
    values = struct.unpack(f"{'<' if little else '>'}{count}{_CODES[each]}", raw)
    valid = [index for index, value in enumerate(values) if value & present]
    if len(valid) < count // 4:
        return _few(values, valid, stride)
    index = 0
    found = []
    for _, group in groupby(map(sub, values, _places(count, stride))):
        length = len(tuple(group))
        if values[index] & present:
            found.append((index, length, values[index], stride))
        index += length
    return found


def not_zero(raw: bytes, entry_bytes: int) -> int:
    """Return how many entries of a table have any bit set."""
    count = len(raw) // entry_bytes
    return count - struct.unpack(f"<{count}{_CODES[entry_bytes]}", raw).count(0)


def _few(values: Sequence[int], valid: Sequence[int], stride: int) -> Sequence[tuple[int, int, int, int]]:
    """Cut a table of few valid entries, looking at no others."""
    found: list[tuple[int, int, int, int]] = []
    for index in valid:
        if found:
            first, length, value, _ = found[-1]
            if index == first + length and values[index] == value + length * stride:
                found[-1] = first, length + 1, value, stride
                continue
        found.append((index, 1, values[index], stride))
    return found


@cache
def _zeros(size_bytes: int) -> bytes:
    return bytes(size_bytes)


@cache
def _ramp(count: int, stride: int, bits: int) -> tuple[int, int]:
    """Return 1, 1, 1, ... and 0, stride, 2*stride, ... as digits of one number, of so many bits each."""
    ones = sum(1 << bits * index for index in range(count))
    return ones, sum(index * stride << bits * index for index in range(count))


@cache
def _places(count: int, stride: int) -> tuple[int, ...]:
    return tuple(range(0, count * stride, stride))
