"""Geometry, addresses and entries: each trap that a published walker fell into is a test."""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.translation import TCR_EL1, TTBR
from gdbtools.arch.aarch64.tables.geometry import levels_for
from gdbtools.arch.aarch64.translation.regimes import regime_for, regimes
from gdbtools.arch.model import Fault, FaultKind, Hole, Mapped, Run, Walk
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Unavailable, Unreadable
from tests.arch.tables_read import tables_read
from tests.tables import Tables, reader


def walk_of(t: Tables, va: int, **changes: int) -> Walk:
    return walk(regime_for(reader(t.registers(**changes)), va), va, t.read)


# DDI 0487, "VMSAv8-64 address translation using the ... granule": the initial lookup level for each input size.
@pytest.mark.parametrize(
    ("granule", "bits", "first"),
    [
        (12, 48, 0), (12, 40, 0), (12, 39, 1), (12, 31, 1), (12, 30, 2), (12, 25, 2), (12, 21, 3),
        (14, 48, 0), (14, 47, 1), (14, 37, 1), (14, 36, 2), (14, 26, 2), (14, 25, 3),
        (16, 48, 1), (16, 43, 1), (16, 42, 2), (16, 30, 2), (16, 29, 3), (16, 25, 3),
    ],
)  # fmt: skip
def test_the_initial_level_is_the_manuals(granule: int, bits: int, first: int) -> None:
    assert levels_for(granule, bits)[0].number == first


def test_level_0_of_16k_at_48_bits_has_two_entries() -> None:
    assert levels_for(14, 48)[0].entries == 2


def test_a_root_smaller_than_a_page_may_stand_at_64_bytes() -> None:
    t = Tables(TnSZ=33, root=0x4000_0040)
    t.map(0x1234_5000, 0x4567_8000)
    assert walk_of(t, 0x1234_5678).outcome == Mapped(0x4567_8678, 4096)


def test_what_lies_behind_a_small_root_is_no_mapping() -> None:
    t = Tables(TnSZ=33, root=0x4000_0040)
    t.map(0x1000, 0x4567_8000)
    t.memory[t.root + 2 * 8] = t.memory[t.root]
    found = [each for each in scan(regime_for(reader(t.registers()), 0), t.read) if isinstance(each, Run)]
    assert [each.first for each in found] == [0x1000]


def test_asid_and_cnp_are_not_part_of_the_base() -> None:
    t = Tables()
    t.map(0x1000, 0x4567_8000)
    ttbr = TTBR(t.root).with_(ASID=0xFFFF, CnP=1)
    assert walk_of(t, 0x1000, TTBR0_EL1=ttbr).outcome == Mapped(0x4567_8000, 4096)


def test_the_halves_have_their_own_sizes_and_granules() -> None:
    low, high = Tables(TnSZ=25), Tables(granule_bits=16, TnSZ=22, root=0x4800_0000, _next=0x4810_0000)
    low.map(0x1000, 0x4567_8000)
    high.map(0xFFFF_FC00_0001_0000, 0x4321_0000)
    low.memory |= high.memory
    tcr = TCR_EL1(low.registers()["TCR_EL1"]).with_(T1SZ=22, TG1=0b11)
    changes = {"TCR_EL1": int(tcr), "TTBR1_EL1": high.root}
    assert walk_of(low, 0x1000, **changes).outcome == Mapped(0x4567_8000, 4096)
    assert walk_of(low, 0xFFFF_FC00_0001_0004, **changes).outcome == Mapped(0x4321_0004, 65536)


def test_a_hole_between_the_halves_is_a_translation_fault_at_level_0() -> None:
    found = walk_of(Tables(), 0x0001_0000_0000_0000)
    assert found.outcome == Fault(FaultKind.TRANSLATION, 1, 0)
    assert found.steps == ()


def test_with_tbi_bit_55_chooses_the_half_whatever_the_top_byte_says() -> None:
    t = Tables()
    t.map(0x1000, 0x4567_8000)
    tcr = TCR_EL1(t.registers()["TCR_EL1"]).with_(TBI0=1)
    assert walk_of(t, 0xAB00_0000_0000_1000, TCR_EL1=int(tcr)).outcome == Mapped(0x4567_8000, 4096)
    assert walk_of(t, 0xAB00_0000_0000_1000).outcome == Fault(FaultKind.TRANSLATION, 1, 0)


