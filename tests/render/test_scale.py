"""Where a scale is broken: what is together stays so, and nothing is drawn too small beside a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gdbtools.render.drawing import Band
from gdbtools.render.scale import STRETCHES, stretches

PAGE = 1 << 12


def bands(*places: tuple[int, int]) -> list[Band]:
    return [Band(first, size, (), False, "") for first, size in places]


def cut(*places: tuple[int, int]) -> list[tuple[int, int]]:
    return [(each.first, each.size_bytes) for each in stretches(bands(*places))]


def test_neighbours_are_one_stretch_however_different_in_size() -> None:
    assert cut((0, PAGE), (PAGE, 1 << 30)) == [(0, PAGE + (1 << 30))]


def test_small_gaps_do_not_break_the_scale() -> None:
    assert len(cut(*((number * 5 * PAGE, 4 * PAGE) for number in range(100)))) == 1


def test_a_hole_of_the_address_space_does() -> None:
    top = 0xFFFF << 32
    assert cut((0, PAGE), (top, 2 * PAGE)) == [(0, PAGE), (top, 2 * PAGE)]


def test_a_page_far_from_a_large_block_has_its_own_scale() -> None:
    assert cut((0, PAGE), (1 << 30, 1 << 31)) == [(0, PAGE), (1 << 30, 1 << 31)]


def test_many_gaps_that_leave_little_are_broken_although_each_is_small() -> None:
    assert len(cut(*((number << 30, PAGE) for number in range(8)))) == 8


def test_nothing_has_no_stretches() -> None:
    assert stretches([]) == []


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(1, 1 << 30)), min_size=1, max_size=80))
def test_every_band_is_in_one_stretch_in_order_and_there_are_not_too_many(pairs: list[tuple[int, int]]) -> None:
    places, at = [], 0
    for gap, size in pairs:
        places.append((at + gap, size))
        at += gap + size
    found = stretches(bands(*places))
    assert [band for each in found for band in each.bands] == bands(*places)
    assert len(found) <= STRETCHES
    assert len(found) == STRETCHES or not any(each.is_sparse for each in found)
