"""Memory by the addresses in Linux's own structures: through its tables, or by the distance of its linear map."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import Read, Regime
from gdbtools.errors import Unreadable
from gdbtools.systems.structures import WORD_BYTES, leads_to
from gdbtools.units import PAGE_BYTES

KERNEL: Final = 1 << 63
"""From here on addresses are the kernel's."""


@dataclass
class KernelMemory:
    """Memory by a kernel's addresses: `leads` has where one is, None where that is not known."""

    leads: Callable[[int], int | None]
    read: Read
    _pages: dict[int, bytes] = field(default_factory=dict, init=False)

    def data(self, first: int, size_bytes: int) -> bytes:
        """Return what is there, up to the first page that cannot be had."""
        found, at, end = b"", first, first + size_bytes
        while at < end:
            page, skipped = self._page(at & -PAGE_BYTES), at % PAGE_BYTES
            found += page[skipped : skipped + end - at]
            if not page:
                break
            at += PAGE_BYTES - skipped
        return found

    def words(self, first: int, count: int) -> tuple[int, ...]:
        """Return the words there, up to the first page that cannot be had; none for what is no word of a kernel's."""
        if first < KERNEL or first % WORD_BYTES:
            return ()
        data = self.data(first, count * WORD_BYTES)
        return struct.unpack(f"<{len(data) // WORD_BYTES}Q", data)

    def _page(self, at: int) -> bytes:
        if at not in self._pages:
            pa = self.leads(at)
            try:
                self._pages[at] = b"" if pa is None else self.read(PA(pa), PAGE_BYTES)
            except Unreadable:
                self._pages[at] = b""
        return self._pages[at]


def by_tables(regime: Regime, read: Read) -> KernelMemory:
    """Return the memory that a kernel's own tables lead to."""
    return KernelMemory(lambda address: leads_to(regime, read, address), read)


def by_distance(distance: int, read: Read) -> KernelMemory:
    """Return the memory that lies at one distance from its addresses."""
    return KernelMemory(lambda address: address - distance if address >= distance else None, read)
