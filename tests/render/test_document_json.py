"""A document that crosses as JSON says what it said: every kind of block, every role, every command's own."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query, respond
from gdbtools.commands.session import Session
from gdbtools.machine.sources import open_source
from gdbtools.numbers import number
from gdbtools.render.document import Block, Document, Facts, Heat, HeatRow, Line, Picture, Role, Section, Span, Table
from gdbtools.render.document_json import carried, document_of
from gdbtools.render.drawing import Strip
from gdbtools.render.text import render
from tests.places import ROOT

OSV = ROOT / "fixtures/captures/osv-1131.core"
ASKED = {"walk": ("0x100000120e40",), "syndrome": ("0x9600014b",)}
EXAMPLES = {
    Line: Line(["said ", Span("well", Role.GOOD), " | or not"]),
    Facts: Facts([("one", "1"), ("two", Span("2", Role.BAD)), ("three", ["3", Span("!", Role.WARNING)])]),
    Table: Table(
        ("a", "b", "c"), [("1", "8" * 20, "x" * 20), ("22", [Span("y"), "z"], "")], frozenset((0,)), ("a",), ("b",)
    ),
    Section: Section("a title", [Line("under it"), Facts([("one", "1")])]),
    Picture: Picture(Strip("a word", ()), [Line("in words")]),
    Heat: Heat([HeatRow("label", [(4096, 0.5), (8192, None), (4096, 0.0)], "after")], 4096, "cold", "hot"),
}


def crossed(document: Document) -> Document:
    return document_of(json.loads(json.dumps(carried(document))))


def test_there_is_an_example_of_each_kind_of_block() -> None:
    assert set(EXAMPLES) == set(get_args(Block))


@pytest.mark.parametrize("block", EXAMPLES.values(), ids=lambda block: type(block).__name__)
def test_a_block_looks_the_same_afterwards(block: Block) -> None:
    document = Document([block, Line("the next")])
    for width in (40, 80):
        assert render(crossed(document), True, width, fit=True) == render(document, True, width, fit=True)


@pytest.mark.parametrize("role", Role)
def test_a_role_is_the_same_afterwards(role: Role) -> None:
    (block,) = crossed(Document([Line(Span("text", role))])).blocks
    assert block == Line([Span("text", role)])


@pytest.mark.parametrize("name", ["status", "regs", "syndrome", "walk", "map", "fault"])
def test_a_command_s_document_looks_the_same_afterwards(name: str) -> None:
    command, session = COMMANDS[name], Session(open_source(str(OSV)))
    for document in respond(query(command, ASKED.get(name, ()), number, "mmu"), session).documents():
        assert render(crossed(document), True, 100) == render(document, True, 100)


def test_the_short_form_crosses_too_and_is_chosen_by_who_has_the_screen() -> None:
    document = Document([Line("one"), Line("two"), Line("three")], short=[Line("all three")])
    assert crossed(document) == document
    assert render(crossed(document), height=6) == "one\n\ntwo\n\nthree\n"
    assert render(crossed(document), height=5) == "all three\n", "five lines, and the prompt's own"
    assert render(crossed(document)) == "one\n\ntwo\n\nthree\n"
