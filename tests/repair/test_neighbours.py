"""Neighbours: the nearest leaves of the same table whose only fault is a clear access flag, and nothing else."""

from __future__ import annotations

import pytest

from gdbtools.analysis.faults.diagnosis import diagnose
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.walk import walk
from gdbtools.errors import Refused
from gdbtools.repair.neighbours import TableChange, plan_neighbours
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
PAGE = 1 << 12
AF = 1 << 10
HERE = 100
ESR = 0x9600_000B


def cleared(*indexes: int, **fields: int) -> tuple[Tables, dict[int, int]]:
    """Tables with leaves whose flag is clear at some indexes of a level 3 table: and where each of them is."""
    tables = Tables()
    return tables, {index: tables.map(index * PAGE, 0x4567_8000 + index * PAGE, AF=0, **fields) for index in indexes}


def planned(tables: Tables, most: int) -> TableChange | None:
    register = reader(tables.registers(ESR_EL1=ESR, FAR_EL1=HERE * PAGE))
    found = diagnose(ARM, register, tables.read).walk
    assert found is not None
    assert found.leaf is not None
    return plan_neighbours(found.regime, found.leaf, ARM, tables, most)


def changed(tables: Tables, most: int) -> set[int]:
    """Apply the plan; gives the addresses of the descriptors that are now otherwise."""
    before = dict(tables.memory)
    plan = planned(tables, most)
    assert plan is not None
    plan.apply(tables)
    after = {pa: word for pa, word in tables.memory.items() if word != before.get(pa, 0)}
    assert all(word ^ before[pa] == AF for pa, word in after.items())
    assert plan.count == len(after)
    return set(after)


def test_the_nearest_come_first_and_no_more_than_asked() -> None:
    tables, at = cleared(*range(HERE - 8, HERE + 9))
    assert changed(tables, 4) == {at[index] for index in (HERE - 2, HERE - 1, HERE + 1, HERE + 2)}


def test_the_leaf_itself_is_left_to_its_own_repair() -> None:
    tables, at = cleared(HERE, HERE + 1)
    assert changed(tables, 16) == {at[HERE + 1]}


def test_the_table_ends_where_it_ends() -> None:
    tables = Tables()
    at = [tables.map((HERE + index) * PAGE, 0x4567_8000, AF=0) for index in range(512)]
    changes = changed(tables, 512)
    assert changes == {pa for pa in at if pa >> 12 == at[0] >> 12} - {at[0]}


def test_what_would_not_be_an_access_flag_fault_is_left_alone() -> None:
    tables, at = cleared(HERE, HERE + 1, HERE + 2, HERE + 3, HERE + 4)
    tables.memory[at[HERE + 1]] &= ~1
    tables.memory[at[HERE + 2]] &= ~2
    tables.memory[at[HERE + 3]] |= AF
    assert changed(tables, 16) == {at[HERE + 4]}


def test_an_output_beyond_the_physical_size_is_left_alone() -> None:
    tables, at = cleared(HERE, HERE + 1, HERE + 2)
    tables.memory[at[HERE + 1]] |= 1 << 47
    registers = {**tables.registers(ESR_EL1=ESR, FAR_EL1=HERE * PAGE)}
    registers["TCR_EL1"] &= ~(7 << 32)
    found = walk(ARM.regime_for(reader(registers), HERE * PAGE), HERE * PAGE, tables.read)
    assert found.leaf is not None
    plan = plan_neighbours(found.regime, found.leaf, ARM, tables, 8)
    assert plan is not None
    assert plan.count == 1


def test_without_such_neighbours_there_is_no_plan() -> None:
    tables, _ = cleared(HERE)
    tables.map((HERE + 1) * PAGE, 0x4567_8000)
    assert planned(tables, 16) is None


def test_undoing_restores_and_a_change_in_between_is_refused() -> None:
    tables, at = cleared(HERE, HERE + 1)
    before = dict(tables.memory)
    plan = planned(tables, 16)
    assert plan is not None
    plan.apply(tables)
    for change in plan.changes:
        change.inverse.apply(tables)
    assert {pa: word for pa, word in tables.memory.items() if word} == before
    tables.memory[at[HERE + 1]] ^= 1 << 58
    with pytest.raises(Refused, match="changed since"):
        plan.apply(tables)
