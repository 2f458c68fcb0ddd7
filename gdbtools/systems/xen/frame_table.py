"""Xen's record of each frame of the machine: what it is used as, and whose it is.

Source: Xen, xen/arch/x86/include/asm/mm.h, `struct page_info`, `PGT_*` and `PGC_*`, as 4.17 has them; xen/include/
public/xen.h, `DOMID_*`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import Read, Regime
from gdbtools.bits import NO_YES, Field, Word
from gdbtools.errors import Unreadable
from gdbtools.systems.xen.arrays import VirtualArray
from gdbtools.systems.xen.layout import FRAME_TABLE, FRAME_TABLE_END, PAGE_BITS

RECORD_BYTES: Final = 32
_RECORD: Final = struct.Struct("<8xQQI4x")
_NO_RECORD: Final = b"\xff" * RECORD_BYTES
ROOT_TABLE: Final = 4
DESCRIPTOR_TABLE: Final = 5
WRITABLE: Final = 7
_USES: Final = {
    **{level: f"level {level} table" for level in range(1, ROOT_TABLE + 1)},
    DESCRIPTOR_TABLE: "descriptor table",
    6: "shared copy-on-write",
    WRITABLE: "writable",
}
DOMID_IO: Final = 0x7FF1
DOMID_XEN: Final = 0x7FF2
_LAST_GUEST: Final = 0x7FEF


class TypeInfo(Word):
    """`type_info` of a frame: it has one type at a time, for as long as that is counted."""

    TYPE = Field((63, 61), doc="what it is used as", values={0: "nothing special", **_USES})
    LOCKED = Field(60, doc="locked", values=NO_YES)
    PINNED = Field(59, doc="its guest has pinned it to its type", values=NO_YES)
    VALIDATED = Field(58, doc="validated for its type", values=NO_YES)
    COUNT = Field((54, 0), doc="uses as that type")


class CountInfo(Word):
    """`count_info` of a frame."""

    ALLOCATED = Field(63, doc="its guest has it", values=NO_YES)
    XEN_HEAP = Field(62, doc="of Xen's heap", values=NO_YES)
    STATE = Field((59, 58), doc="state", values={0: "in use", 1: "going offline", 2: "offline", 3: "free"})
    COUNT = Field((56, 0), doc="references")


FREE: Final = 3


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """What Xen keeps of a frame; `owner` is the frame that the owner's `struct domain` is in, 0 for nobody."""

    counts: CountInfo
    type: TypeInfo
    owner: int

    @property
    def level(self) -> int:
        """Return the level of the table that it is in use as; 0 where it is none."""
        return self.type.TYPE if self.in_use and 0 < self.type.TYPE <= ROOT_TABLE else 0

    @property
    def in_use(self) -> bool:
        """Whether its type holds now: a type stays on record when the last use is over."""
        return bool(self.type.COUNT or self.type.PINNED)

    @property
    def is_free(self) -> bool:
        return self.counts.STATE == FREE

    @property
    def is_protected(self) -> bool:
        """Whether Xen keeps its guest from writing it."""
        return self.in_use and 0 < self.type.TYPE <= DESCRIPTOR_TABLE

    @property
    def use(self) -> str:
        if self.is_free:
            return "free"
        if self.counts.XEN_HEAP:
            return "Xen's heap"
        if not self.in_use or not self.type.TYPE:
            return ""
        marks = [name for name, is_set in (("pinned", self.type.PINNED),) if is_set]
        marks += [] if self.type.VALIDATED or self.type.TYPE == WRITABLE else ["not validated"]
        return ", ".join([_USES[self.type.TYPE], *marks])


class FrameTable:
    """The records of all frames, as far as Xen has mapped them."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self._array = VirtualArray(regime, FRAME_TABLE, FRAME_TABLE_END, RECORD_BYTES, read)
        self._read = read
        self._domains: dict[int, int | None] = {}

    def of(self, frame: int) -> FrameRecord | None:
        """Return the record of a frame; None for one that Xen keeps none of: no memory that it was given."""
        return _record(self._array.record(frame))

    def protected(self, owner: int) -> Iterator[tuple[int, FrameRecord]]:
        """Yield every frame of an owner that it may not write, with its record."""
        for frame, record in self._special():
            if record.owner == owner and record.is_protected:
                yield frame, record

    def owners(self) -> set[int]:
        """Return the owners of all root tables that are in use."""
        return {record.owner for _, record in self._special() if record.level == ROOT_TABLE and record.owner}

    def _special(self) -> Iterator[tuple[int, FrameRecord]]:
        """Yield the frames that are, or were, tables of either kind: few of all, and all are looked at."""
        for first, count, pa in self._array.places():
            raw = self._read(pa, count * RECORD_BYTES)
            for index, (counts, kind, owner) in enumerate(_RECORD.iter_unpack(raw)):
                if 0 < kind >> 61 <= DESCRIPTOR_TABLE:
                    yield first + index, FrameRecord(CountInfo(counts), TypeInfo(kind), owner)

    def domain(self, owner: int) -> int | None:
        """Return the number of the domain that an owner is; None where there is nobody, or it cannot be read."""
        if owner not in self._domains:
            self._domains[owner] = self._domain(owner)
        return self._domains[owner]

    def _domain(self, owner: int) -> int | None:
        if not owner:
            return None
        try:
            return int.from_bytes(self._read(PA(owner << PAGE_BITS), 2), "little")
        except Unreadable:
            return None


def _record(raw: bytes | None) -> FrameRecord | None:
    if raw is None or raw == _NO_RECORD:
        return None
    counts, kind, owner = _RECORD.unpack(raw)
    return FrameRecord(CountInfo(counts), TypeInfo(kind), owner)


def domain_name(domain: int | None) -> str:
    """Return a domain as Xen writes of it."""
    if domain is None:
        return "nobody"
    special = {DOMID_IO: "DOMID_IO", DOMID_XEN: "DOMID_XEN"}
    return special.get(domain, f"d{domain}" if domain <= _LAST_GUEST else f"domain {domain:#x}")
