"""Documents as text: aligned, wrapped, and coloured only where that is wanted."""

from __future__ import annotations

import re

from wcwidth import wcswidth

from gdbtools.render.document import Document, Facts, Line, Role, Section, Span, Table, gathered
from gdbtools.render.text import render, wants_colour
from gdbtools.repl.session import Doing, State
from gdbtools.repl.terminal.toolbar import toolbar

TABLE = Document([Table(("level", "says"), [("0", "one two three four five six seven eight nine ten"), ("12", "x")],
                        frozenset((0,)))])  # fmt: skip
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def test_columns_align_and_the_last_one_wraps_within_the_width() -> None:
    assert render(TABLE, width=40).splitlines() == [
        "level  says",
        "    0  one two three four five six seven",
        "       eight nine ten",
        "   12  x",
    ]


def test_a_name_that_is_said_of_several_in_a_row_is_there_once() -> None:
    facts = Facts([("note", "one"), ("note", "two"), ("", "more of it"), ("next", "walk"), ("note", "three")])
    assert render(Document([facts])).splitlines() == [
        "note  one",
        "      two",
        "      more of it",
        "next  walk",
        "note  three",
    ]
    others = Facts([("or", "this"), ("or", "that")])
    assert render(Document([others])).splitlines() == ["or  this", "or  that"]


def test_what_is_said_in_several_places_under_a_name_is_gathered_at_the_end_and_each_is_there_once() -> None:
    first = Document([Section("title", [Facts([("rights", "rwx"), ("assumed", "SCTLR"), ("", "HCR")])])])
    second = Document([Line("a line"), Facts([("assumed", "SCTLR")])])
    found = gathered([first, second], "assumed", ["HCR", "MAIR"])
    assert [render(each).split() for each in found] == [
        ["title", "=====", "rights", "rwx"],
        ["a", "line"],
        ["assumed", "SCTLR", "HCR", "MAIR"],
    ]


def test_wide_and_combining_characters_align_as_terminals_draw_them() -> None:
    names = ("\u6f22\u5b57", "e\u0301", "plain")
    document = Document([Table(("name", "value"), [(name, f"0x{at}") for at, name in enumerate(names)])])
    lines = render(document).splitlines()
    assert {wcswidth(line.partition("0x")[0]) for line in lines[1:]} == {len("plain  ")}
    for fits in (
        render(Document([Line("\u6f22" * 15 + " " + "\u5b57" * 15)]), width=40),
        toolbar(State(Doing.STOPPED), "\u6f22" * 99, 40),
    ):
        assert all(wcswidth(line) <= 40 for line in fits.splitlines())
    assert render(Document([Section("\u6f22", [Line("x")])])).splitlines()[:2] == ["\u6f22", "=="]


def test_colour_never_changes_the_layout() -> None:
    documents = (
        TABLE,
        Document([Line(["it was ", Span("a very bad thing indeed, all of it", Role.BAD), " and more words after it"])]),
        Document([Facts([("name", [Span("AF [10]", Role.NAME), " = 0 somewhere"]), ("longer name", "value")])]),
    )
    for document in documents:
        plain, coloured = render(document, width=40), render(document, colour=True, width=40)
        assert "\x1b" not in plain
        assert "\x1b" in coloured
        assert ESCAPE.sub("", coloured) == plain


def test_every_escape_is_closed_on_its_own_line() -> None:
    document = Document([Line(Span("word " * 40, Role.GOOD))])
    for line in render(document, colour=True, width=40).splitlines():
        assert line.count("\x1b[0m") == len(ESCAPE.findall(line)) / 2


def test_colour_is_for_terminals_that_can_and_users_who_want_it() -> None:
    assert wants_colour(True, {"TERM": "xterm"})
    assert not wants_colour(False, {"TERM": "xterm"})
    assert not wants_colour(True, {"TERM": "xterm", "NO_COLOR": "1"})
    assert not wants_colour(True, {"TERM": "dumb"})
    assert not wants_colour(True, {})
