"""What a regime maps: neighbours joined, two stages put together, and the run that holds an address."""

from __future__ import annotations

import pytest

from gdbtools.analysis.mappings import mappings, mappings_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Fault, FaultKind, Hole, Run
from gdbtools.errors import Unavailable, Unreadable
from tests.arch.aarch64.truth.machine import S1_ROOT, S2_ROOT, Memory, el2, guest
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
MEGA = 1 << 20
# Stage 2: Normal memory, S2AP read and write.
S2 = 0b1111 << 2 | 0b11 << 8 | 0b11 << 6
READ_ONLY = 0b1111 << 2 | 0b11 << 8 | 0b01 << 6


def runs(found) -> list[Run]:
    listed = list(found)
    assert all(isinstance(each, Run) for each in listed), listed
    return listed


def shape(found) -> list[tuple[int, int, int | None]]:
    return [(run.first, run.size_bytes, run.output) for run in runs(found)]


def of_tables(t: Tables) -> list[Run]:
    return runs(mappings_of(ARM.regime_for(reader(t.registers()), 0), t.read))


def test_neighbours_of_one_kind_that_follow_one_another_are_one_run_across_tables() -> None:
    t = Tables()
    for page in range(1020):
        t.map(page << 12, 0x4000_0000 + (page << 12))
    assert shape(of_tables(t)) == [(0, 1020 << 12, 0x4000_0000)]


@pytest.mark.parametrize(
    "other", [{"AP": 0b10}, {"UXN": 1}, {"AF": 0}, {"AttrIndx": 1}, {"nG": 1}, {"Contiguous": 1}, {"GP": 1}, {"SH": 3}]
)
def test_neighbours_that_differ_in_anything_are_two_runs(other: dict[str, int]) -> None:
    t = Tables()
    t.map(0, 0x4000_0000, AttrIndx=4)
    t.map(0x1000, 0x4000_1000, **{"AttrIndx": 4, **other})
    assert len(of_tables(t)) == 2


def test_neighbours_that_differ_in_softwares_own_bits_are_one_run() -> None:
    t = Tables()
    t.map(0, 0x4000_0000)
    t.map(0x1000, 0x4000_1000, SOFTWARE=0b1111)
    assert len(of_tables(t)) == 1


def test_neighbours_of_other_sizes_are_two_runs() -> None:
    t = Tables()
    t.map(0x1FF000, 0x401F_F000)
    t.map(0x200000, 0x4020_0000, 2)
    assert [run.leaf_bytes for run in of_tables(t)] == [4096, 2 * MEGA]


def test_a_gap_ends_a_run() -> None:
    t = Tables()
    t.map(0, 0x4000_0000)
    t.map(0x2000, 0x4000_2000)
    assert [run.first for run in of_tables(t)] == [0, 0x2000]


def test_both_halves_are_listed_the_lower_one_first() -> None:
    t = Tables()
    t.map(0, 0x4000_0000)
    found = runs(mappings(ARM, reader(t.registers()), t.read))
    assert [run.first for run in found] == [0, 0xFFFF_0000_0000_0000]


def test_a_regime_is_chosen_by_its_name() -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x7000_0000)
    found = runs(mappings(ARM, reader(el2()), memory.read, "el2"))
    assert [(run.first, list(run.attributes.rights)) for run in found] == [(0x5000, [2])]


def test_a_missing_register_is_said_before_anything_is_read() -> None:
    with pytest.raises(Unavailable, match="TCR_EL1"):
        list(mappings(ARM, reader({"cpsr": 5}), Memory().read))


def test_a_disabled_range_maps_nothing() -> None:
    t = Tables()
    t.map(0, 0x4000_0000)
    epd0 = t.registers()["TCR_EL1"] | 1 << 7
    found = runs(mappings(ARM, reader(t.registers(TCR_EL1=epd0)), t.read))
    assert [run.first for run in found] == [0xFFFF_0000_0000_0000]


def test_an_mmu_that_is_off_is_one_run_onto_itself() -> None:
    [run] = runs(mappings(ARM, reader({"SCTLR_EL1": 0, "cpsr": 5, "ID_AA64MMFR0_EL1": 5}), Memory().read))
    assert (run.first, run.size_bytes, run.output) == (0, 1 << 48, 0)


class Two:
    """Stage 1 pages from VA 0 on, tables identity-mapped by stage 2."""

    def __init__(self) -> None:
        self.memory = Memory()

    def first(self, page: int, ipa: int, leaf: int = 0) -> None:
        self.memory.stage1(leaf, va=page << 12, output=ipa)

    def second(self, ipa: int, pa: int, leaf: int = S2) -> None:
        self.memory.stage2(leaf, ipa, pa)

    def found(self, **changes: int) -> list[Run | Hole]:
        self.memory.identity(READ_ONLY)
        return list(mappings_of(ARM.regime_for(reader(guest(**changes)), 0, "el1"), self.memory.read))


def test_two_stages_that_both_go_on_are_one_run() -> None:
    two = Two()
    for page in range(8):
        two.first(page, 0x6000_0000 + (page << 12))
        two.second(0x6000_0000 + (page << 12), 0x7000_0000 + (page << 12))
    [run] = runs(two.found())
    assert (run.first, run.size_bytes, run.ipa, run.output) == (0, 0x8000, 0x6000_0000, 0x7000_0000)


