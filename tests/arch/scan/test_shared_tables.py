"""Tables that are met again: shared by many entries, under other limits, or by themselves."""

from __future__ import annotations

from itertools import islice

import pytest

from gdbtools.arch.model import Run
from gdbtools.arch.scan import scan
from tests.arch.scan.layouts import AF, PAGE, TABLE, Format, Memory
from tests.arch.scan.registers import ARM, stage1_registers
from tests.arch.tables_read import tables_read
from tests.tables import reader


def test_a_table_that_thousands_of_entries_share_is_read_once_and_is_one_run() -> None:
    """As KASAN maps its shadow: one page, by one level 3 table, by one level 2 table, by one level 1 table."""
    memory = Memory()
    root, one, two, three, page = (0x4000_0000 + 0x1000 * n for n in range(5))
    memory.add(root, 4 * 4096)
    for table, value in ((one, two | TABLE), (two, three | TABLE), (three, page | PAGE | AF)):
        for index in range(512):
            memory.put(table + index * 8, value, "little")
    for index in range(512):
        memory.put(root + index * 8, one | TABLE, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(), root)), 0, "el1")
    [run] = list(scan(regime, memory.read))
    assert isinstance(run, Run)
    assert (run.first, run.size_bytes, run.output, run.leaf_bytes, run.stride_bytes) == (0, 1 << 48, page, 4096, 0)
    assert run.offset_of((1 << 48) - 1) == 4095
    assert dict(memory.reads) == {(table, 4096): 1 for table in (root, one, two, three)}
    assert sorted(filter(None, tables_read(regime, memory.read))) == [root, one, two, three]


def test_a_shared_table_of_many_runs_is_given_each_time_at_its_own_address() -> None:
    memory = Memory()
    root, child = 0x4000_0000, 0x4000_1000
    memory.add(root, 2 * 4096)
    for index in range(512):
        memory.put(root + index * 8, child | TABLE, "little")
        # No two neighbours follow one another: 512 runs, more than the scan keeps.
        memory.put(child + index * 8, 0x8000_0000 - index * 0x1000 | PAGE | AF, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(input_bits=30), root)), 0, "el1")
    found = list(scan(regime, memory.read))
    assert [each.first for each in found] == list(range(0, 1 << 30, 4096))
    assert all(isinstance(run, Run) and run.output == 0x8000_0000 - (run.first & 0x1F_F000) for run in found)
    assert set(memory.reads.values()) == {1}


def test_a_shared_table_under_other_limits_grants_something_else() -> None:
    memory = Memory()
    root, child = 0x4000_0000, 0x4000_1000
    memory.add(root, 2 * 4096)
    for index, limits in enumerate((0, 1 << 59, 1 << 62, 0)):
        memory.put(root + index * 8, child | TABLE | limits, "little")
    memory.put(child, 0x8000_0000 | PAGE | AF, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(input_bits=30), root)), 0, "el1")
    found = list(scan(regime, memory.read))
    rights = [str(run.attributes.rights[1]) for run in found if isinstance(run, Run)]
    assert rights == ["rwx", "rw-", "r-x", "rwx"]


def test_limits_that_are_disabled_make_no_difference_to_a_shared_table() -> None:
    """TCR_EL1.HPD0."""
    memory = Memory()
    root, child = 0x4000_0000, 0x4000_1000
    memory.add(root, 2 * 4096)
    for index, limits in enumerate((0, 1 << 59, 1 << 62, 0)):
        memory.put(root + index * 8, child | TABLE | limits, "little")
    memory.put(child, 0x8000_0000 | PAGE | AF, "little")
    registers = stage1_registers(Format(input_bits=30), root)
    registers["TCR_EL1"] |= 1 << 41
    found = list(scan(ARM.regime_for(reader(registers), 0, "el1"), memory.read))
    assert [str(run.attributes.rights[1]) for run in found if isinstance(run, Run)] == ["rwx"] * 4
    assert set(memory.reads.values()) == {1}


@pytest.mark.parametrize("layout", [Format(), Format(14, "", 47), Format(16), Format(12, "lpa2", 52, 52)])
def test_a_table_whose_every_entry_leads_to_itself_is_one_run_for_one_reading_a_level(layout: Format) -> None:
    """At the last level the entries are pages, each of them the table itself."""
    memory, root = Memory(), 0x4000_0000
    memory.add(root, 1 << layout.granule)
    for index in range(1 << layout.granule - 3):
        memory.put(root + index * 8, layout.placed(root) | TABLE | AF, layout.order)
    regime = ARM.regime_for(reader(stage1_registers(layout, root)), 0, "el1")
    found = list(islice(scan(regime, memory.read), 3))
    assert [(run.first, run.size_bytes) for run in found] == [(0, 1 << layout.input_bits)]
    assert all(isinstance(run, Run) and (run.output, run.stride_bytes) == (root, 0) for run in found)
    assert sum(memory.reads.values()) == len(layout.levels)
    assert list(islice(tables_read(regime, memory.read), 10)) == [root] * len(layout.levels)


def test_a_table_that_leads_to_itself_with_no_two_leaves_alike_ends_by_being_asked_no_further() -> None:
    """2^36 runs: each is given when it is asked for, and the table is kept once for each level."""
    memory, root = Memory(), 0x4000_0000
    memory.add(root, 4096)
    for index in range(512):
        # UXN and PXN are nothing in a table descriptor: what is below differs from leaf to leaf only.
        memory.put(root + index * 8, root | TABLE | AF | (index & 1) << 54, "little")
    regime = ARM.regime_for(reader(stage1_registers(Format(), root)), 0, "el1")
    found = list(islice(scan(regime, memory.read), 3000))
    assert [run.first for run in found] == list(range(0, 3000 * 4096, 4096))
    assert [str(run.attributes.rights[0]) for run in found[:2] if isinstance(run, Run)] == ["--x", "---"]
    assert sum(memory.reads.values()) == 4
