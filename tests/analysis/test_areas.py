"""Areas: neighbours with one purpose are one, wherever they lead and however they are used."""

from __future__ import annotations

import pytest

from gdbtools.analysis.areas import Area, areas
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Run
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
PAGE = 1 << 12


def of(tables: Tables) -> list[Area]:
    found = mappings_of(ARM.regime_for(reader(tables.registers()), 0), tables.read)
    return list(areas(each for each in found if isinstance(each, Run)))


def test_pages_scattered_in_memory_are_one_area_and_its_places_are_counted() -> None:
    tables = Tables()
    for number, place in enumerate((0, 1, 7, 8, 20)):
        tables.map(number * PAGE, 0x8000_0000 + place * PAGE)
    [area] = of(tables)
    assert (area.first, area.size_bytes, area.places, area.leaves) == (0, 5 * PAGE, 3, {PAGE: 5})
    assert not area.repeats


def test_leaf_size_and_contiguity_and_use_do_not_part_an_area_and_are_counted() -> None:
    tables = Tables()
    tables.map(0, 0x8000_0000, 2)
    tables.map(1 << 21, 0x8020_0000, AF=0)
    tables.map((1 << 21) + PAGE, 0x8020_1000, DBM=1)
    tables.map((1 << 21) + 2 * PAGE, 0x8020_2000, Contiguous=1)
    [area] = of(tables)
    assert area.leaves == {1 << 21: 1, PAGE: 3}
    assert (area.unaccessed_bytes, area.dirty_bytes, area.places) == (PAGE, PAGE, 1)


@pytest.mark.parametrize("other", [{"AP": 0b10}, {"AttrIndx": 1}, {"SH": 3}, {"nG": 1}, {"UXN": 1}])
def test_another_purpose_is_another_area(other: dict[str, int]) -> None:
    tables = Tables()
    tables.map(0, 0x8000_0000, AttrIndx=4)
    tables.map(PAGE, 0x8000_1000, **{"AttrIndx": 4, **other})
    assert [area.size_bytes for area in of(tables)] == [PAGE, PAGE]


def test_a_gap_ends_an_area() -> None:
    tables = Tables()
    for number in (0, 2):
        tables.map(number * PAGE, 0x8000_0000 + number * PAGE)
    assert [area.last for area in of(tables)] == [PAGE - 1, 3 * PAGE - 1]


def test_what_all_leads_to_one_page_says_so() -> None:
    tables = Tables()
    for number in range(4):
        tables.map(number * PAGE, 0x8000_0000)
    [area] = of(tables)
    assert (area.repeats, area.places) == (True, 1)
