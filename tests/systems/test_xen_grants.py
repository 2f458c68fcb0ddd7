"""Xen's own entries of grants, found without symbols: what has to be there before they are believed."""

from __future__ import annotations

import struct

import pytest

from gdbtools.addresses import PA
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.xen.domains import Domain
from gdbtools.systems.xen.frame_table import CountInfo, FrameRecord, FrameTable, TypeInfo
from gdbtools.systems.xen.grants import in_use
from gdbtools.systems.xen.layout import DIRECT_MAP

PAGE = 0x1000
DOMAIN, TABLE, LISTS, SHARED, ACTIVE = (0x100 + each for each in range(5))
"""Frames: the domain, its grant table, the lists of pointers, the page that it shares, the first of Xen's entries."""
PAGES_OF_ENTRIES = 6
"""For the 512 grants of one shared page, 102 entries of 40 bytes a page."""
GRANTED, OTHERS = 0x500, 0x501
REFERENCE, TO = 11, 7
ENTRY = struct.Struct("<IH6xIQQ8x")


def pointer(frame: int, offset: int = 0) -> int:
    return DIRECT_MAP + frame * PAGE + offset


class Memory(FrameTable):
    """A domain with one page of grants, of which one is in use; and what Xen keeps of the frames."""

    def __init__(self) -> None:
        self.owners = {SHARED: DOMAIN, GRANTED: DOMAIN, OTHERS: 0x999}
        self.owners |= dict.fromkeys(range(ACTIVE, ACTIVE + PAGES_OF_ENTRIES), 0)
        self.bytes = bytearray(PAGE * 0x200)
        self.put(DOMAIN, 0x108, "Q", pointer(TABLE, 0x10))
        self.put(TABLE, 0x10 + 32, "IIII", 64, 64, 1, 0)
        self.put(TABLE, 0x10 + 56, "QQQ", pointer(LISTS), 0, pointer(LISTS, 0x800))
        self.put(TABLE, 0x10 + 128, "Q", pointer(DOMAIN))
        self.put(LISTS, 0, "Q", pointer(SHARED))
        self.put(LISTS, 0x800, "6Q", *(pointer(ACTIVE + each) for each in range(PAGES_OF_ENTRIES)))
        self.enter(2, GRANTED)

    def put(self, frame: int, offset: int, form: str, *values: int) -> None:
        struct.pack_into(f"<{form}", self.bytes, frame * PAGE + offset, *values)

    def enter(self, pins: int, frame: int) -> None:
        at = ACTIVE * PAGE + REFERENCE * ENTRY.size
        ENTRY.pack_into(self.bytes, at, pins, TO, REFERENCE, pointer(DOMAIN), frame)

    def of(self, frame: int) -> FrameRecord | None:
        owner = self.owners.get(frame)
        return None if owner is None else FrameRecord(CountInfo(0).with_(XEN_HEAP=1), TypeInfo(0), owner)

    def read(self, pa: int, size_bytes: int) -> bytes:
        if pa + size_bytes > len(self.bytes):
            raise Unreadable(PA(pa), size_bytes, "no memory")
        return bytes(self.bytes[pa : pa + size_bytes])

    @property
    def domain(self) -> Domain:
        return Domain(DOMAIN, self, self.read)


def test_a_grant_in_use_is_found_with_whom_it_is_to_and_how_it_is_mapped() -> None:
    (grant,) = in_use(Memory().domain)[GRANTED]
    assert (grant.to, grant.reference, grant.pins.HOST_WRITE) == (TO, REFERENCE, 2)
    assert grant.said == f"reference {REFERENCE}, writable"


@pytest.mark.parametrize(("pins", "how"), [(1 << 8, "read-only"), (1 << 16, "writable"), (1 << 24, "read-only")])
def test_it_is_writable_where_a_cpu_or_a_device_may_write(pins: int, how: str) -> None:
    memory = Memory()
    memory.enter(pins, GRANTED)
    assert in_use(memory.domain)[GRANTED][0].said.endswith(how)


def test_what_nobody_has_mapped_is_no_grant_in_use() -> None:
    memory = Memory()
    memory.enter(0, GRANTED)
    assert in_use(memory.domain) == {}


def test_an_entry_whose_domain_has_not_the_frame_is_not_believed() -> None:
    memory = Memory()
    memory.enter(2, OTHERS)
    with pytest.raises(Unavailable, match="not laid out"):
        in_use(memory.domain)


def no_way_back(memory: Memory) -> None:
    memory.put(TABLE, 0x10 + 128, "Q", pointer(OTHERS))


def more_than_most(memory: Memory) -> None:
    memory.put(TABLE, 0x10 + 32, "III", 1, 1, 2)


def shared_with_another(memory: Memory) -> None:
    memory.owners[SHARED] = 0x999


def entries_that_a_guest_has(memory: Memory) -> None:
    memory.owners[ACTIVE + 1] = DOMAIN


def entries_in_no_heap(memory: Memory) -> None:
    del memory.owners[ACTIVE + PAGES_OF_ENTRIES - 1]


def a_list_elsewhere(memory: Memory) -> None:
    memory.put(TABLE, 0x10 + 56, "Q", 0x1000)


def a_list_past_the_end(memory: Memory) -> None:
    memory.put(TABLE, 0x10 + 56, "Q", DIRECT_MAP + len(memory.bytes))


@pytest.mark.parametrize(
    "wrong",
    [
        no_way_back,
        more_than_most,
        shared_with_another,
        entries_that_a_guest_has,
        entries_in_no_heap,
        a_list_elsewhere,
        a_list_past_the_end,
    ],
    ids=lambda each: each.__name__,
)
def test_what_only_looks_like_a_grant_table_is_none(wrong: object) -> None:
    memory = Memory()
    assert callable(wrong)
    wrong(memory)
    with pytest.raises(Unavailable, match="no grant table"):
        in_use(memory.domain)
