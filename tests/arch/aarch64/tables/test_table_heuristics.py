"""What a table looks like, page by page: what every table is, what code and data are not, and whose a leaf is."""

from __future__ import annotations

import random
import struct

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.tables.descriptors import EntryRole, leaf_descriptor, table_descriptor
from gdbtools.arch.model import Mapped
from gdbtools.arch.table_heuristics import NOTHING, Contents, Leaves, Owner
from gdbtools.arch.walk import walk
from gdbtools.machine.sources import open_source
from gdbtools.machine.symbols import symbol_values
from tests.places import ROOT
from tests.tables import reader

FIXTURES = ROOT / "fixtures"
TABLES = ARCHITECTURES["aarch64"].table_heuristics
FORM4K, FORM16K, FORM64K = TABLES.forms
PAGE, WORDS = 1 << 12, 512
PROPERTY = settings(suppress_health_check=list(HealthCheck))
ROLES = (
    EntryRole.TWO_LEVELS,
    EntryRole.ONE_LEVEL,
    EntryRole.STAGE2,
    EntryRole.INDIRECT,
    EntryRole.NESTED,
    EntryRole.STAGE2_INDIRECT,
)


def page(words: dict[int, int]) -> bytes:
    return b"".join(struct.pack("<Q", words.get(index, 0)) for index in range(WORDS))


@st.composite
def leaves(draw: st.DrawFn) -> int:
    """Draw a leaf of any role that somebody may have written: every field but reserved encodings."""
    size_bits = draw(st.sampled_from([12, 14, 16, 21, 25, 29, 30]))
    block = size_bits not in (12, 14, 16)
    kind = leaf_descriptor(size_bits, block, draw(st.sampled_from(ROLES)))
    word = kind(0)
    for field in kind.fields():
        if field.name not in ("OutputAddress", "TYPE", "SH"):
            word = kind(field.into(word, draw(st.integers(0, (1 << field.width) - 1)) * field.scale))
    pa = draw(st.integers(1, (1 << 48 - size_bits) - 1)) << size_bits
    return int(word.with_(OutputAddress=pa, TYPE=1 if block else 3, SH=draw(st.sampled_from((0, 2, 3)))))


@st.composite
def entries(draw: st.DrawFn) -> int:
    """Draw an entry that leads to a table, with software's own bits."""
    kind = table_descriptor(draw(st.sampled_from([12, 14, 16])))
    pa = draw(st.integers(1, (1 << 32) - 1)) << 16
    own = draw(st.sampled_from([0, 1 << 55, 1 << 59, 1 << 60, 3 << 59, 1 << 10, 1 << 11, 0xF7C]))
    return int(kind(own).with_(TYPE=3, NextTable=pa))


@PROPERTY
@given(st.dictionaries(st.integers(0, WORDS - 1), leaves() | entries(), min_size=1, max_size=40), st.data())
def test_whatever_somebody_may_have_written_is_a_table(words: dict[int, int], data: st.DataObject) -> None:
    # A pointer's top bits are nobody's descriptor.
    words = {index: word & ~(1 << 63) for index, word in words.items()}
    # What is not valid is the guest's own: a swap entry.
    swapped = data.draw(st.dictionaries(st.integers(0, WORDS - 1), st.integers(0, (1 << 58) - 1), max_size=20))
    assert TABLES.is_table(page({**{index: word << 1 for index, word in swapped.items()}, **words}))


@pytest.mark.parametrize(
    "words",
    [
        {},
        {5: 0x1000},  # nothing valid
        {5: 0x4000_0003, 9: 0xFFFF_8000_4000_0000},  # a pointer beside it
        {5: 0x4000_0003, 9: 0xFFFF_8000_4000_0001},
        {5: 0x4000_0003, 9: 0x0001_2345_6789_A003},  # an address that is nowhere
        {5: 0x4000_0003, 9: 0x4000_0103},  # SH is reserved
        {5: 3},  # a number
        {5: 0x4000_0003, 9: 17},
    ],
)
def test_what_nobody_would_write_is_none(words: dict[int, int]) -> None:
    assert not TABLES.is_table(page(words))


def test_a_block_of_address_0_is_an_entry_where_it_maps_itself() -> None:
    assert TABLES.is_table(page({0: 0x1, 1: 0x4000_0401}))
    assert TABLES.is_table(page({0: 0x401, 7: 0x4000_0401, 9: 0x60_0000_0000_0401}))


