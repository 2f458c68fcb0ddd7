"""Answers that were worked out of memory, kept from one question to the next for as long as that memory is the same.

That is not taken from what a debugger knows of its guest, which others may have changed: every byte that an answer was
made of is read again and compared, what lies side by side at once, which costs a small part of making it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from gdbtools.addresses import PA
from gdbtools.arch.model import Read
from gdbtools.errors import Unreadable

MOST_KEPT: Final = 256
"""How many answers are kept: those that were asked for last."""
AT_ONCE_BYTES: Final = 1 << 16
"""How much is read again at once."""

Answer = TypeVar("Answer")


@dataclass
class NotedMemory:
    """Physical memory, with what was read of it; `glance` is for what an answer does not rest on."""

    glance: Read
    seen: dict[tuple[PA, int], bytes] = field(default_factory=dict)
    lost: bool = False
    """Whether anything could not be read, and an answer is not all of it."""

    def read(self, pa: PA, size_bytes: int) -> bytes:
        """Return bytes, each of which is read once."""
        data = self.seen.get((pa, size_bytes))
        if data is None:
            try:
                data = self.seen[pa, size_bytes] = self.glance(pa, size_bytes)
            except Unreadable:
                self.lost = True
                raise
        return data

    def is_current(self, read: Read) -> bool:
        """Return whether all that was read is there as it was."""
        if self.lost:
            return False
        try:
            return all(read(pa, len(data)) == data for pa, data in self._joined())
        except Unreadable:
            return False

    def _joined(self) -> Iterator[tuple[PA, bytes]]:
        """Yield what was read, in order of address, what lies side by side together."""
        held: list[bytes] = []
        first = end = PA(0)
        for (pa, size_bytes), data in sorted(self.seen.items()):
            if held and (pa != end or end - first >= AT_ONCE_BYTES):
                yield first, b"".join(held)
                held = []
            if not held:
                first = pa
            held.append(data)
            end = PA(pa + size_bytes)
        if held:
            yield first, b"".join(held)


@dataclass(frozen=True)
class _Kept(Generic[Answer]):
    asked: object
    made_of: NotedMemory
    answer: Answer


class KeptAnswers(Generic[Answer]):
    """The answers that a face keeps, by what was asked: any value that can be compared."""

    def __init__(self) -> None:
        self._kept: list[_Kept[Answer]] = []

    def of(self, asked: object, read: Read, work_out: Callable[[NotedMemory], Answer]) -> Answer:
        """Return the answer that is kept, if what it was made of is as it was, else the one that `work_out` makes."""
        known = next((each for each in self._kept if each.asked == asked), None)
        if known is not None:
            self._kept.remove(known)
        if known is None or not known.made_of.is_current(read):
            noted = NotedMemory(read)
            known = _Kept(asked, noted, work_out(noted))
        self._kept = [*self._kept[1 - MOST_KEPT :], known]
        return known.answer
