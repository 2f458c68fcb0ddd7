"""The Contiguous bit: a group of entries that may be one TLB entry has to be alike, aligned, and in a row.

DDI 0487, "The Contiguous bit": how many entries, and that they differ in nothing but the access flag and dirty state.
"""

from __future__ import annotations

import pytest

from gdbtools.analysis.contiguity import Breach, Contiguity, contiguity
from gdbtools.arch.aarch64.translation.regimes import regime_for
from gdbtools.arch.model import Read
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.arch.aarch64.truth.machine import AF, S1_ROOT, Memory, guest
from tests.tables import Tables, reader

PA = 0x8000_0000
# Contiguous [52], DBM [51], UXN [54], AP[2] [7], AP[1] [6], AF [10], GP [50], nG [11].
CONTIGUOUS = 1 << 52
DBM, UXN, AP_READ_ONLY, AP_EL0 = 1 << 51, 1 << 54, 1 << 7, 1 << 6


def group(t: Tables, count: int, level: int = 3, first: int = 0, pa: int = PA, **fields: int) -> list[int]:
    """Map a row of contiguous leaves; give where their descriptors are."""
    size = next(each.size_bytes for each in t.levels if each.number == level)
    return [
        t.map(first + n * size, pa + n * size, level, Contiguous=1, **{"SH": 3, "AttrIndx": 4, **fields})
        for n in range(count)
    ]


def asked(t: Tables, va: int = 0, read: Read | None = None) -> Contiguity | None:
    return contiguity(walk(regime_for(reader(t.registers()), va), va, t.read), read or t.read)


@pytest.mark.parametrize(
    ("granule", "level", "entries"),
    [(12, 1, 16), (12, 2, 16), (12, 3, 16), (14, 2, 32), (14, 3, 128), (16, 2, 32), (16, 3, 32)],
)
def test_a_uniform_run_is_whole_from_whichever_member_it_is_asked(granule: int, level: int, entries: int) -> None:
    t = Tables(granule_bits=granule)
    size = next(each.size_bytes for each in t.levels if each.number == level)
    group(t, 2 * entries, level, pa=entries * size * 2)
    for number, first in ((0, 0), (entries - 1, 0), (entries, entries), (2 * entries - 1, entries)):
        assert asked(t, number * size + 5) == Contiguity(first * size, entries * size)


def test_a_leaf_without_the_bit_belongs_to_no_run() -> None:
    t = Tables()
    t.map(0, PA)
    assert asked(t) is None
    assert asked(t, 0x1000) is None, "nor does what is not mapped"


def test_a_member_without_the_bit_breaks_the_run_and_is_named() -> None:
    t = Tables()
    at = group(t, 16)
    t.memory[at[7]] &= ~CONTIGUOUS
    assert asked(t) == Contiguity(0, 0x1_0000, Breach.NOT_CONTIGUOUS, at[7])
    assert asked(t, 0x7000) is None, "the member itself says that it is none"


def test_a_member_that_is_not_there_breaks_the_run() -> None:
    t = Tables()
    at = group(t, 16)
    t.memory[at[15]] = 0
    assert asked(t) == Contiguity(0, 0x1_0000, Breach.NOT_CONTIGUOUS, at[15])


def test_a_member_that_leads_elsewhere_breaks_the_run() -> None:
    t = Tables()
    at = group(t, 16)
    t.memory[at[3]] ^= 1 << 20
    assert asked(t) == Contiguity(0, 0x1_0000, Breach.OUTPUT, at[3])
    # Asked from the one that is wrong, it is all the others that lead elsewhere.
    assert asked(t, 0x3000) == Contiguity(0, 0x1_0000, Breach.OUTPUT, at[0])


def test_an_output_that_is_not_aligned_to_the_run_is_misaligned_and_named_by_the_one_asked() -> None:
    t = Tables()
    at = group(t, 16, pa=PA + 0x1000)
    assert asked(t, 0x2000) == Contiguity(0, 0x1_0000, Breach.MISALIGNED, at[2])


@pytest.mark.parametrize("bit", [UXN, AP_READ_ONLY, AP_EL0, 1 << 53, 1 << 50, 1 << 11, 1 << 2, 1 << 8])
def test_a_member_with_other_attributes_breaks_the_run(bit: int) -> None:
    t = Tables()
    at = group(t, 16)
    t.memory[at[9]] ^= bit
    assert asked(t) == Contiguity(0, 0x1_0000, Breach.ATTRIBUTES, at[9])


def test_members_may_differ_in_the_access_flag() -> None:
    t = Tables()
    at = group(t, 16)
    t.memory[at[9]] &= ~AF
    assert asked(t) == Contiguity(0, 0x1_0000)
    assert asked(t, 0x9000) == Contiguity(0, 0x1_0000)


def test_members_may_differ_in_dirty_state() -> None:
    t = Tables()
    at = group(t, 16, DBM=1, AP=0b10)
    t.memory[at[9]] &= ~AP_READ_ONLY
    assert asked(t) == Contiguity(0, 0x1_0000)
    assert asked(t, 0x9000) == Contiguity(0, 0x1_0000)


@pytest.mark.parametrize("bit", [UXN, AP_EL0, 1 << 53])
def test_members_that_keep_dirty_state_have_to_agree_in_all_else(bit: int) -> None:
    """DBM=1 makes AP[2] the dirty state; EL0's access and execution are permissions as ever."""
    t = Tables()
    at = group(t, 16, DBM=1, AP=0b10)
    t.memory[at[9]] ^= bit
    assert asked(t) == Contiguity(0, 0x1_0000, Breach.ATTRIBUTES, at[9])


def test_software_bits_may_differ() -> None:
    t = Tables()
    at = group(t, 16)
    t.memory[at[9]] |= 0b1111 << 55
    assert asked(t) == Contiguity(0, 0x1_0000)


def test_a_table_that_cannot_be_read_any_more_is_said_to_be_so() -> None:
    t = Tables()
    at = group(t, 16)

    def gone(pa: int, size_bytes: int) -> bytes:
        raise Unreadable(pa, size_bytes, "gone")

    assert asked(t, 0x5000, gone) == Contiguity(0, 0x1_0000, Breach.UNREADABLE, at[0])


def test_a_run_of_stage_1_under_stage_2_is_checked_where_stage_2_keeps_the_table() -> None:
    memory = Memory()
    for page in range(16):
        memory.stage1(CONTIGUOUS, va=page << 12, output=0x6540_0000 + (page << 12))
    for number, table in enumerate(memory.tables[S1_ROOT]):
        memory.stage2(0b1111 << 2 | 1 << 6, table, 0x7000_0000 + number * 0x1000)
        for at in range(table, table + 0x1000, 8):
            if at in memory.words:
                memory.words[at - table + 0x7000_0000 + number * 0x1000] = memory.words.pop(at)
    memory.stage2(0b1111 << 2 | 3 << 6, 0x6540_0000, 0x7654_3000)
    regime = regime_for(reader(guest()), 0, "el1")
    found = walk(regime, 0, memory.read)
    assert contiguity(found, memory.read) == Contiguity(0, 0x1_0000)
    leaf = found.leaf
    assert leaf is not None
    memory.words[leaf.pa + 8] &= ~CONTIGUOUS
    assert contiguity(walk(regime, 0, memory.read), memory.read) == Contiguity(
        0, 0x1_0000, Breach.NOT_CONTIGUOUS, leaf.pa + 8
    )
