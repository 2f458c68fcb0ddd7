"""One pass over physical memory for whatever looks like translation tables, and what else it shows on the way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import PA, moved
from gdbtools.arch.model import Read
from gdbtools.arch.table_heuristics import TableHeuristics, words
from gdbtools.errors import Unreadable
from gdbtools.systems.structures import Extent
from gdbtools.systems.vmcoreinfo import FIRST_KEY
from gdbtools.units import PAGE_BYTES

CHUNK_BYTES = 1 << 20
MAXIMUM_TABLES = 1 << 16
"""From this many pages on, what looks like tables is something else, or too much to compare."""
MAXIMUM_POINTERS = 1 << 12
FEW_POINTERS = 1 << 9
_SAMPLED_BYTES = PAGE_BYTES // 8
"""One word of so many is looked at, the one behind the first eight bytes."""
_ZEROS = bytes(PAGE_BYTES)
_ZERO_CHUNK = bytes(CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class FoundNote:
    """A kernel's own description of itself, and where it is."""

    pa: PA
    text: bytes


@dataclass
class Survey:
    """What has been seen so far: `examined_bytes` of `total_bytes`.

    `tables` are the pages that look like a part of a table; `pointers` are pages of the upper half that words in other
    pages point into, a sample of them.  `full` says that there was more than is kept.
    """

    total_bytes: int
    examined_bytes: int = 0
    unreadable_bytes: int = 0
    tables: set[int] = field(default_factory=set)
    pointers: set[int] = field(default_factory=set)
    notes: list[FoundNote] = field(default_factory=list)
    full: bool = False


def survey(appearance: TableHeuristics, extents: Sequence[Extent], read: Read) -> Iterator[Survey]:
    """Look at every page; returns the same growing survey again and again, to be shown, or left as it is."""
    found = Survey(sum(size for _, size in extents))
    yield found
    for pa, data in chunks(extents, read, found):
        _look(appearance, pa, data, found)
        yield found
        if len(found.tables) >= MAXIMUM_TABLES:
            found.full = True
            return
    if len(found.pointers) < FEW_POINTERS:
        for pa, data in chunks(extents, read, None):
            _look_for_pointers(appearance, pa, data, found)
            yield found
            if len(found.pointers) >= FEW_POINTERS:
                return


def chunks(extents: Iterable[Extent], read: Read, found: Survey | None) -> Iterator[tuple[PA, bytes]]:
    """Yield all that can be read and is not zeros, in whole pages."""
    for first, size in extents:
        end = (first + size) & -PAGE_BYTES
        at = PA(-(-first // PAGE_BYTES) * PAGE_BYTES)
        while at < end:
            take = min(CHUNK_BYTES - at % CHUNK_BYTES, end - at)
            try:
                data = read(at, take)
            except Unreadable:
                yield from _page_by_page(at, take, read, found)
            else:
                if data != (_ZERO_CHUNK if take == CHUNK_BYTES else bytes(take)):
                    yield at, data
            if found is not None:
                found.examined_bytes += take
            at = moved(at, take)


def _page_by_page(pa: PA, size_bytes: int, read: Read, found: Survey | None) -> Iterator[tuple[PA, bytes]]:
    for at in map(PA, range(pa, pa + size_bytes, PAGE_BYTES)):
        try:
            data = read(at, PAGE_BYTES)
        except Unreadable:
            if found is not None:
                found.unreadable_bytes += PAGE_BYTES
        else:
            yield at, data


def _look(appearance: TableHeuristics, pa: PA, data: bytes, found: Survey) -> None:
    is_table, upper_first = appearance.is_table, appearance.upper_first
    pointers, sample = found.pointers, _sample(appearance)
    for offset in range(0, len(data), PAGE_BYTES):
        page = data[offset : offset + PAGE_BYTES]
        if page == _ZEROS:
            continue
        if is_table(page):
            found.tables.add(pa + offset)
            continue
        if len(pointers) < MAXIMUM_POINTERS:
            pointers.update(word // PAGE_BYTES for word in sample.unpack(page) if word >= upper_first)
        if page.startswith(FIRST_KEY):
            found.notes.append(FoundNote(moved(pa, offset), page))


def _sample(appearance: TableHeuristics) -> struct.Struct:
    size_bytes = appearance.pointer_bytes
    order = "<" if appearance.forms[0].byte_order == "little" else ">"
    word = f"8x{'Q' if size_bytes == 8 else 'I'}{_SAMPLED_BYTES - 8 - size_bytes}x"
    return struct.Struct(order + word * (PAGE_BYTES // _SAMPLED_BYTES))


def _look_for_pointers(appearance: TableHeuristics, pa: PA, data: bytes, found: Survey) -> None:
    for offset in range(0, len(data), PAGE_BYTES):
        page = data[offset : offset + PAGE_BYTES]
        if pa + offset in found.tables:
            continue
        held = words(page, appearance.pointer_bytes, appearance.forms[0].byte_order)
        if max(held) >= appearance.upper_first:
            found.pointers.update(word // PAGE_BYTES for word in held if word >= appearance.upper_first)


def holding(extents: Sequence[Extent], read: Read, wanted: frozenset[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (address, entry) of each entry in memory that is one of `wanted`, which may be of different sizes."""
    for size_bytes in sorted({len(each) for each in wanted}):
        ours = frozenset(each for each in wanted if len(each) == size_bytes)
        firsts = {each[0] for each in ours}
        marks = bytes(first in firsts for first in range(256))
        for pa, data in chunks(extents, read, None):
            for offset in range(0, len(data), PAGE_BYTES):
                marked = data[offset : offset + PAGE_BYTES : size_bytes].translate(marks)
                index = marked.find(1)
                while index >= 0:
                    at = offset + size_bytes * index
                    if (entry := data[at : at + size_bytes]) in ours:
                        yield pa + at, entry
                    index = marked.find(1, index + 1)