def test_noise_is_no_table() -> None:
    drawn = random.Random(7)
    assert not [1 for _ in range(2000) if TABLES.is_table(drawn.randbytes(PAGE))]


def loaded(guest: str) -> bytes:
    """Return the memory of a guest's first segment, which has its code, from its vectors on."""
    file = FIXTURES / "guests" / guest / f"{guest}.elf"
    vectors = symbol_values(file)["vectors"]
    with file.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments():
            if segment["p_vaddr"] <= vectors < segment["p_vaddr"] + segment["p_filesz"]:
                return bytes(segment.data()[vectors - segment["p_vaddr"] :])
    raise AssertionError("the guest has vectors")


GUESTS = ["access_flag", "storm", "tlb"]


@pytest.mark.parametrize("guest", GUESTS)
def test_code_is_no_table(guest: str) -> None:
    code = loaded(guest)[: 2 * PAGE].ljust(2 * PAGE, b"\0")
    assert any(code)
    assert not [at for at in range(0, len(code), PAGE) if TABLES.is_table(code[at : at + PAGE])]


def test_every_table_of_a_real_crash_is_one() -> None:
    memory = open_source(str(FIXTURES / "captures/osv-1131.core")).memory
    pages = [pa for first, size in memory.places() for pa in range(first, first + size, PAGE)]
    assert len(pages) == 28
    assert all(TABLES.is_table(memory.read(pa, PAGE)) for pa in pages)


def test_contents_tell_tables_from_blocks() -> None:
    data = page({3: 0x4000_1003, 7: 0x0080_0000_4000_2003, 9: 0x4020_0701, 200: 0x8000_0701, 201: 0x4000_1003, 300: 2})
    assert TABLES.contents(data) == Contents(
        valid=5,
        first=3,
        last=201,
        tables=frozenset({0x4000_1000, 0x4000_2000}),
        kinds=frozenset({3, 0x0080_0000_0000_0003}),
        blocks=0x4020_0000 | 0x8000_0000,
    )
    assert TABLES.contents(page({300: 2})) == NOTHING
    # nT is no part of an address.
    assert TABLES.contents(page({9: 0x4021_0701})).blocks == 0x4020_0000


@PROPERTY
@given(st.lists(st.dictionaries(st.integers(0, WORDS - 1), entries(), max_size=5), min_size=1, max_size=4))
def test_contents_of_parts_are_those_of_the_whole(parts: list[dict[int, int]]) -> None:
    pages = [page(words) for words in parts]
    joined = NOTHING
    for number, each in enumerate(pages):
        joined = joined.and_then(TABLES.contents(each), number * WORDS)
    assert joined == TABLES.contents(b"".join(pages))


# Leaves as they are: Linux's, OSv's, Xen's own and its guests', KVM's.
@pytest.mark.parametrize(
    ("descriptor", "owner"),
    [
        (0x0068_0000_4000_0F03, Owner.KERNEL),  # Linux with KPTI: nG, PXN, UXN
        (0x0060_0000_4000_0783, Owner.KERNEL),
        (0x0018_0000_4180_F393 | 1 << 10, Owner.KERNEL),  # OSv: UXN and AP[1] never used
        (0x00E8_0000_4000_0F43, Owner.USER),  # Linux: nG, PXN, AP[1]
        (0x0020_0000_4000_0FC3, Owner.USER),
        (0x0000_0000_4000_0F43, Owner.USER),  # nG, and no NS: of EL1, whether or not it says PXN
        (0x0000_0000_4000_0FFF, Owner.USER),  # nG: of an ASID, so of stage 1
        (0x0040_0000_4032_8F7F, Owner.HYPERVISOR),  # Xen: nG and NS, AttrIndx 7
        (0x0040_0000_4000_0743, Owner.HYPERVISOR),  # KVM's own at EL2
        (0x0080_0000_641D_17FF, Owner.VIRTUAL_MACHINE),  # Xen's guests
        (0x0000_0000_8000_07FD, Owner.VIRTUAL_MACHINE),  # KVM's
        (0x0000_0000_8000_07DB, Owner.VIRTUAL_MACHINE),  # with FWB: MemAttr 0b0110
    ],
)
def test_whose_a_leaf_is(descriptor: int, owner: Owner) -> None:
    assert TABLES.owner([Leaves(descriptor, 100, 100 << 12)]) is owner


