"""The walk finds each leaf that somebody else mapped and nothing beside; the scan says the same of the whole space."""

from __future__ import annotations

from itertools import islice

from hypothesis import given

from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.model import Fault, FaultKind, Mapped, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from tests.arch.scan.claims import check_order_and_maximality, expected_claim, leaves_of
from tests.arch.scan.drawn import PROPERTY, SMALL_PROPERTY, built, neighbours
from tests.arch.scan.layouts import Builder
from tests.arch.scan.registers import stage1
from tests.arch.tables_read import tables_read


@PROPERTY
@given(built())
def test_walk_finds_every_mapped_leaf_and_nothing_beside_it(builder: Builder) -> None:
    regime = stage1(builder)
    assert (regime.levels[0].number, regime.root) == (builder.layout.levels[0][0], builder.root)
    for leaf in builder.in_order()[:60]:
        fault = expected_claim(builder.layout, leaf)[2]
        for offset in (0, leaf.size // 2 + 5, leaf.size - 1):
            found = walk(regime, leaf.first + offset, builder.memory.read)
            assert found.destination == Mapped(leaf.output + offset, leaf.size)
            assert found.outcome == (fault or found.destination)
            assert found.steps[-1].pa == leaf.at
    for address in islice(neighbours(builder), 40):
        found = walk(regime, address, builder.memory.read)
        assert found.outcome == Fault(FaultKind.TRANSLATION, 1, builder.deepest(address))
        assert found.destination is None


@PROPERTY
@given(built())
def test_scan_gives_exactly_what_is_mapped_as_maximal_runs_in_order(builder: Builder) -> None:
    regime = stage1(builder)
    found = list(scan(regime, builder.memory.read))
    assert found == list(mappings_of(regime, builder.memory.read))
    assert leaves_of(found) == [
        (leaf.first, leaf.output, expected_claim(builder.layout, leaf)) for leaf in builder.in_order()
    ]
    check_order_and_maximality(found)
    at = {leaf.first: leaf.at for leaf in builder.in_order()}
    assert all(isinstance(run, Run) and run.descriptor_pa == at[run.first] for run in found)


@SMALL_PROPERTY
@given(built())
def test_every_table_is_read_once_and_given_once(builder: Builder) -> None:
    regime = stage1(builder)
    list(scan(regime, builder.memory.read))
    assert set(builder.memory.reads.values()) == {1}
    assert {pa for pa, _ in builder.memory.reads} == builder.table_addresses
    given_out = list(tables_read(regime, builder.memory.read))
    assert sorted(pa for pa in given_out if pa is not None) == sorted(builder.table_addresses)
    assert None not in given_out