def test_epd_disables_the_walk_and_is_named() -> None:
    t = Tables()
    t.map(0x1000, 0x4567_8000)
    found = walk_of(t, 0x1000, TCR_EL1=int(TCR_EL1(t.registers()["TCR_EL1"]).with_(EPD0=1)))
    assert found.refusal is not None
    assert (found.refusal.decider.holder, found.refusal.decider.field.name) == ("TCR_EL1", "EPD0")


@pytest.mark.parametrize(("granule", "level", "legal"), [(12, 0, False), (12, 1, True), (12, 2, True), (14, 1, False),
                                                         (14, 2, True), (16, 1, False), (16, 2, True)])  # fmt: skip
def test_blocks_stand_only_where_the_granule_allows_them(granule: int, level: int, legal: bool) -> None:
    t = Tables(granule_bits=granule)
    t.map(0, 0, level)
    found = walk_of(t, 0x123)
    if legal:
        assert isinstance(found.outcome, Mapped)
    else:
        assert found.outcome == Fault(FaultKind.TRANSLATION, 1, level)
        assert found.refusal is not None
        assert found.refusal.decider.cause is VMSACause.BLOCK_NOT_ALLOWED


def test_the_reserved_type_at_level_3_is_invalid_and_no_page() -> None:
    t = Tables()
    at = t.map(0x1000, 0x4567_8000)
    t.memory[at] = t.memory[at] & ~0b10
    found = walk_of(t, 0x1000)
    assert found.outcome == Fault(FaultKind.TRANSLATION, 1, 3)
    assert found.refusal is not None
    assert found.refusal.decider.cause is VMSACause.RESERVED_ENTRY


def test_a_swapped_out_entry_is_not_followed() -> None:
    t = Tables()
    at = t.map(0x1000, 0x4567_8000)
    t.memory[at] = 0x1234_5678_9ABC_DEF0
    assert walk_of(t, 0x1000).outcome == Fault(FaultKind.TRANSLATION, 1, 3)


@pytest.mark.parametrize(("granule", "level"), [(12, 3), (12, 2), (12, 1), (14, 3), (14, 2), (16, 3), (16, 2)])
def test_clear_access_flag_faults_at_the_leaf_level_and_keeps_its_destination(granule: int, level: int) -> None:
    t = Tables(granule_bits=granule)
    at = t.map(0, 0x4000_0000, level, AF=0)
    found = walk_of(t, 0x123)
    assert found.outcome == Fault(FaultKind.ACCESS_FLAG, 1, level)
    assert found.refusal is not None
    assert found.refusal.decider.pa == at
    assert found.destination is not None
    assert found.destination.address == 0x4000_0123


def test_hardware_that_manages_the_access_flag_does_not_fault() -> None:
    t = Tables()
    t.map(0x1000, 0x4567_8000, AF=0)
    tcr = int(TCR_EL1(t.registers()["TCR_EL1"]).with_(HA=1))
    assert isinstance(walk_of(t, 0x1000, TCR_EL1=tcr, ID_AA64MMFR1_EL1=1).outcome, Mapped)
    # TCR_EL1.HA is RES0 without FEAT_HAFDBS, whatever software wrote.
    assert walk_of(t, 0x1000, TCR_EL1=tcr, ID_AA64MMFR1_EL1=0).outcome == Fault(FaultKind.ACCESS_FLAG, 1, 3)


def test_an_output_beyond_the_physical_size_is_an_address_size_fault_at_its_level() -> None:
    t = Tables()
    t.map(0x1000, 1 << 45)
    tcr = int(TCR_EL1(t.registers()["TCR_EL1"]).with_(IPS=4))
    assert walk_of(t, 0x1000, TCR_EL1=tcr).outcome == Fault(FaultKind.ADDRESS_SIZE, 1, 3)
    assert isinstance(walk_of(t, 0x1000).outcome, Mapped)


def test_ips_larger_than_the_implemented_range_is_limited_by_it() -> None:
    t = Tables()
    t.map(0x1000, 1 << 45)
    assert walk_of(t, 0x1000, ID_AA64MMFR0_EL1=4).outcome == Fault(FaultKind.ADDRESS_SIZE, 1, 3)


def test_a_root_beyond_the_physical_size_is_an_address_size_fault_at_level_0() -> None:
    t = Tables()
    found = walk_of(t, 0x1000, TTBR0_EL1=1 << 46, ID_AA64MMFR0_EL1=4)
    assert found.outcome == Fault(FaultKind.ADDRESS_SIZE, 1, 0)


