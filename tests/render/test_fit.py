"""On a narrow screen a table does without what it can spare, and loses nothing that is not said elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gdbtools.render.document import Document, Facts, Line, Section, Table, plain
from gdbtools.render.fit import column_widths, fitting
from gdbtools.render.text import render

ROWS = [
    ("0x1000", "0x1fff", "4KB", "Device-nGnRnE", "nG"),
    ("0x20000", "0x2ffff", "64KB", "Normal Write-Back RW-allocate", "unaccessed"),
    ("0x40000", "0x4ffff", "64KB", "Device-nGnRnE", ""),
]
MAP = Table(("from", "to", "size", "memory", "state"), ROWS, frozenset((2,)), spare=("to",), coded=("memory",))


def shown(table: Table, width: int) -> list[str]:
    return render(Document([table]), width=width, fit=True).splitlines()


def test_a_table_that_fits_is_left_as_it_is() -> None:
    assert fitting([MAP], 68) == [MAP]
    assert shown(MAP, 68)[2] == "0x20000  0x2ffff  64KB  Normal Write-Back RW-allocate  unaccessed"


def test_what_says_the_same_as_another_goes_first() -> None:
    assert shown(MAP, 64) == [
        "from     size  memory                         state",
        "0x1000    4KB  Device-nGnRnE                  nG",
        "0x20000  64KB  Normal Write-Back RW-allocate  unaccessed",
        "0x40000  64KB  Device-nGnRnE",
    ]


def test_then_few_values_are_said_once_below() -> None:
    assert shown(MAP, 50) == [
        "from     size  memory  state",
        "0x1000    4KB       1  nG",
        "0x20000  64KB       2  unaccessed",
        "0x40000  64KB       1",
        "",
        "memory 1  Device-nGnRnE",
        "memory 2  Normal Write-Back RW-allocate",
    ]


def test_a_value_that_all_rows_have_needs_no_column() -> None:
    one = Table(MAP.headers, [ROWS[1], ROWS[1]], MAP.right, spare=("to",), coded=("memory",))
    row = "0x20000  64KB  unaccessed"
    assert shown(one, 40) == ["from     size  state", row, row, "", "memory  Normal Write-Back RW-allocate"]


def test_no_value_has_no_number() -> None:
    table = Table(MAP.headers, [*ROWS, ("0x9000", "0x9fff", "4KB", "", "")], MAP.right, ("to",), ("memory",))
    (coded, legend) = fitting([table], 40)
    assert isinstance(coded, Table)
    assert isinstance(legend, Facts)
    assert [plain(row[2]) for row in coded.rows] == ["1", "2", "1", ""]
    assert [name for name, _ in legend.rows] == ["memory 1", "memory 2"]


def test_what_is_read_by_programs_is_left_whole() -> None:
    assert render(Document([MAP]), width=40) == render(Document([MAP]), width=200)


def test_tables_inside_sections_fit_too() -> None:
    section = Section("Areas", [Line("All."), MAP])
    assert "memory 2  Normal" in render(Document([section]), width=50, fit=True)


@given(
    st.lists(st.tuples(*[st.text("ab 1", max_size=12)] * 4), min_size=1, max_size=6),
    st.integers(40, 80),
)
def test_every_row_is_still_told(rows: list[tuple[str, str, str, str]], width: int) -> None:
    table = Table(("spare", "kept", "coded", "last"), rows, frozenset((1,)), ("spare",), ("coded",))
    fitted, *legend = fitting([table], width)
    assert isinstance(fitted, Table)
    meaning = {name: text for block in legend if isinstance(block, Facts) for name, text in block.rows}
    for before, after in zip(table.rows, fitted.rows, strict=True):
        cell = dict(zip(fitted.headers, after, strict=True))
        assert (cell["kept"], cell["last"]) == (before[1], before[3])
        number = cell.get("coded", "")
        assert before[2] in (number, meaning.get(f"coded {number}"), meaning.get("coded"))
    assert [fitted.headers[column] for column in fitted.right if fitted.headers[column] == "kept"] == ["kept"]
    if fitted.headers != table.headers or legend:
        assert sum(column_widths(table.headers, table.rows)) > width - 4 * len(table.headers)


def test_where_words_would_not_fit_the_last_cell_stands_below_its_row() -> None:
    table = Table(
        ("from", "size", "state"), [(f"{1 << 60:#x}", "4KB" * 6, "Outer Shareable, unaccessed"), ("0", "", "")]
    )
    assert shown(table, 44) == [
        "from                size",
        "  state",
        "0x1000000000000000  4KB4KB4KB4KB4KB4KB",
        "  Outer Shareable, unaccessed",
        "0",
    ]
    emptied = replace(table, rows=[*table.rows[:1], ("", "", "nG"), ("", "", "")])
    assert shown(emptied, 44)[-3:] == ["", "  nG", ""]


def test_where_not_even_the_others_fit_each_row_is_a_record() -> None:
    wide = Table(("from", "to", "state"), [("0" * 30, "1" * 30, "nG"), ("2" * 30, "3" * 30, "")])
    records = [f"from   {'0' * 30}", f"to     {'1' * 30}", "state  nG", "", f"from  {'2' * 30}", f"to    {'3' * 30}"]
    assert shown(wide, 50) == records


@given(
    st.lists(st.tuples(*[st.text("ab 1", max_size=24)] * 4), min_size=1, max_size=6),
    st.sets(st.integers(0, 3)),
    st.integers(40, 80),
    st.booleans(),
)
def test_no_line_is_wider_than_the_screen_and_no_word_is_torn(
    rows: list[tuple[str, str, str, str]], right: set[int], width: int, colour: bool
) -> None:
    table = Table(("first", "second", "third", "last"), rows, frozenset(right))
    drawn = re.sub(r"\x1b\[[\d;]*m", "", render(Document([table]), colour, width, fit=True))
    assert max(map(len, drawn.splitlines())) <= width
    said = Counter(drawn.split())
    assert Counter(word for row in rows for cell in row for word in cell.split()) <= said


def test_beside_its_row_a_last_cell_stands_where_that_takes_fewer_lines() -> None:
    long = ("0" * 28, "Outer Shareable, unaccessed")
    few = Table(("from", "state"), [long, *[("1" * 28, "nG")] * 9])
    assert shown(few, 40)[1:4] == [f"{'0' * 28}  Outer", f"{'':30}Shareable,", f"{'':30}unaccessed"]
    many = Table(("from", "state"), [long] * 9)
    assert shown(many, 40)[2:4] == ["0" * 28, "  Outer Shareable, unaccessed"]
