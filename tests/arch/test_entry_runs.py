"""A table cut by comparing all of its entries at once is cut as by looking at one after another."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbtools.arch.entry_runs import EntryLayout, entry_runs
from tests.arch.scan.drawn import PROPERTY

Run = tuple[int, int, int]
PAGE, COUNTING = 1 << 12, 0xFFFF_F000


@st.composite
def tables(draw: st.DrawFn) -> tuple[EntryLayout, list[int]]:
    """Stretches that count up, or stay, from values near to where they begin again from zero, and zeros between."""
    entry_bytes = draw(st.sampled_from((4, 8)))
    full = (1 << 8 * entry_bytes) - 1
    stride = draw(st.sampled_from((PAGE, 1 << 20)))
    valid = draw(st.sampled_from((1, 7, full)))
    layout = EntryLayout(entry_bytes, draw(st.sampled_from(("little", "big"))), valid, stride, COUNTING)
    near = (0, stride, full - 3 * stride, (full >> 1) - 3 * stride)
    firsts = st.builds(int.__add__, st.sampled_from(near), st.integers(0, 15))
    stretches = draw(st.lists(st.tuples(st.integers(1, 40), firsts, st.booleans()), min_size=1, max_size=12))
    values = [(first + at * counts * stride) & full for many, first, counts in stretches for at in range(many)]
    return layout, [*values, *[0] * draw(st.sampled_from((0, 0, 500)))]


def packed(values: Sequence[int], layout: EntryLayout) -> bytes:
    return b"".join(value.to_bytes(layout.entry_bytes, layout.order) for value in values)


def one_after_another(values: Sequence[int], layout: EntryLayout) -> list[Run]:
    if len(values) > 1 and values[0] & layout.may_be_valid and len(set(values)) == 1:
        return [(0, len(values), values[0])]
    found: list[Run] = []
    for index, value in enumerate(values):
        if not value & layout.may_be_valid:
            continue
        first, many, start = found[-1] if found else (0, 0, 0)
        if found and index == first + many and value == start + many * layout.stride:
            found[-1] = first, many + 1, start
        else:
            found.append((index, 1, value))
    return found


@PROPERTY
@given(tables())
def test_a_table_is_cut_where_an_entry_does_not_go_on(drawn: tuple[EntryLayout, list[int]]) -> None:
    layout, values = drawn
    runs = entry_runs(packed(values, layout), layout)
    assert list(runs.rows()) == one_after_another(values, layout)
    if runs.kind is not None:
        assert {value & ~COUNTING for value in values} == {runs.kind}


@pytest.mark.parametrize("entry_bytes", [4, 8])
def test_a_run_ends_where_its_entries_would_begin_again_from_zero(entry_bytes: int) -> None:
    """So it is with 4096 sections of 1 MiB, whose places take all bits of an entry."""
    full = (1 << 8 * entry_bytes) - 1
    layout = EntryLayout(entry_bytes, "little", 1, 1 << 20, 0xFFF0_0000)
    values = [(full - 0xFFFFF + at * layout.stride | 1) & full for at in range(4096)]
    runs = entry_runs(packed(values, layout), layout)
    assert [(index, many) for index, many, _ in runs.rows()] == [(0, 1), (1, 4095)]


def test_a_soft_invalid_entry_is_told_from_an_empty_one_before_it() -> None:
    """Of entry 1 nothing is left once its place is taken, as of entry 0, which has nothing at all."""
    layout = EntryLayout(8, "little", (1 << 64) - 1, PAGE, COUNTING)
    values = [0, PAGE, 2 * PAGE, *(0x7FFF_1234_5678_9003 ^ at * 0x1_0003_0001 for at in range(400))]
    assert next(entry_runs(struct.pack("<403Q", *values), layout).rows()) == (1, 2, PAGE)


def test_the_kind_of_a_whole_table_is_seen_where_no_two_pages_are_neighbours() -> None:
    layout = EntryLayout(8, "little", 1, PAGE, COUNTING)
    values = [0x8000_0000 + 2 * at * PAGE | 0x713 for at in range(512)]
    runs = entry_runs(struct.pack("<512Q", *values), layout)
    assert (len(runs.starts), runs.kind) == (512, 0x713)
    values[300] |= 1 << 55
    assert entry_runs(struct.pack("<512Q", *values), layout).kind is None
