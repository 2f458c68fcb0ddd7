"""Rows of heat: as wide as the terminal, no touched page lost in a column, blocks only where they can be written."""

from __future__ import annotations

import re

import pytest

from gdbtools.render.document import Document, Heat, HeatRow
from gdbtools.render.heat import ASCII, BLOCKS, cells, column_length, glyphs
from gdbtools.render.text import render

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def heat(*rows: list[tuple[int, float | None]], unit: int = 1) -> Heat:
    return Heat(
        [HeatRow(f"row {number}", row, f"after {number}") for number, row in enumerate(rows)],
        unit,
        "nothing",
        "everything",
    )


@pytest.mark.parametrize("columns", [8, 13, 40, 200])
@pytest.mark.parametrize("length", [1, 7, 8, 9, 100, 4356, 1 << 20])
def test_the_longest_row_fits_and_takes_more_than_half_of_the_room(length: int, columns: int) -> None:
    block = heat([(4096 * length, 0.5)], unit=4096)
    column = column_length(block, columns)
    drawn = len(list(cells(block.rows[0], column)))
    assert column % 4096 == 0
    assert drawn <= columns
    assert drawn == length or drawn > columns / 2


def test_a_column_is_the_mean_of_what_is_there() -> None:
    row = HeatRow("", [(1, 1.0), (3, 0.0), (2, None), (2, 0.5), (4, None), (1, 1.0)])
    assert list(cells(row, 4)) == [0.25, 0.5, None, 1.0]


def test_a_little_heat_is_never_drawn_as_none() -> None:
    said = render(Document([heat([(9999, 0.0), (1, 0.01), (10000, 0.0), (1000, None), (1000, 1.0)])]))
    picture = said.splitlines()[0].removeprefix("row 0  ").removesuffix("  after 0")
    assert picture.count(BLOCKS.hot[0]) == 1
    assert re.search(f" +{BLOCKS.hot[-1]}+$", picture)
    assert set(picture) == {BLOCKS.cold, BLOCKS.hot[0], " ", BLOCKS.hot[-1]}


def test_rows_align_and_the_legend_says_how_it_is_drawn() -> None:
    lines = render(Document([heat([(2, 1.0), (1, 0.0)], [(1, None), (1, 0.4)])])).splitlines()
    assert lines == [
        "row 0  ██·  after 0",
        "row 1   ▄   after 1",
        "       1 bytes a column: · nothing, ▁ to █ everything",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    said = render(Document([heat([(12345, 0.2)], [(777, 1.0)])]), width=width)
    assert max(map(len, said.splitlines())) <= width


def test_colour_never_changes_the_picture() -> None:
    document = Document([heat([(5, share / 10) for share in range(11)])])
    plain, coloured = render(document), render(document, colour=True)
    assert ESCAPE.sub("", coloured) == plain
    assert len(set(ESCAPE.findall(coloured))) > 4


@pytest.mark.parametrize(
    ("encoding", "drawing"), [("utf-8", BLOCKS), ("ANSI_X3.4-1968", ASCII), ("iso-8859-1", ASCII), ("nonsense", ASCII)]
)
def test_blocks_are_drawn_where_they_can_be_written(encoding: str, drawing: object) -> None:
    assert glyphs(encoding) is drawing
    said = render(Document([heat([(1, 0.0), (1, 1.0)])]), encoding=encoding)
    assert ("row 0  .@" in said) == (drawing is ASCII)


def test_the_two_drawings_have_as_many_steps() -> None:
    assert len(BLOCKS.hot) == len(ASCII.hot)
    assert len(set(ASCII.hot + ASCII.cold + ASCII.nothing)) == len(ASCII.hot) + 2
