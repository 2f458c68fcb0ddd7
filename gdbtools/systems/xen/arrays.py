"""Arrays at virtual addresses, read a page at a time and only where they are mapped."""

from __future__ import annotations

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Mapped, Read, Regime, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.systems.xen.layout import PAGE_BITS, WORD_BYTES

_PAGE_BYTES = 1 << PAGE_BITS


class VirtualArray:
    """Records of one size from `first` up to `end` at most, as far as `regime` maps them."""

    def __init__(self, regime: Regime, first: VA, end: VA, record_bytes: int, read: Read) -> None:
        self.regime, self.first, self.end, self.record_bytes, self.read = regime, first, end, record_bytes, read
        self._pages: dict[int, bytes | None] = {}

    def record(self, index: int) -> bytes | None:
        """Return a record; None where it is not mapped."""
        at = self.first + index * self.record_bytes
        if not self.first <= at < self.end:
            return None
        number, offset = at >> PAGE_BITS, at & _PAGE_BYTES - 1
        if number not in self._pages:
            self._pages[number] = self._page(VA(number << PAGE_BITS))
        page = self._pages[number]
        return None if page is None else page[offset : offset + self.record_bytes]

    def _page(self, at: VA) -> bytes | None:
        outcome = walk(self.regime, at, self.read).outcome
        return self.read(outcome.address, _PAGE_BYTES) if isinstance(outcome, Mapped) else None

    def runs(self) -> list[Run]:
        """Return where it is mapped."""
        found = scan(self.regime, self.read, self.first, VA(self.end - 1))
        return [each for each in found if isinstance(each, Run) and each.output is not None]

    def places(self) -> list[tuple[int, int, PA]]:
        """Return the parts that are mapped: (index of the first record, how many, where they are)."""
        return [
            ((run.first - self.first) // self.record_bytes, run.size_bytes // self.record_bytes, PA(run.output or 0))
            for run in self.runs()
        ]


class WordArray(VirtualArray):
    """The same of words of 64 bits."""

    def __init__(self, regime: Regime, first: VA, end: VA, read: Read) -> None:
        super().__init__(regime, first, end, WORD_BYTES, read)

    def word(self, index: int) -> int | None:
        """Return an entry; None where it is not mapped."""
        found = self.record(index)
        return None if found is None else int.from_bytes(found, "little")
