"""A guest as Xen keeps it: its shared information page, and its virtual CPUs.

Xen's own structures change from one release to the next, and no symbols are at hand: what is looked for is a pointer in
them, and what it leads to has to look as it must.

Source: Xen, xen/include/xen/sched.h, `struct domain`, `struct vcpu`; xen/include/public/xen.h, `struct shared_info`,
`struct vcpu_info`; xen/include/public/arch-x86/xen.h, `struct arch_shared_info`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Read
from gdbtools.errors import Unreadable
from gdbtools.systems.xen.frame_table import ROOT_TABLE, FrameTable
from gdbtools.systems.xen.layout import DIRECT_MAP, DIRECT_MAP_END, PAGE_BITS, WORD_BYTES, in_direct_map

_PAGE_BYTES: Final = 1 << PAGE_BITS
_OFFSET: Final = _PAGE_BYTES - 1
_PAGE: Final = struct.Struct("<512Q")
_ARCH_AT: Final = 3088
"""Of `struct arch_shared_info` in the page: behind 32 of `struct vcpu_info`, the event channels and the clock."""
_ARCH: Final = struct.Struct("<6Q")
CR2_AT: Final = 16
_VCPU_INFO: Final = struct.Struct(f"<{CR2_AT}xQ")
"""The address of a page fault, in `struct vcpu_info`."""
_VCPU: Final = struct.Struct("<IIQQ")
"""The number, the processor, and pointers to `struct vcpu_info` and `struct domain`."""
_TRAP: Final = struct.Struct("<BBH4xQ")
"""A `struct trap_info`: the vector, flags, the code segment, and the handler."""
_LEAST_TRAPS: Final = 8
_GUESTS_RING: Final = 3
"""What Xen makes of the privilege level in every code segment of a 64-bit guest's."""
MOST_CPUS: Final = 512


@dataclass(frozen=True, slots=True)
class SharedInfo:
    """What a guest has written into its shared information page of its own table of frames.

    `frame_lists` is the frame of a list of frames of lists of frames of that table; `root` and `table` are the root
    table and the address that it is at in there, 0 from guests that write none.
    """

    pa: PA
    frames: int
    frame_lists: int
    root: int
    table: int


@dataclass(frozen=True, slots=True)
class Vcpu:
    """A virtual CPU: where its `struct vcpu_info` is, and every word of the page of its own structure."""

    number: int
    info: PA
    words: tuple[int, ...]


class Domain:
    """A guest, by the frame that its `struct domain` is in."""

    def __init__(self, owner: int, frames: FrameTable, read: Read) -> None:
        self.owner, self.frames, self.read = owner, frames, read
        self.address = DIRECT_MAP + (owner << PAGE_BITS)
        self._words = _PAGE.unpack(read(PA(owner << PAGE_BITS), _PAGE_BYTES))

    def pointers(self) -> Iterator[PA]:
        """Yield the places in memory that its structure leads to."""
        for word in dict.fromkeys(self._words):
            if in_direct_map(word) and not word % WORD_BYTES:
                yield PA(word - DIRECT_MAP)

    def shared(self) -> list[SharedInfo]:
        """Return each page that may be its shared information page: one of Xen's heap that is its own, and fits."""
        found: dict[int, SharedInfo] = {}
        for word in self._words:
            if not in_direct_map(word) or word & _OFFSET:
                continue
            frame = word - DIRECT_MAP >> PAGE_BITS
            record = self.frames.of(frame)
            if record is None or record.owner != self.owner or not record.counts.XEN_HEAP:
                continue
            known = self._shared(PA(frame << PAGE_BITS))
            if known is not None:
                found[frame] = known
        return list(found.values())

    def _shared(self, pa: PA) -> SharedInfo | None:
        frames, lists, _, root, table, _ = _ARCH.unpack(self.read(PA(pa + _ARCH_AT), _ARCH.size))
        by_root = bool(root) and not root & _OFFSET and self._is(root >> PAGE_BITS, ROOT_TABLE)
        by_lists = self._is(lists)
        if not frames or not (by_root or by_lists):
            return None
        return SharedInfo(pa, frames, lists if by_lists else 0, *((root, table) if by_root else (0, 0)))

    def _is(self, frame: int, level: int | None = None) -> bool:
        """Return whether a frame is this guest's, and a table of that level in use."""
        record = self.frames.of(frame)
        return record is not None and record.owner == self.owner and level in (None, record.level)

    def vcpus(self) -> list[Vcpu]:
        """Return its virtual CPUs, by number: the array of them is found by where its first entry leads back."""
        for array in self.pointers():
            first = self._vcpu(self._pointer(array))
            if first is not None and first.number == 0:
                return [first, *self._following(array)]
        return []

    def _following(self, array: PA) -> Iterator[Vcpu]:
        for number in range(1, MOST_CPUS):
            found = self._vcpu(self._pointer(PA(array + WORD_BYTES * number)))
            if found is None or found.number != number:
                return
            yield found

    def _pointer(self, at: PA) -> int:
        try:
            return int.from_bytes(self.read(at, WORD_BYTES), "little")
        except Unreadable:
            return 0

    def _vcpu(self, at: int) -> Vcpu | None:
        if not in_direct_map(at) or at & _OFFSET:
            return None
        pa = PA(at - DIRECT_MAP)
        try:
            page = self.read(pa, _PAGE_BYTES)
        except Unreadable:
            return None
        number, _, info, domain = _VCPU.unpack_from(page)
        if domain != self.address or not in_direct_map(info):
            return None
        return Vcpu(number, PA(info - DIRECT_MAP), _PAGE.unpack(page))

    def handler(self, vcpu: Vcpu, vector: int) -> VA | None:
        """Return where a guest has said that an exception is to be passed on to; None where its table is not found."""
        for word in dict.fromkeys(vcpu.words):
            if not in_direct_map(word) or word & _OFFSET:
                continue
            try:
                page = self.read(PA(word - DIRECT_MAP), _PAGE_BYTES)
            except Unreadable:
                continue
            entries = dict(enumerate(_TRAP.iter_unpack(page)))
            known = {number: each for number, each in entries.items() if any(each)}
            if len(known) < _LEAST_TRAPS or not all(_is_trap(number, *each) for number, each in known.items()):
                continue
            return VA(known[vector][-1]) if vector in known else None
        return None

    def faulted_at(self, vcpu: Vcpu) -> int:
        """Return the address of the last page fault that a virtual CPU was passed."""
        (address,) = _VCPU_INFO.unpack(self.read(vcpu.info, _VCPU_INFO.size))
        return int(address)


def _is_trap(number: int, vector: int, flags: int, segment: int, handler: int) -> bool:
    return (vector, segment & 3) == (number, _GUESTS_RING) and flags < 1 << 3 and handler >= DIRECT_MAP_END
