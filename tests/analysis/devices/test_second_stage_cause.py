"""What a refusal of stage 2 comes of, told by the guest's own device tree where that can be shown to be the guest's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from gdbtools.analysis.devices.second_stage_cause import (
    UNPLACED,
    KeptTrees,
    MachineMemory,
    SecondStageCause,
    SecondStageRefusal,
    second_stage_refusal,
)
from gdbtools.analysis.guests.census import Censuses, census
from gdbtools.analysis.guests.memory import GuestMemory
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Access, AccessKind
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.arch.aarch64.truth.machine import S2_ROOT, Memory, guest
from tests.device_trees import flattened, node
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
BLOCK, TABLE, AF = 0b01, 0b11, 1 << 10
NORMAL, DEVICE_MEMORY, READ, WRITE = 0b1111 << 2, 1 << 2, 1 << 6, 1 << 7
EVERYTHING = NORMAL | READ | WRITE | AF
MIB = 1 << 20
RAM_IPA, RAM_PA = 0x4000_0000, 0x9000_0000
TREE_IPA = RAM_IPA + 4 * MIB
TREE = flattened(
    node(
        "",
        node("memory@40000000", device_type="memory", reg=(0, RAM_IPA, 0, 16 * MIB)),
        node("interrupt-controller@3001000", compatible="arm,gic-v3", reg=(0, 0x300_1000, 0, 0x1_0000)),
        cells_address=2,
        cells_size=2,
    )
)


@dataclass
class Guest:
    """Four blocks of 2 MiB for a guest, of the eight that its tree says, and bytes in its memory."""

    blocks: int = 4
    attributes: int = EVERYTHING
    offset: int = RAM_PA - RAM_IPA
    memory: Memory = field(default_factory=Memory)
    data: dict[int, bytes] = field(default_factory=dict)
    lost: int | None = None
    places: Sequence[tuple[int, int]] | None = ((0x4000_0000, 0x8000_0000),)
    looked_at: list[int] = field(default_factory=list)
    kept: KeptTrees = field(default_factory=lambda: KeptTrees(Censuses()))

    def __post_init__(self) -> None:
        table = S2_ROOT + 0x1000
        self.memory.words[S2_ROOT + 8] = table | TABLE
        for number in range(self.blocks):
            at = RAM_IPA + number * 2 * MIB + self.offset
            self.memory.words[table + 8 * number] = at | BLOCK | self.attributes

    def put(self, ipa: int, data: bytes) -> None:
        self.data[ipa + self.offset] = data

    def read(self, pa: int, size_bytes: int) -> bytes:
        self.looked_at.append(pa)
        if pa == self.lost:
            raise Unreadable(pa, size_bytes, "it was left out")
        for at, data in self.data.items():
            if at <= pa < at + len(data):
                return data[pa - at : pa - at + size_bytes].ljust(size_bytes, b"\0")
        return self.memory.read(pa & ~7, size_bytes + (pa & 7))[pa & 7 :]

    def refused(self, ipa: int, kind: AccessKind = AccessKind.READ) -> SecondStageRefusal:
        found = walk(ARM.regime_for(reader(guest()), ipa, "stage2"), ipa, self.read)
        predicted = ARM.check(found, Access(kind, ARM.privileges[1]), 0)
        assert predicted is not None
        machine = MachineMemory(self.read, self.read, self.places, may_notice=True)
        return second_stage_refusal(found, predicted, machine, self.kept)


@pytest.fixture
def with_tree() -> Guest:
    found = Guest()
    found.put(TREE_IPA, TREE)
    return found


def test_a_device_of_the_guests_tree_is_left_to_be_emulated(with_tree: Guest) -> None:
    found = with_tree.refused(0x300_1004)
    assert found.cause is SecondStageCause.DEVICE
    assert found.region is not None
    assert found.region.name == "interrupt-controller@3001000 (arm,gic-v3)"
    assert found.tree is not None
    assert (found.tree.ipa, found.tree.pa) == (TREE_IPA, TREE_IPA - RAM_IPA + RAM_PA)


def test_memory_of_the_guests_tree_that_is_not_mapped_was_never_populated(with_tree: Guest) -> None:
    assert with_tree.refused(RAM_IPA + 9 * MIB).cause is SecondStageCause.NEVER_POPULATED
    assert with_tree.refused(RAM_IPA + 16 * MIB).cause is SecondStageCause.NOTHING, "behind its memory"


def test_neither_memory_nor_device_is_nothing(with_tree: Guest) -> None:
    found = with_tree.refused(0x900_0000)
    assert (found.cause, found.region, found.identity_bytes) == (SecondStageCause.NOTHING, None, 0)
    assert found.mapped_bytes == 8 * MIB


def test_a_soft_invalid_entry_is_none_of_these_and_no_tree_is_looked_for(with_tree: Guest) -> None:
    with_tree.memory.words[S2_ROOT + 8] &= ~1
    found = with_tree.refused(RAM_IPA)
    assert (found.cause, found.tree, found.mapped_bytes) == (SecondStageCause.SOFT_INVALID, None, 0)


@pytest.mark.parametrize(
    ("attributes", "kind", "cause"),
    [
        (NORMAL | READ | AF, AccessKind.WRITE, SecondStageCause.PERMISSION),
        (NORMAL | READ | WRITE, AccessKind.READ, SecondStageCause.ACCESS_FLAG),
    ],
)
def test_what_is_there_and_refuses_is_told_by_its_own_bit(
    attributes: int, kind: AccessKind, cause: SecondStageCause
) -> None:
    assert Guest(attributes=attributes).refused(RAM_IPA, kind).cause is cause


def test_a_tree_is_found_in_memory_that_is_soft_invalid_too(with_tree: Guest) -> None:
    with_tree.memory.words[S2_ROOT + 0x1000 + 8 * 2] &= ~1
    assert with_tree.refused(0x300_1000).cause is SecondStageCause.DEVICE


# --- What is not shown to be the guest's own is not believed.


def test_without_a_tree_it_is_said_that_nobody_knows() -> None:
    found = Guest().refused(0x300_1000)
    assert found.cause is SecondStageCause.NOT_KNOWN
    assert found.why_unknown == "none was found in the memory that stage 2 maps"


def test_memory_that_cannot_be_read_is_not_said_to_have_no_tree(with_tree: Guest) -> None:
    with_tree.lost = TREE_IPA + with_tree.offset
    found = with_tree.refused(0x300_1000)
    assert found.cause is SecondStageCause.NOT_KNOWN
    assert found.why_unknown.endswith("maps, but 1 of 2048 places cannot be read")


def test_only_memory_is_looked_at_as_a_device_might_notice(with_tree: Guest) -> None:
    """Xen maps devices with the type of memory."""
    with_tree.places = ((RAM_PA, 4 * MIB),)
    assert with_tree.refused(0x300_1000).cause is SecondStageCause.NOT_KNOWN
    assert max(with_tree.looked_at) < RAM_PA + 4 * MIB
    with_tree.places, with_tree.looked_at = None, []
    found = with_tree.refused(0x300_1000)
    assert (found.cause, found.why_unknown) == (SecondStageCause.NOT_KNOWN, UNPLACED)
    assert max(with_tree.looked_at) < RAM_PA


def test_a_table_that_cannot_be_read_may_lead_to_the_tree(with_tree: Guest) -> None:
    with_tree.lost = S2_ROOT + 0x1000
    found = with_tree.refused(0x300_1000)
    assert found.cause is SecondStageCause.NOT_KNOWN
    assert found.why_unknown.endswith("maps, but 1 table cannot be read")


def not_its_own() -> Sequence[Guest]:
    elsewhere, damaged, devices = Guest(), Guest(), Guest(attributes=DEVICE_MEMORY | READ | WRITE | AF)
    # Of a guest whose memory is elsewhere: a toolstack's, or the host's.
    elsewhere.put(TREE_IPA, TREE.replace(RAM_IPA.to_bytes(4, "big"), (0x8000_0000).to_bytes(4, "big")))
    damaged.put(TREE_IPA, TREE[:60].ljust(len(TREE), b"\xff"))
    devices.put(TREE_IPA, TREE)
    return elsewhere, damaged, devices


@pytest.mark.parametrize("of", not_its_own(), ids=["of other memory", "damaged", "in device memory"])
def test_a_tree_that_is_not_the_guests_own_is_not_believed(of: Guest) -> None:
    assert of.refused(0x300_1000).cause is SecondStageCause.NOT_KNOWN


def test_of_two_trees_that_differ_neither_is_believed(with_tree: Guest) -> None:
    with_tree.put(RAM_IPA, TREE.replace(b"\x03\x00\x10\x00", b"\x03\x50\x10\x00"))
    found = with_tree.refused(0x300_1000)
    assert found.cause is SecondStageCause.NOT_KNOWN
    assert found.why_unknown == "2 are in the memory that stage 2 maps, and they differ on it"
    assert with_tree.refused(0x900_0000).cause is SecondStageCause.NOTHING, "on that they agree"


def test_a_guests_memory_is_read_across_blocks_that_are_apart() -> None:
    across = Guest(blocks=4)
    table = S2_ROOT + 0x1000
    across.memory.words[table + 8 * 3] = 0x7000_0000 | BLOCK | EVERYTHING
    across.data = {TREE_IPA + across.offset + 2 * MIB - 8: b"12345678", 0x7000_0000: b"abcdefgh"}
    regime = ARM.regime_for(reader(guest()), 0, "stage2")
    apart = GuestMemory(census(regime, across.read, across.places), across.read)
    assert apart.read_ipa(TREE_IPA + 2 * MIB - 8, 16) == b"12345678abcdefgh"
    with pytest.raises(Unreadable):
        apart.read_ipa(TREE_IPA + 4 * MIB - 8, 16)


def test_how_much_is_mapped_to_its_own_address_is_counted() -> None:
    found = Guest(offset=0).refused(0x300_1000)
    assert found.identity_bytes == found.mapped_bytes == 8 * MIB