def test_with_the_mmu_off_an_address_is_its_own_output_and_nothing_is_read() -> None:
    found = walk(regime_for(reader({"SCTLR_EL1": 0, "cpsr": 5}), 0x4000_1234), 0x4000_1234, _never)
    assert found.outcome == Mapped(0x4000_1234, 1 << 52)


def _never(pa: int, size_bytes: int) -> bytes:
    raise AssertionError("nothing is to be read")


def test_big_endian_tables_are_read_as_such() -> None:
    t = Tables()
    t.map(0x1000, 0x4567_8000)
    swapped = {at: int.from_bytes(int(word).to_bytes(8, "little"), "big") for at, word in t.memory.items()}
    t.memory = swapped
    assert walk_of(t, 0x1000, SCTLR_EL1=1 | 1 << 25).outcome == Mapped(0x4567_8000, 4096)


def test_a_table_that_cannot_be_read_is_unreadable_and_not_unmapped() -> None:
    t = Tables()
    with pytest.raises(Unreadable, match="0x60000000"):
        walk_of(t, 0, TTBR0_EL1=0x6000_0000)
    holes = list(scan(regime_for(reader(t.registers(TTBR0_EL1=0x6000_0000)), 0), t.read))
    assert [type(each) for each in holes] == [Hole]


def test_tables_that_lead_to_themselves_end() -> None:
    t = Tables()
    t.memory[t.root] = t.root | 0b11
    # Met as a page at level 3, the entry has bit 10 clear.
    assert walk_of(t, 0).outcome == Fault(FaultKind.ACCESS_FLAG, 1, 3)
    assert len(list(tables_read(regime_for(reader(t.registers()), 0), t.read))) == 4


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"TCR2_EL1": 1 << 5}, "TCR2_EL1.D128"),
        ({"TCR2_EL1": 1 << 4}, "TCR2_EL1.AIE"),
        ({"HCR_EL2": 1, "VTCR_EL2": 1 << 38}, "VTCR_EL2.D128"),
        ({"HCR_EL2": 1, "VTCR_EL2": 1 << 37}, "VTCR_EL2.S2POE"),
    ],
)
def test_what_is_not_decoded_is_refused_in_one_sentence_that_names_it(changes: dict[str, int], named: str) -> None:
    with pytest.raises(Unavailable, match=named) as refused:
        regimes(reader(Tables().registers(**changes)))
    assert "\n" not in str(refused.value)


def test_registers_that_are_missing_are_assumed_aloud() -> None:
    t = Tables()
    t.map(0x1000, 0x4567_8000)
    only = {name: t.registers()[name] for name in ("TCR_EL1", "TTBR0_EL1")}
    found = walk(regime_for(reader(only), 0x1000), 0x1000, t.read)
    assert found.outcome == Mapped(0x4567_8000, 4096)
    assert any(text.startswith("SCTLR_EL1") for text in found.regime.assumed)


@pytest.mark.parametrize(("pfr0", "indirect"), [(0x0011, True), (0x0111, False), (None, True)])
def test_hcrx_withholds_tcr2_only_where_there_is_an_el2(pfr0: int | None, indirect: bool) -> None:
    """QEMU 11.1's stub gives HCRX_EL2 as 0 of a CPU that has no EL2, where Linux uses permission indirection."""
    t = Tables()
    t.map(0x1000, 0x4567_8000, AP=0b11)
    changes = {"TCR2_EL1": 1 << 1, "HCRX_EL2": 0, "PIR_EL1": 0, "PIRE0_EL1": 0, "ID_AA64MMFR3_EL1": 1 << 8}
    found = walk_of(t, 0x1000, **changes, **({} if pfr0 is None else {"ID_AA64PFR0_EL1": pfr0}))
    assert found.attributes is not None
    assert found.attributes.rights[1].read is not indirect


def test_what_is_set_below_the_roots_size_is_ignored_and_noted() -> None:
    t = Tables(TnSZ=16)
    t.map(0x1000, 0x4567_8000)
    found = walk_of(t, 0x1000, TTBR0_EL1=t.root | 0x80)
    assert found.outcome == Mapped(0x4567_8000, 4096)
    assert found.regime.notes == ("TTBR0_EL1: its bits below the root table's size are ignored",)
