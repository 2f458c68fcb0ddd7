"""A table that cannot be read is a hole as large as what it would have mapped."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gdbtools.arch.model import Hole, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable
from tests.arch.scan.claims import check_order_and_maximality, expected_claim, leaves_of
from tests.arch.scan.drawn import SMALL_PROPERTY, built
from tests.arch.scan.layouts import TABLE, Builder, Format, Memory
from tests.arch.scan.registers import ARM, stage1, stage1_registers
from tests.arch.tables_read import tables_read
from tests.tables import reader


@SMALL_PROPERTY
@given(built(), st.data())
def test_a_table_that_cannot_be_read_is_a_hole_as_large_as_what_it_would_have_mapped(
    builder: Builder, data: st.DataObject
) -> None:
    layout = builder.layout
    entries = sorted(key for key, (kind, _, _) in builder.entries.items() if kind == "table")
    assume(entries)
    level, index = data.draw(st.sampled_from(entries))
    table = builder.entries[level, index][1]
    first, size = layout.base + (index << layout.low_of(level)), layout.size_of(level)
    for page in range(table >> 12, table + (1 << layout.granule) >> 12):
        del builder.memory.pages[page]
    regime = stage1(builder)
    found = list(scan(regime, builder.memory.read))
    holes = [each for each in found if isinstance(each, Hole)]
    assert [(hole.first, hole.size_bytes, hole.pa, hole.refusal) for hole in holes] == [(first, size, table, None)]
    assert leaves_of(each for each in found if isinstance(each, Run)) == [
        (leaf.first, leaf.output, expected_claim(layout, leaf))
        for leaf in builder.in_order()
        if not first <= leaf.first < first + size
    ]
    check_order_and_maximality(found)
    with pytest.raises(Unreadable):
        walk(regime, first, builder.memory.read)
    assert list(tables_read(regime, builder.memory.read)).count(None) == 1


@pytest.mark.parametrize("big", [False, True])
def test_an_unreadable_table_that_is_shared_is_a_hole_at_each_place(big: bool) -> None:
    layout, memory = Format(input_bits=39, big=big), Memory()
    root, missing = 0x4000_0000, 0x7000_0000
    memory.add(root, 4096)
    for index in (0, 5, 511):
        memory.put(root + index * 8, missing | TABLE, layout.order)
    regime = ARM.regime_for(reader(stage1_registers(layout, root)), 0, "el1")
    found = list(scan(regime, memory.read))
    assert [(type(each), each.first, each.size_bytes) for each in found] == [
        (Hole, index << 30, 1 << 30) for index in (0, 5, 511)
    ]
    assert memory.reads[missing, 4096] == 1
    assert list(tables_read(regime, memory.read)).count(None) == 1


def test_a_root_that_cannot_be_read_is_a_hole_as_large_as_the_range() -> None:
    for upper in (False, True):
        layout = Format(input_bits=39, upper=upper)
        regime = ARM.regime_for(reader(stage1_registers(layout, 0x4000_0000)), layout.base, "el1")
        [hole] = scan(regime, Memory().read)
        assert isinstance(hole, Hole)
        assert (hole.first, hole.size_bytes) == (layout.base, 1 << 39)