def test_a_run_of_stage_1_is_cut_where_stage_2_leads_elsewhere() -> None:
    two = Two()
    for page in range(8):
        two.first(page, 0x6000_0000 + (page << 12))
        two.second(0x6000_0000 + (page << 12), 0x7000_0000 + (page << 12) + (page > 4) * MEGA)
    assert shape(two.found()) == [(0, 0x5000, 0x7000_0000), (0x5000, 0x3000, 0x7010_5000)]


def test_a_run_of_stage_1_is_cut_where_stage_2_grants_less() -> None:
    two = Two()
    for page in range(4):
        two.first(page, 0x6000_0000 + (page << 12))
        two.second(0x6000_0000 + (page << 12), 0x7000_0000 + (page << 12), S2 if page < 2 else READ_ONLY)
    found = runs(two.found())
    assert [(run.first, str(run.attributes.rights[1])) for run in found] == [(0, "rwx"), (0x2000, "r-x")]


def test_what_the_two_stages_scatter_and_gather_again_is_one_run_only_if_both_addresses_go_on() -> None:
    """Stage 1 swaps two pages and stage 2 swaps them back: the output goes on, the IPA does not."""
    two = Two()
    for page in range(2):
        two.first(page, 0x6000_0000 + (1 - page << 12))
        two.second(0x6000_0000 + (page << 12), 0x7000_0000 + (1 - page << 12))
    assert [(run.first, run.ipa, run.output) for run in runs(two.found())] == [
        (0, 0x6000_1000, 0x7000_0000),
        (0x1000, 0x6000_0000, 0x7000_1000),
    ]


def test_what_stage_2_does_not_map_is_a_run_without_output_and_with_its_fault() -> None:
    two = Two()
    for page in range(3):
        two.first(page, 0x6000_0000 + (page << 12))
    two.second(0x6000_0000, 0x7000_0000)
    two.second(0x6000_2000, 0x7000_2000)
    found = runs(two.found())
    assert [(run.first, run.size_bytes, run.ipa, run.output, run.fault) for run in found] == [
        (0, 0x1000, 0x6000_0000, 0x7000_0000, None),
        (0x1000, 0x1000, 0x6000_1000, None, Fault(FaultKind.TRANSLATION, 2, 3)),
        (0x2000, 0x1000, 0x6000_2000, 0x7000_2000, None),
    ]


def test_a_clear_access_flag_at_stage_2_is_the_fault_of_stage_2() -> None:
    two = Two()
    two.first(0, 0x6000_0000)
    two.second(0x6000_0000, 0x7000_0000)
    leaf = two.memory.leaf_at(S2_ROOT, 0x6000_0000)
    two.memory.words[leaf] &= ~(1 << 10)
    [run] = runs(two.found())
    assert (run.output, run.fault) == (0x7000_0000, Fault(FaultKind.ACCESS_FLAG, 2, 3))
    # Where both refuse, it is stage 1 that does.
    two.memory.words[two.memory.leaf_at(S1_ROOT, 0)] &= ~(1 << 10)
    [run] = runs(two.found())
    assert run.fault == Fault(FaultKind.ACCESS_FLAG, 1, 3)


def test_a_stage_1_table_that_stage_2_does_not_map_is_a_hole_that_says_who_refuses() -> None:
    two = Two()
    two.first(0, 0x6000_0000)
    two.second(0x6000_0000, 0x7000_0000)
    two.memory.identity(READ_ONLY)
    last = two.memory.tables[S1_ROOT][-1]
    two.memory.words[two.memory.leaf_at(S2_ROOT, last)] = 0
    [hole] = mappings_of(ARM.regime_for(reader(guest()), 0, "el1"), two.memory.read)
    assert isinstance(hole, Hole)
    assert (hole.first, hole.size_bytes, hole.pa) == (0, 2 * MEGA, last)
    assert hole.refusal is not None
    assert hole.refusal.fault == Fault(FaultKind.TRANSLATION, 2, 3, s1ptw=True)


def test_a_stage_2_table_that_cannot_be_read_is_a_hole_where_stage_1_needs_it() -> None:
    two = Two()
    two.first(0, 0x6000_0000)
    two.first(1, 0x4000_0000)
    two.memory.identity(READ_ONLY)
    two.memory.words[S2_ROOT + 8] |= 0b11
    two.second(0x6000_0000, 0x7000_0000)
    # The level 2 table of 0x40000000 serves both; that of the 2MB around 0x60000000 is the one that is gone.
    level2 = two.memory.words[S2_ROOT + 8] & 0x0000_FFFF_FFFF_F000
    missing = two.memory.words[level2 + (0x6000_0000 >> 21 & 0x1FF) * 8] & 0x0000_FFFF_FFFF_F000

    def read(pa: int, size_bytes: int) -> bytes:
        if missing <= pa < missing + 0x1000:
            raise Unreadable(pa, size_bytes, "gone")
        return two.memory.read(pa, size_bytes)

    found = list(mappings_of(ARM.regime_for(reader(guest()), 0, "el1"), read))
    assert [(type(each), each.first, each.size_bytes) for each in found] == [(Hole, 0, 0x1000), (Run, 0x1000, 0x1000)]


def test_one_page_that_all_addresses_lead_to_stays_one_run_through_stage_2() -> None:
    two = Two()
    for page in range(64):
        two.first(page, 0x6000_0000)
    two.second(0x6000_0000, 0x7000_0000)
    [run] = runs(two.found())
    assert (run.size_bytes, run.leaf_bytes, run.stride_bytes, run.ipa, run.output) == (
        64 << 12, 4096, 0, 0x6000_0000, 0x7000_0000,
    )  # fmt: skip
