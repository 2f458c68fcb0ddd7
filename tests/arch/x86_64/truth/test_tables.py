"""Where each entry has its fields, and how an address is cut: the manual's figures, typed from there."""

from __future__ import annotations

import pytest

from gdbtools.arch.x86_64.tables.descriptors import ABSENT, PointerEntry, is_pointer, page_entry, table_entry
from gdbtools.arch.x86_64.tables.geometry import LEVELS_4, LEVELS_5, MODE_32, PAE
from tests.arch.x86_64.machine import positions

# SDM volume 3, "Formats of CR3 and Paging-Structure Entries with ...": what is in all of them, and what each adds.
COMMON = {"AVL": "11:9", "A": "5", "PCD": "4", "PWT": "3", "US": "2", "RW": "1", "P": "0"}
NX, SMALL, LARGE = {"NX": "63"}, {"PAT": "7"}, {"PAT": "12", "PS": "7"}
MAPS = {"G": "8", "D": "6"}
KEY = {"KEY": "62:59", "SOFTWARE": "58:52"}
PAGES: dict[tuple[str, int], dict[str, str]] = {
    (MODE_32.name, 12): {**COMMON, **MAPS, **SMALL, "OutputAddress": "31:12"},
    (MODE_32.name, 22): {**COMMON, **MAPS, **LARGE, "OutputAddress": "20:13,31:22", "MISALIGNED": "21"},
    (PAE.name, 12): {**COMMON, **MAPS, **NX, **SMALL, "OutputAddress": "51:12"},
    (PAE.name, 21): {**COMMON, **MAPS, **NX, **LARGE, "OutputAddress": "51:21", "MISALIGNED": "20:13"},
    (LEVELS_4.name, 12): {**COMMON, **MAPS, **NX, **KEY, **SMALL, "OutputAddress": "51:12"},
    (LEVELS_4.name, 21): {**COMMON, **MAPS, **NX, **KEY, **LARGE, "OutputAddress": "51:21", "MISALIGNED": "20:13"},
    (LEVELS_4.name, 30): {**COMMON, **MAPS, **NX, **KEY, **LARGE, "OutputAddress": "51:30", "MISALIGNED": "29:13"},
}
POINTS = {"PS": "7", "IGNORED": "8,6"}
TABLES: dict[str, dict[str, str]] = {
    MODE_32.name: {**COMMON, **POINTS, "NextTable": "31:12"},
    PAE.name: {**COMMON, **NX, **POINTS, "NextTable": "51:12"},
    LEVELS_4.name: {**COMMON, **NX, **POINTS, "NextTable": "51:12", "SOFTWARE": "62:52"},
    LEVELS_5.name: {**COMMON, **NX, **POINTS, "NextTable": "51:12", "SOFTWARE": "62:52"},
}
MODES = {mode.name: mode for mode in (MODE_32, PAE, LEVELS_4, LEVELS_5)}


@pytest.mark.parametrize(("mode", "low"), PAGES)
def test_an_entry_that_maps_a_page_has_its_fields_where_the_figure_has_them(mode: str, low: int) -> None:
    layout = page_entry(MODES[mode], low)
    assert positions(layout) == PAGES[mode, low]
    assert layout.width == (32 if mode == MODE_32.name else 64)
    assert layout.field("OutputAddress").of(layout((1 << layout.width) - 1)) % (1 << low) == 0


@pytest.mark.parametrize("mode", TABLES)
def test_an_entry_that_leads_to_a_table_has_its_fields_where_the_figure_has_them(mode: str) -> None:
    layout = table_entry(MODES[mode])
    assert positions(layout) == TABLES[mode]
    assert layout.width == (32 if mode == MODE_32.name else 64)
    assert layout.field("NextTable").of(layout(1 << 12)) == 1 << 12


def test_what_is_not_present_is_softwares_and_paes_first_level_has_no_rights() -> None:
    assert positions(ABSENT[4]) == {"SOFTWARE": "31:1", "P": "0"}
    assert positions(ABSENT[8]) == {"SOFTWARE": "63:1", "P": "0"}
    assert (ABSENT[4].width, ABSENT[8].width) == (32, 64)
    assert positions(PointerEntry) == {"NextTable": "51:12", "AVL": "11:9", "A": "5", "PCD": "4", "PWT": "3", "P": "0"}
    assert PointerEntry.field("NextTable").of(PointerEntry(1 << 12)) == 1 << 12
    assert {
        (mode, level.number) for mode in MODES for level in MODES[mode].levels if is_pointer(MODES[mode], level.number)
    } == {(PAE.name, 3)}


# SDM volume 3, "Paging Modes and Control Bits": which bits of an address each level takes, and the bytes of an entry.
CUTS: dict[str, tuple[int, list[tuple[int, int, int]]]] = {
    MODE_32.name: (4, [(2, 31, 22), (1, 21, 12)]),
    PAE.name: (8, [(3, 31, 30), (2, 29, 21), (1, 20, 12)]),
    LEVELS_4.name: (8, [(4, 47, 39), (3, 38, 30), (2, 29, 21), (1, 20, 12)]),
    LEVELS_5.name: (8, [(5, 56, 48), (4, 47, 39), (3, 38, 30), (2, 29, 21), (1, 20, 12)]),
}


@pytest.mark.parametrize("name", CUTS)
def test_each_mode_cuts_an_address_as_the_manual_has_it(name: str) -> None:
    mode = MODES[name]
    assert (mode.entry_bytes, [(each.number, each.high, each.low) for each in mode.levels]) == CUTS[name]
    assert mode.is_long == (name in (LEVELS_4.name, LEVELS_5.name))
    assert mode.input_bits == CUTS[name][1][0][1] + 1


# What 0 and 1 of a bit mean that says more than no and yes.
MEANINGS = {
    "A": ("not accessed", "accessed"), "D": ("not written", "written"), "US": ("supervisor", "user"),
    "RW": ("read-only", "writable"),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANINGS)
def test_both_values_of_a_bit_have_their_meaning(name: str) -> None:
    field = page_entry(LEVELS_4, 12).field(name)
    assert (field.meaning(0), field.meaning(1)) == MEANINGS[name]
