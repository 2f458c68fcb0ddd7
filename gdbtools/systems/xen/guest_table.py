"""A guest's own table of its frames, from pseudo-physical to machine: the guest's word, and its to change.

Two ways lead to it, and a guest may have either: an array in its virtual memory, and lists of the frames of that array.

Source: Xen, xen/include/public/arch-x86/xen.h, `struct arch_shared_info`; Linux, arch/x86/xen/p2m.c.
"""

from __future__ import annotations

import abc
import struct
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Read, Regime
from gdbtools.errors import Unreadable
from gdbtools.systems.xen.arrays import WordArray
from gdbtools.systems.xen.layout import GRANTED, IDENTITY, INVALID, PAGE_BITS, WORD_BYTES

_PAGE_BYTES: Final = 1 << PAGE_BITS
_WORDS: Final = _PAGE_BYTES // WORD_BYTES
_PAGE: Final = struct.Struct(f"<{_WORDS}Q")


class GuestTable(abc.ABC):
    """The table, of `count` entries; `said` is in words where it is."""

    count: int
    said: str

    @abc.abstractmethod
    def word(self, frame: int) -> int | None:
        """Return an entry as it stands; None where there is none."""

    def machine(self, frame: int) -> int | None:
        """Return the machine's number of a pseudo-physical frame; None for one that the guest does not have."""
        word = self.word(frame) if frame < self.count else None
        return None if word in (None, INVALID) else word & ~(IDENTITY | GRANTED)

    def is_identity(self, frame: int) -> bool:
        """Return whether the guest calls a frame of the machine by the machine's own number."""
        word = self.word(frame) if frame < self.count else None
        return word is not None and word != INVALID and bool(word & IDENTITY) and word & ~IDENTITY == frame


class LinearTable(GuestTable):
    """An array in the guest's virtual memory."""

    def __init__(self, regime: Regime, first: VA, count: int, read: Read) -> None:
        self.count = count
        self.said = f"at VA {first:#x} of the guest's root at PA {regime.root:#x}"
        self._array = WordArray(regime, first, VA(first + count * WORD_BYTES), read)

    def word(self, frame: int) -> int | None:
        return self._array.word(frame)


class ListedTable(GuestTable):
    """Frames that a list of frames of lists has."""

    def __init__(self, lists: int, count: int, read: Read) -> None:
        self.count, self._top, self._read = count, lists, read
        self.said = f"in the frames that those listed in machine frame {lists:#x} list"
        self._pages: dict[int, tuple[int, ...]] = {}

    def word(self, frame: int) -> int | None:
        at, (high, middle, low) = self._top, (frame // _WORDS**2, frame // _WORDS % _WORDS, frame % _WORDS)
        if high >= _WORDS:
            return None
        for index in (high, middle):
            page = self._page(at)
            if page is None or page[index] in (0, INVALID):
                return None
            at = page[index]
        last = self._page(at)
        return None if last is None else last[low]

    def _page(self, frame: int) -> tuple[int, ...] | None:
        if frame not in self._pages:
            try:
                self._pages[frame] = _PAGE.unpack(self._read(PA(frame << PAGE_BITS), _PAGE_BYTES))
            except Unreadable:
                return None
        return self._pages[frame]
