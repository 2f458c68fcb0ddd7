"""`-o FILE.md`: an answer to paste, in which nothing that a guest or a file says is read as markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from gdbtools.cli import main
from gdbtools.render.document import Document, Facts, Line, Role, Section, Span, Table
from gdbtools.render.markdown import markdown
from tests.places import ROOT

OSV = str(ROOT / "fixtures/captures/osv-1131.core")


class Read(HTMLParser):
    """What a reader sees of a page, and the elements that it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


def shown(*blocks: object) -> Read:
    written = markdown([Document(blocks)])  # type: ignore[arg-type]
    return Read(MarkdownIt("commonmark", {"html": True}).enable("table").render(written))


def test_a_verdict_in_a_file_of_that_name_has_its_tables(tmp_path: Path) -> None:
    file = tmp_path / "fault.md"
    assert main(["fault", "-s", OSV, "-o", str(file)]) == 1
    text = file.read_text()
    assert text.startswith("last exception: EL1 execute of `0x100000120e40`: **access flag fault, level 3**, and ")
    assert "| deciding bit | AF \\[10\\] = 0 in the level 3 descriptor at PA `0x40d2a900` " in text
    page = Read(MarkdownIt("commonmark").enable("table").render(text))
    assert page.tags.count("table") == 3


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "a | b", "*x* _y_ __z__ ~~w~~", "[a](http://b)", "&lt; &#60; a & b", "# h", "- i",
     "> quoted", "\\*", "TCR_EL1 and a_b_c", "EL1&0"],
)  # fmt: skip
def test_what_others_wrote_is_shown_as_it_is(text: str) -> None:
    page = shown(Line(text), Facts([("name", text)]), Table(("h",), [[text]]), Section(text, []))
    assert page.text.count(text) == 4
    assert set(page.tags) <= {"p", "table", "thead", "tbody", "tr", "th", "td", "h2"}


def test_numbers_and_commands_are_code_and_what_matters_is_bold() -> None:
    written = markdown([Document([Line(["at 0x10, see `map 0x10`: ", Span("bad ", Role.BAD), "now"])])])
    assert written == "at `0x10`, see `map 0x10`: **bad** now\n"


def test_a_table_without_rows_has_its_headers() -> None:
    assert shown(Table(("one", "two"), [])).tags.count("th") == 2
