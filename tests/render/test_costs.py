"""What a long list costs as text, counted and not timed: calls a row, and what is not shown and so is not made."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from gdbtools.render.document import Block, Document, Line, Picture, Table
from gdbtools.render.drawing import Drawing
from gdbtools.render.text import render

HEADERS = ["from", "to", "size", "state"]
WIDE = 1000
ROW_CALLS = 3


def listed(rows: int) -> Document:
    cells = [[f"{row:#018x}", f"{row + 4095:#018x}", "4KB", "dirty" if row % 3 else "clean"] for row in range(rows)]
    return Document([Line(f"{rows} runs."), Table(HEADERS, cells, frozenset((2,)))])


def calls(document: Document, **layout: Any) -> int:
    """Return how many functions of ours are called to write a document."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call" and frame.f_globals["__name__"].startswith("gdbtools.")

    sys.setprofile(count)
    try:
        render(document, **layout)
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("layout", [{}, {"colour": True}, {"table_width": WIDE}], ids=["plain", "colour", "pipe"])
def test_a_row_of_mere_text_takes_few_calls(layout: dict[str, Any]) -> None:
    few, more = (calls(listed(rows), **layout) for rows in (1000, 2000))
    assert (more - few) / 1000 <= ROW_CALLS


def never() -> Any:
    raise AssertionError("nothing shows it")


def test_a_picture_that_text_does_not_show_is_not_drawn() -> None:
    drawing: Any = never
    assert render(Document([Picture(drawing, [Line("in words")])])) == "in words\n"


def test_the_short_form_is_not_made_for_what_has_no_screen_or_fits_it() -> None:
    document = Document([Line("whole")], short=never)
    assert render(document) == render(document, height=None) == "whole\n"


def test_rows_that_are_more_than_a_screen_has_lines_are_not_written_to_be_counted() -> None:
    def short() -> list[Block]:
        return [Line("short")]

    whole = listed(1000)
    document = Document(whole.blocks, short=short)
    assert render(document, height=24) == "short\n"
    assert calls(document, height=24) < calls(whole)


def test_what_is_made_late_is_as_harmless_as_the_rest() -> None:
    document = Document([Line(f"{row}") for row in range(30)], short=lambda: [Line("a\x1b]0;title\x07")])
    assert "\x1b" not in render(document, height=5)


def test_a_drawing_that_is_made_late_is_drawn_on_a_page() -> None:
    from gdbtools.render.drawing import Box, Strip
    from gdbtools.render.html import page

    def strip() -> Drawing:
        return Strip("a word", [Box(1, 0, "FIELD", "0b1\x07")])

    shown = page("x", [Document([Picture(strip, ())])])
    assert "FIELD" in shown
    assert "\x07" not in shown
