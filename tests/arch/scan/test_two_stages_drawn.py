"""Two stages of any formats: walk, scan and mappings against the composition of what was mapped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given

from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.model import Fault, Hole, Mapped, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from tests.arch.scan.claims import check_order_and_maximality, leaves_of, rights_of
from tests.arch.scan.drawn import PROPERTY, SMALL_PROPERTY
from tests.arch.scan.layouts import Leaf
from tests.arch.scan.stages import Stages, stage2_rights, two_stages
from tests.arch.tables_read import tables_read


@PROPERTY
@given(two_stages())
def test_walk_goes_through_both_stages(stages: Stages) -> None:
    regime = stages.regime()
    for va in stages.interesting()[:80]:
        assert walk(regime, va, stages.memory.read).outcome == stages.expected(va), hex(va)


def found_at(stages: Stages) -> Iterator[tuple[int, Leaf, Mapped | Fault | None, Run | Hole]]:
    """Yield (address, stage 1's leaf, what is expected, what the mappings have there) at every boundary."""
    found = list(mappings_of(stages.regime(), stages.memory.read))
    for va in stages.interesting():
        leaf = stages.first.holding(va)
        assert leaf is not None
        here = [each for each in found if each.first <= va < each.first + each.size_bytes]
        assert len(here) == 1, (hex(va), here)
        yield va, leaf, stages.expected(va), here[0]


@PROPERTY
@given(two_stages())
def test_two_stages_lead_where_the_composition_leads(stages: Stages) -> None:
    for va, leaf, expected, run in found_at(stages):
        if isinstance(run, Hole) or (isinstance(expected, Fault) and expected.s1ptw):
            continue
        ipa = leaf.output + va - leaf.first
        below = stages.second.holding(ipa)
        # A run that repeats has one leaf at one place: it says nothing of those before and after it.
        assert run.ipa is not None
        assert run.ipa + run.offset_of(va) == ipa or not run.stride_bytes
        if below is None:
            assert run.output is None
            continue
        assert run.output is not None
        assert hex(run.output + run.offset_of(va)) == hex(below.output + ipa - below.first)
        if run.stride_bytes:
            assert run.leaf_bytes == min(leaf.size, below.size)


@PROPERTY
@given(two_stages())
def test_two_stages_grant_what_both_do(stages: Stages) -> None:
    for va, leaf, expected, run in found_at(stages):
        if isinstance(expected, Mapped):
            assert isinstance(run, Run)
            assert run.fault is None
            below = stages.second.holding(leaf.output + va - leaf.first)
            assert below is not None
            own, under = rights_of(leaf.bits, leaf.above), stage2_rights(below.bits)
            both = {
                el: "".join(letter if has else "-" for letter, has in zip(own[el], under[el], strict=True))
                for el in (0, 1)
            }
            assert {el: str(each) for el, each in run.attributes.rights.items()} == both


@pytest.mark.slow
@PROPERTY
@given(two_stages())
def test_two_stages_fault_as_the_walk_does(stages: Stages) -> None:
    for va, _, expected, run in found_at(stages):
        if isinstance(expected, Fault) and not expected.s1ptw:
            assert isinstance(run, Run), hex(va)
            assert run.fault == expected, hex(va)


@pytest.mark.slow
@PROPERTY
@given(two_stages())
def test_a_stage_1_table_that_stage_2_refuses_is_a_hole_with_the_refusal(stages: Stages) -> None:
    for va, _, expected, run in found_at(stages):
        fetched = not (isinstance(expected, Fault) and expected.s1ptw)
        assert isinstance(run, Run) == fetched, hex(va)
        if isinstance(run, Hole):
            assert run.refusal is not None
            assert run.refusal.fault == expected, hex(va)


@pytest.mark.slow
@PROPERTY
@given(two_stages())
def test_two_stages_map_what_stage_1_maps_and_no_more_in_order_and_whole(stages: Stages) -> None:
    found = list(mappings_of(stages.regime(), stages.memory.read))
    check_order_and_maximality(found)
    refused = {
        leaf.first
        for leaf in stages.first.in_order()
        if any(stages.refuses_fetch(at) for at in stages.first.paths[leaf.first])
    }
    visible = sum(leaf.size for leaf in stages.first.in_order() if leaf.first not in refused)
    assert sum(each.size_bytes for each in found if isinstance(each, Run)) == visible
    assert bool(refused) <= any(isinstance(each, Hole) for each in found)


@SMALL_PROPERTY
@given(two_stages())
def test_stage_2_by_itself_is_scanned_like_any_regime(stages: Stages) -> None:
    regime = stages.regime().below
    assert regime is not None
    found = list(scan(regime, stages.memory.read))
    check_order_and_maximality(found)
    assert [(first, output, said[:3]) for first, output, said in leaves_of(found)] == [
        (leaf.first, leaf.output, (leaf.size, leaf.level, stages.fault_of(leaf.first)))
        for leaf in stages.second.in_order()
    ]
    assert set(tables_read(regime, stages.memory.read)) == stages.second.table_addresses
