"""What a domain of Xen has granted: Xen's own entries of the grants that are in use.

A domain writes into its grant table, which it shares with Xen, who may map what.  For each grant that is mapped Xen has
an entry of its own, in its heap, which no guest can change: those are read.

Source: Xen, xen/common/grant_table.c, `struct grant_table`, `struct active_grant_entry` and `GNTPIN_*`, as 4.17 has
them.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA
from gdbtools.bits import Field, Word
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.xen.domains import Domain
from gdbtools.systems.xen.layout import DIRECT_MAP, PAGE_BITS, WORD_BYTES, in_direct_map

_PAGE_BYTES: Final = 1 << PAGE_BITS
_TABLE: Final = struct.Struct("<32xI4xI12xQ8xQ")
"""The most frames that it may have, those that it has, and lists of the domain's frames and of those of Xen's own."""
_BACK_AT: Final = range(_TABLE.size, 136, WORD_BYTES)
"""Where a pointer back to the domain may be, from one release to the next."""
_ENTRY: Final = struct.Struct("<IH6xIQQ8x")
"""The mappings, the domain that may map it, its reference, the domain that granted it, and the frame."""
_A_PAGE: Final = _PAGE_BYTES // _ENTRY.size
_SHARED_A_PAGE: Final = _PAGE_BYTES // 8
"""Of the grants that a domain has room for, in the older and smaller of two forms: as many have an entry of Xen's."""
_MOST_FRAMES: Final = 1 << 16


class Pins(Word):
    """`pin` of an entry: by how many mappings a grant is in use."""

    HOST_WRITE = Field((7, 0), doc="writable mappings of CPUs")
    HOST_READ = Field((15, 8), doc="read-only mappings of CPUs")
    DEVICE_WRITE = Field((23, 16), doc="writable mappings of devices")
    DEVICE_READ = Field((31, 24), doc="read-only mappings of devices")


@dataclass(frozen=True, slots=True)
class GrantInUse:
    """A grant in use, of a frame of the machine to a domain, by the granting domain's reference."""

    frame: int
    reference: int
    to: int
    pins: Pins

    @property
    def said(self) -> str:
        writable = bool(self.pins.HOST_WRITE or self.pins.DEVICE_WRITE)
        return f"reference {self.reference}, {'writable' if writable else 'read-only'}"


def in_use(domain: Domain) -> Mapping[int, Sequence[GrantInUse]]:
    """Return a domain's grants by the frame that is granted; raise `Unavailable` where 4.17's are not found."""
    table = next(filter(None, (_entries_of(domain, pa) for pa in domain.pointers())), None)
    if table is None:
        raise Unavailable("no grant table is found where Xen 4.17 has one")
    found: dict[int, list[GrantInUse]] = defaultdict(list)
    for pa in table:
        for pins, to, reference, granter, frame in _ENTRY.iter_unpack(domain.read(pa, _A_PAGE * _ENTRY.size)):
            if not pins:
                continue
            record = domain.frames.of(frame)
            if record is None or granter != DIRECT_MAP + (record.owner << PAGE_BITS):
                raise Unavailable("its grants are not laid out as Xen 4.17's are, or one has lost its frame")
            found[frame].append(GrantInUse(frame, reference, to, Pins(pins)))
    return found


def _entries_of(domain: Domain, pa: PA) -> Sequence[PA] | None:
    """Return where the entries of a domain's grant table are, if that is what is at `pa`."""
    try:
        raw = domain.read(pa, _BACK_AT.stop)
        most, count, shared, own = _TABLE.unpack_from(raw)
        back = {int.from_bytes(raw[at : at + WORD_BYTES], "little") for at in _BACK_AT}
        if not 0 < count <= most < _MOST_FRAMES or domain.address not in back:
            return None
        given = _listed(domain, shared, count, domain.owner)
        return given and _listed(domain, own, -(-count * _SHARED_A_PAGE // _A_PAGE), 0)
    except Unreadable:
        return None


def _listed(domain: Domain, at: int, count: int, owner: int) -> Sequence[PA] | None:
    """Return the frames that a list of pointers leads to, if each is of Xen's heap and its owner's."""
    if not in_direct_map(at):
        return None
    raw = domain.read(PA(at - DIRECT_MAP), count * WORD_BYTES)
    places = [PA(pointer - DIRECT_MAP) for (pointer,) in struct.iter_unpack("<Q", raw)]
    records = [domain.frames.of(each >> PAGE_BITS) for each in places]
    are_its = all(each is not None and each.counts.XEN_HEAP and each.owner == owner for each in records)
    return places if are_its else None
