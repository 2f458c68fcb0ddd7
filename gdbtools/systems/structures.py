"""How a system's structures are found without symbols: words looked for in memory, and pointers that lead on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Mapped, Read, Regime
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from gdbtools.units import PAGE_BYTES

WORD_BYTES: Final = 8
_CHUNK_BYTES: Final = 1 << 16
_ZEROS: Final = bytes(_CHUNK_BYTES)

Extent = tuple[PA, int]
"""A part of physical memory: where it begins, and its size in bytes."""


def chunks(data: Sequence[Extent], read: Read) -> Iterator[tuple[int, bytes]]:
    """Yield memory in whole pages, a chunk at a time; what is all zeros or cannot be read is left out."""
    for first, size_bytes in data:
        at, end = -(-first // PAGE_BYTES) * PAGE_BYTES, (first + size_bytes) & -PAGE_BYTES
        while at < end:
            take = min(_CHUNK_BYTES, end - at)
            with suppress(Unreadable):
                chunk = read(PA(at), take)
                if chunk != _ZEROS[:take]:
                    yield at, chunk
            at += take


def places_of(whole: bytes, chunk: bytes) -> Iterator[int]:
    """Yield where words of a chunk begin with these bytes: found by what of them is not zero, as most of memory is."""
    core = whole.strip(b"\0")
    skipped = whole.index(core)
    at = chunk.find(core)
    while at >= 0:
        word = at - skipped
        if word >= 0 and word % WORD_BYTES == 0 and chunk[word : word + len(whole)] == whole:
            yield word
        at = chunk.find(core, at + 1)


def leads_to(regime: Regime, read: Read, word: int) -> PA | None:
    """Return the physical address that a system's own tables have for a word; None where it is no address of theirs."""
    if not regime.first <= word <= regime.last:
        return None
    try:
        outcome = walk(regime, VA(word), read).outcome
    except Unreadable:
        return None
    return outcome.address if isinstance(outcome, Mapped) else None
