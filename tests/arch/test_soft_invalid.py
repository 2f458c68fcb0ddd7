"""Entries whose valid bit alone is clear, at stage 2: hardware faults there, and what lies below is kept apart.

The tables are raw integers, in the shape that Xen 4.17 was seen to leave on a cortex-a53: of one level 1 entry it had
cleared bit 0 after a set/way operation, and left the rest (0x008000009ff987fe).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.model import EntryKind, Fault, FaultKind, Hole, Mapped, Regime, Run, Step
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine
from gdbtools.repair.accessed import find
from gdbtools.repair.clear_access_flag import plan
from tests.arch.aarch64.truth.machine import IPA, PA, S1_ROOT, S2_ROOT, VA, VTCR, Memory, guest
from tests.arch.tables_read import tables_read
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
XENS = 0x0080_0000_9FF9_87FE
XEN_PAGE = 0b1111 << 2 | 3 << 6 | 3 << 8 | 1 << 55
TABLE, BLOCK, AF = 0b11, 0b01, 1 << 10
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CHILD, GRANDCHILD = S2_ROOT + 0x1000, S2_ROOT + 0x2000


def stage2(**changes: int) -> Regime:
    return ARM.regime_for(reader(guest(**changes)), 0, "stage2")


def decoded(value: int, level: int) -> Step:
    regime = stage2()
    [place] = [each for each in regime.levels if each.number == level]
    return Step(place, 0, 0, regime.decode(value.to_bytes(8, "little"), place))


def xens(cleared: int | None = None) -> Memory:
    """Return a stage 2 of one table at each level, a 2MB block, and two pages; `cleared` is where bit 0 is taken."""
    memory = Memory()
    memory.words = {
        S2_ROOT + 8: CHILD | TABLE | 0x7FC | 1 << 55,
        CHILD: GRANDCHILD | TABLE | 0x7FC | 1 << 55,
        CHILD + 8: 0x8020_0000 | BLOCK | XEN_PAGE | AF,
        GRANDCHILD: 0x8000_0000 | TABLE | XEN_PAGE | AF,
        GRANDCHILD + 8: 0x8000_1000 | TABLE | XEN_PAGE | AF,
    }
    if cleared is not None:
        memory.words[cleared] &= ~1
    return memory


def runs(memory: Memory) -> list[tuple[int, int, int | None, bool, Fault | None]]:
    found = list(scan(stage2(), memory.read))
    assert not any(isinstance(each, Hole) for each in found)
    return [(r.first, r.leaves, r.output, r.kind.soft_invalid, r.fault) for r in found if isinstance(r, Run)]


def translation(level: int) -> Fault:
    return Fault(FaultKind.TRANSLATION, 2, level)


# What is one, and what is not


def test_xens_own_entry_is_a_table_of_which_the_valid_bit_alone_is_clear() -> None:
    step = decoded(XENS, 1)
    assert step.entry.kind is EntryKind.SOFT_INVALID
    assert step.entry.kept is not None
    assert (step.entry.kept.kind, step.entry.kept.address) == (EntryKind.TABLE, 0x9FF9_8000)
    assert int(step.entry.word) == XENS, "what is shown is what is in memory"
    refused = stage2().accept(step)
    assert refused is not None
    assert refused.fault == translation(1)
    assert refused.decider.cause is VMSACause.SOFT_INVALID
    assert refused.decider.field.position == "[0]"


@pytest.mark.parametrize(
    ("value", "level", "why"),
    [
        (0, 1, "nothing at all"),
        (2, 1, "a table at address 0"),
        (1 << 2, 2, "an owner, as pKVM notes it in bits [9:2]"),
        (0x2A << 2, 3, "an owner, at the last level"),
        (AF, 2, "a lock, as KVM takes it while it changes an entry"),
        (0x8000_0000 | 0x7FC | AF, 3, "a block where there are none: its type is reserved at the last level"),
        (0x8000_0000 | 0x3FC, 2, "a block that nobody marked as accessed"),
        (0x8000_1000 | 0x7FC | AF, 2, "a block that is not aligned to its size"),
        (1 << 50 | 0x8000_0000 | 0x7FE, 2, "a reserved bit"),
        (1 << 60 | 0x8000_0000 | 0x7FE, 2, "a limit that tables of stage 2 do not have"),
        (1 << 49 | 0x8000_0000 | 0x7FE, 3, "bits above the address"),
    ],
)
def test_what_is_not_whole_apart_from_the_valid_bit_is_invalid_and_nothing_else(value: int, level: int, why: str):
    entry = decoded(value, level).entry
    assert (entry.kind, entry.kept) == (EntryKind.INVALID, None), why


def test_an_address_beyond_the_output_size_is_of_no_soft_invalid_entry() -> None:
    small = stage2(VTCR_EL2=VTCR & ~(7 << 16))  # PS: 32 bits
    level = small.levels[0]
    assert small.decode(XENS.to_bytes(8, "little"), level).kind is EntryKind.SOFT_INVALID
    far = XENS | 1 << 33
    assert small.decode(far.to_bytes(8, "little"), level).kind is EntryKind.INVALID


@pytest.mark.parametrize(
    "value",
    [
        XENS,
        0x0060_0000_4123_4FC2,  # what PROT_NONE leaves of a Linux page: valid clear, the rest intact
        0x0000_0000_0012_3458,  # a Linux swap entry: type and offset
        0x8000_0000 | XEN_PAGE | AF | 0b10,
    ],
)
def test_stage_1_has_none_whatever_an_operating_system_keeps_in_its_invalid_entries(value: int) -> None:
    memory = Memory()
    memory.stage1(0)
    memory.words[memory.leaf_at(S1_ROOT, VA)] = value
    regime = ARM.regime_for(reader(guest(HCR_EL2=0)), VA, "el1")
    found = walk(regime, VA, memory.read)
    assert [step.entry.kind for step in found.steps][-1] is EntryKind.INVALID
    assert found.kept is None
    assert list(scan(regime, memory.read)) == []


# What a walk says


def test_a_walk_faults_where_the_valid_bit_is_clear_and_keeps_what_lies_below() -> None:
    memory = xens(CHILD)
    found = walk(stage2(), GIB + 0x1234, memory.read)
    assert found.outcome == translation(2)
    assert [step.pa for step in found.steps] == [S2_ROOT + 8, CHILD], "hardware reads no further"
    assert found.leaf is None
    assert found.destination is None
    assert found.attributes is None
    assert found.kept is not None
    assert found.kept.outcome == Mapped(0x8000_1234, 4 * KIB)
    causes = [step.entry.cause for step in found.kept.steps]
    assert causes == [None, VMSACause.SOFT_INVALID, None], (
        "the step that hardware does not take is told from the others"
    )


def test_what_lies_below_and_cannot_be_read_leaves_the_fault_as_it_is() -> None:
    memory = xens(CHILD)

    def read(pa: int, size_bytes: int) -> bytes:
        if pa >= GRANDCHILD:
            raise Unreadable(pa, size_bytes, "not there")
        return memory.read(pa, size_bytes)

    found = walk(stage2(), GIB, read)
    assert found.outcome == translation(2)
    assert found.kept is None
    holes = [each for each in scan(stage2(), read) if isinstance(each, Hole)]
    assert [(hole.first, hole.size_bytes) for hole in holes] == [(GIB, 2 * MIB)], "unreadable is not nothing"


# What a scan says


def test_every_leaf_is_found_and_those_that_hardware_does_not_reach_are_told_apart() -> None:
    block = (GIB + 2 * MIB, 1, 0x8020_0000)
    pages = (GIB, 2, 0x8000_0000)
    assert runs(xens()) == [(*pages, False, None), (*block, False, None)]
    assert runs(xens(CHILD)) == [(*pages, True, translation(2)), (*block, False, None)]
    assert runs(xens(CHILD + 8)) == [(*pages, False, None), (*block, True, translation(2))]
    assert runs(xens(GRANDCHILD)) == [
        (GIB, 1, 0x8000_0000, True, translation(3)),
        (GIB + 4 * KIB, 1, 0x8000_1000, False, None),
        (*block, False, None),
    ]


def test_hardware_stops_at_the_first_of_several() -> None:
    memory = xens(S2_ROOT + 8)
    memory.words[CHILD] &= ~1
    memory.words[GRANDCHILD] &= ~1
    assert runs(memory) == [
        (GIB, 2, 0x8000_0000, True, translation(1)),
        (GIB + 2 * MIB, 1, 0x8020_0000, True, translation(1)),
    ], "that a page below has its own bit clear makes it no other kind"


def test_the_tables_below_are_among_the_tables_so_that_a_capture_has_them() -> None:
    assert set(tables_read(stage2(), xens(S2_ROOT + 8).read)) == {S2_ROOT, CHILD, GRANDCHILD}


ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.sampled_from((0x8000_0000, 0x8020_0000, 0x8000_1000, GRANDCHILD, GRANDCHILD + 0x1000, 0)),
        st.sampled_from((0b00, 0b01, 0b10, 0b11)),
        st.sampled_from((AF, 0, 1 << 50 | AF)),
        st.integers(1, 4),
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(ENTRIES, ENTRIES, ENTRIES, st.booleans())
def test_whatever_the_tables_hold_the_scan_says_what_the_walk_says(upper, lower, other, valid_root) -> None:
    memory = Memory()
    memory.words[S2_ROOT + 8] = CHILD | 0b10 | valid_root
    for table, step, entries in ((CHILD, 2 * MIB, upper), (GRANDCHILD, 4 * KIB, lower), (GRANDCHILD + 4096, 0, other)):
        for index, output, kind, bits, count in entries:
            for number in range(count):
                memory.words[table + (index + number) * 8] = (output + number * step) | kind | bits | 3 << 6
    regime = stage2()
    found = list(scan(regime, memory.read))
    for address in (GIB + (block << 21) + (page << 12) for block in range(11) for page in range(11)):
        here = [each for each in found if each.first <= address < each.first + each.size_bytes]
        walked = walk(regime, address, memory.read)
        meant = walked.kept or walked
        if meant.leaf is None:
            assert here == []
            continue
        [run] = here
        assert isinstance(run, Run)
        assert run.kind.soft_invalid == (walked.kept is not None)
        assert run.fault == (walked.outcome if isinstance(walked.outcome, Fault) else None)
        assert run.output is not None
        assert meant.destination == Mapped(run.output + run.offset_of(address), run.leaf_bytes)
        assert run.attributes == meant.attributes


# Through both stages


def both(cleared_ipa: int) -> tuple[Memory, Regime]:
    """Return a page through both stages, whose stage 2 leaf for one address has its valid bit clear."""
    memory = Memory()
    memory.stage1(0, output=IPA)
    memory.identity(XEN_PAGE)
    memory.stage2(XEN_PAGE, IPA, PA)
    memory.words[memory.leaf_at(S2_ROOT, cleared_ipa)] &= ~1
    return memory, ARM.regime_for(reader(guest()), VA, "el1")


@pytest.mark.parametrize(("cleared", "s1ptw"), [(IPA, False), (S1_ROOT, True), (S1_ROOT + 0x3000, True)])
def test_two_stages_fault_at_stage_2_and_keep_what_both_would_come_to(cleared: int, s1ptw: bool) -> None:
    memory, regime = both(cleared)
    found = walk(regime, VA, memory.read)
    fault = Fault(FaultKind.TRANSLATION, 2, 3, s1ptw=s1ptw)
    assert found.outcome == fault
    assert found.kept is not None
    assert found.kept.outcome == Mapped(PA, 4 * KIB)
    [run] = mappings_of(regime, memory.read, (VA, 1))
    assert isinstance(run, Run)
    assert (run.output, run.ipa, run.fault, run.kind.soft_invalid) == (PA, IPA, fault, True)
    whole, _ = both(cleared)
    whole.words[whole.leaf_at(S2_ROOT, cleared)] |= 1
    [mapped] = mappings_of(regime, whole.read, (VA, 1))
    assert isinstance(mapped, Run)
    assert run.attributes == mapped.attributes, "what both stages would grant"
    assert mapped == run._replace(kind=replace(run.kind, fault=None, soft_invalid=False))


def test_nothing_is_written_to_what_hardware_does_not_reach() -> None:
    """`clear-af` and `working-set` change leaves that are in use: a soft-invalid one is not."""
    memory = xens(GRANDCHILD)
    machine = Machine(ARM, memory, (Cpu(0, FixedRegisters({**guest(), "sp": 0, "VBAR_EL1": 0}, "a test")),))
    planned = plan(machine, (GIB, 8 * KIB), "stage2")
    assert [change.pa for change in planned.changes] == [GRANDCHILD + 8]
    found = find(ARM, [stage2()], memory, GIB, GIB + 8 * KIB - 1)
    assert [(each.first, each.count) for each in found.stretches] == [(GIB + 4 * KIB, 1)]
