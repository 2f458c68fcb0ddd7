"""A bit of one entry is changed: the fault that it predicts is at its place, and nothing else is another."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from gdbtools.arch.model import Fault, FaultKind, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from tests.arch.scan.claims import check_order_and_maximality, expected_claim, leaves_of
from tests.arch.scan.drawn import PROPERTY, SMALL_PROPERTY, built
from tests.arch.scan.layouts import AF, Builder
from tests.arch.scan.registers import stage1


@PROPERTY
@given(built(), st.data())
def test_one_bit_of_one_leaf_gives_the_fault_that_it_predicts(builder: Builder, data: st.DataObject) -> None:
    layout, order = builder.layout, builder.layout.order
    leaf = data.draw(st.sampled_from(builder.in_order()))
    assume(not leaf.output >> layout.output_bits)
    too_large = [bit for bit in range(layout.output_bits, 52 if layout.wide else 48) if 1 << bit >= leaf.size]
    what = data.draw(st.sampled_from(["valid", "type", "af", *(["output"] if too_large else [])]))
    raw = builder.memory.word(leaf.at, order)
    if what == "valid":
        raw, fault = raw & ~1, Fault(FaultKind.TRANSLATION, 1, leaf.level)
    elif what == "type":
        assume(leaf.level == 3)
        raw, fault = raw & ~2, Fault(FaultKind.TRANSLATION, 1, leaf.level)
    elif what == "af":
        raw, fault = raw & ~AF, Fault(FaultKind.ACCESS_FLAG, 1, leaf.level)
    else:
        bit = data.draw(st.sampled_from(too_large))
        raw, fault = raw | layout.placed(1 << bit), Fault(FaultKind.ADDRESS_SIZE, 1, leaf.level)
        builder.leaves[leaf.first] = replace(leaf, output=leaf.output | 1 << bit)
    builder.memory.put(leaf.at, raw, order)
    regime = stage1(builder)
    assert walk(regime, leaf.first, builder.memory.read).outcome == fault
    found = list(scan(regime, builder.memory.read))
    here = [run for run in found if isinstance(run, Run) and run.first <= leaf.first <= run.last]
    if fault.kind is FaultKind.TRANSLATION:
        assert not here
        del builder.leaves[leaf.first]
    else:
        assert [run.fault for run in here] == [fault]
        if what == "af":
            builder.leaves[leaf.first] = replace(leaf, bits=leaf.bits & ~AF)
    # And nothing else has changed.
    assert leaves_of(found) == [(each.first, each.output, expected_claim(layout, each)) for each in builder.in_order()]
    check_order_and_maximality(found)


@SMALL_PROPERTY
@given(built(), st.data())
def test_an_invalid_table_entry_takes_all_below_it_away_and_is_where_the_fault_is(
    builder: Builder, data: st.DataObject
) -> None:
    layout = builder.layout
    entries = [key for key, (kind, _, _) in builder.entries.items() if kind == "table"]
    assume(entries)
    level, index = data.draw(st.sampled_from(sorted(entries)))
    first = layout.base + (index << layout.low_of(level))
    regime = stage1(builder)
    step = next(s for s in walk(regime, first, builder.memory.read).steps if s.level.number == level)
    builder.memory.put(step.pa, builder.memory.word(step.pa, layout.order) & ~1, layout.order)
    below = [leaf for leaf in builder.in_order() if first <= leaf.first < first + layout.size_of(level)]
    assert below
    for leaf in below[:20]:
        outcome = walk(regime, leaf.first, builder.memory.read).outcome
        assert outcome == Fault(FaultKind.TRANSLATION, 1, level)
        del builder.leaves[leaf.first]
    for leaf in below[20:]:
        del builder.leaves[leaf.first]
    assert leaves_of(scan(regime, builder.memory.read)) == [
        (each.first, each.output, expected_claim(layout, each)) for each in builder.in_order()
    ]


@SMALL_PROPERTY
@given(built(), st.data())
def test_a_table_beyond_the_output_size_is_an_address_size_fault_at_its_own_level(
    builder: Builder, data: st.DataObject
) -> None:
    layout = builder.layout
    entries = [key for key, (kind, _, _) in builder.entries.items() if kind == "table"]
    too_large = list(range(layout.output_bits, 52 if layout.wide else 48))
    assume(entries and too_large)
    level, index = data.draw(st.sampled_from(sorted(entries)))
    first = layout.base + (index << layout.low_of(level))
    regime = stage1(builder)
    step = next(s for s in walk(regime, first, builder.memory.read).steps if s.level.number == level)
    raw = builder.memory.word(step.pa, layout.order) | layout.placed(1 << data.draw(st.sampled_from(too_large)))
    builder.memory.put(step.pa, raw, layout.order)
    assert walk(regime, first, builder.memory.read).outcome == Fault(FaultKind.ADDRESS_SIZE, 1, level)
    found = [run for run in scan(regime, builder.memory.read) if first <= run.first < first + layout.size_of(level)]
    assert found == [], "nothing below it is mapped, and nothing is read from there"