def test_what_is_read_only_all_over_is_no_single_levels() -> None:
    assert TABLES.owner([Leaves(0x4000_07C3, 10, 10 << 12)]) is Owner.USER


def test_few_large_leaves_tell_a_virtual_machine_from_its_devices() -> None:
    devices, memory = Leaves(0x0900_07C7, 4000, 4000 << 12), Leaves(0x4000_07FD, 16, 16 << 21)
    assert TABLES.owner([devices, memory]) is Owner.VIRTUAL_MACHINE


# Vectors


@pytest.mark.parametrize("guest", GUESTS)
def test_the_vectors_of_a_guest_are_seen_wherever_they_are(guest: str) -> None:
    vectors = loaded(guest)[:0x800]
    assert TABLES.has_vectors(vectors)
    assert TABLES.has_vectors(bytes(0x800) + vectors)
    assert not TABLES.has_vectors(vectors[:-4]), "they are 2KB"
    assert not TABLES.has_vectors(bytes(0x80 * 5) + vectors[0x80 * 5 :]), "each entry has something in it"


def test_code_that_is_no_vectors_is_not_taken_for_them() -> None:
    branches = struct.pack("<I", 0x14000000) * 512
    assert TABLES.has_vectors(branches), "each entry ends in one"
    assert not TABLES.has_vectors(struct.pack("<I", 0xD503201F) * 512), "padding has no way out"
    assert not TABLES.has_vectors(random.Random(1).randbytes(1 << 20))
    returns = (struct.pack("<I", 0x91000400) * 31 + struct.pack("<I", 0xD65F03C0)) * 16
    assert not TABLES.has_vectors(returns), "an exception does not return so"


# Registers

PLACES = [
    (form, height, owner, place)
    for form in TABLES.forms
    for height in form.heights[1:]
    for owner in Owner
    for place in TABLES.places(0x4000_0000, form, height, owner, None)
]


@pytest.mark.parametrize(
    ("form", "height", "owner", "place"),
    PLACES,
    ids=[f"{place.register}-{form.granule_bits}-{height}-{place.input_bits}" for form, height, _, place in PLACES],
)
def test_a_place_is_a_regime_of_that_shape(form, height, owner, place) -> None:
    regime = TABLES.regime(place)
    assert (regime.root, regime.first) == (0x4000_0000, place.first)
    assert regime.last == (place.first + (1 << place.input_bits) - 1)
    assert len(regime.levels) == height + 1
    assert regime.levels[-1].size_bytes == form.table_bytes
    assert regime.levels[0].entries * 8 == place.root_bytes
    assert regime.levels[0].size_bytes == 1 << form.covered_bits(height)
    assert regime.stage == (2 if owner is Owner.VIRTUAL_MACHINE else 1)


def test_two_roots_of_one_regime_share_their_control_register() -> None:
    lower = next(p for p in TABLES.places(0x4000_0000, FORM4K, 3, Owner.USER, None) if p.input_bits == 48)
    upper = next(p for p in TABLES.places(0x5000_0000, FORM64K, 2, Owner.KERNEL, None) if p.upper)
    values = TABLES.registers([lower, upper]).values
    assert (values["TTBR0_EL1"], values["TTBR1_EL1"]) == (0x4000_0000, 0x5000_0000)
    # T0SZ [5:0], EPD0 [7], TG0 [15:14], T1SZ [21:16], EPD1 [23], TG1 [31:30].
    tcr = values["TCR_EL1"]
    assert (tcr & 0x3F, tcr >> 7 & 1, tcr >> 14 & 3) == (16, 0, 0b00)
    assert (tcr >> 16 & 0x3F, tcr >> 23 & 1, tcr >> 30 & 3) == (16, 0, 0b11)


def test_the_half_without_a_root_is_off_and_that_is_said() -> None:
    upper = next(p for p in TABLES.places(0x5000_0000, FORM4K, 3, Owner.KERNEL, None) if p.upper)
    derived = TABLES.registers([upper])
    assert derived.values["TCR_EL1"] >> 7 & 1 == 1
    assert any("EPD0=1" in each.text for each in derived.assumed)
    regime = ARCHITECTURES["aarch64"].regimes(reader(derived.values))[0]
    assert not isinstance(walk(regime, 0x1000, lambda pa, size: bytes(size)).outcome, Mapped)
