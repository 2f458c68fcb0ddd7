"""Documents as pages: valid, whole, and what is said in text is said there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbtools.printable import visible
from gdbtools.render.document import Document, Facts, Heat, HeatRow, Line, Picture, Role, Section, Span, Table
from gdbtools.render.drawing import AddressMap, Band, Box, Ladder, Lane, Rung, Strip, Tone
from gdbtools.render.html import MANY, page
from gdbtools.render.html_map import BANDS
from gdbtools.render.text import render
from tests.render.pages import loads, parsed, section, tables, text

TABLE = Table(("level", "says"), [("0", "nothing"), ("12", Span("-> 0x40", Role.BAD))], frozenset((0,)))
STRIP = Strip("a word", [Box(63, 1, "high", "0x7", "what it means"), Box(0, 0, "AF", "0", role=Role.BAD)])
RUNG = Rung("level 0", 3, 512, "PA 0x1000", "0x3", "table -> 0x2000", [Box(63, 0, "all", "0x3")])
LADDER = Ladder(Strip("VA 0x1", [Box(63, 0, "level 0", "3", tint=0)]), [RUNG], STRIP, "PA 0x2")

HEAT = Heat(
    [HeatRow("0x1000", [(8192, 0.0), (4096, 1.0), (4096, None)], "4KB"), HeatRow("0x9000", [(4096, 0.5)], "2KB")],
    4096,
    "untouched",
    "all of it",
)


def a_map(*bands: Band) -> AddressMap:
    return AddressMap("a range", 0, (1 << 48) - 1, ["EL1", "EL0"], bands, "shaded: not used")


def band(first: int, size: int, shaded: bool = False, tone: Tone = Tone.WRITE) -> Band:
    return Band(first, size, [Lane(tone, tone.value), Lane(Tone.NONE, "---")], shaded, f"at {first:#x}")


EVERYTHING = Document(
    [
        Line(["it was ", Span("bad", Role.BAD), " at 0x1234"]),
        Facts([("name", "value"), ("name", [Span("AF [10]", Role.NAME), " = 0"])]),
        HEAT,
        Section("The walk", [Picture(LADDER, [TABLE]), Section("Deeper", [Picture(STRIP, [TABLE])])]),
        Section("The walk", [Picture(a_map(band(0, 4096), band(1 << 40, 8192, True)), [TABLE])]),
    ],
    "a title",
)


def test_a_page_is_valid_html_and_loads_nothing() -> None:
    found = parsed(page("x", [EVERYTHING, Document([])]))
    assert loads(found) == []
    assert found.get("lang") == "en"
    policy = next(each for each in found.iter("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.get("content", "").startswith("default-src 'none'")


def test_what_would_load_something_is_noticed() -> None:
    for more in ('<img src="a.png" alt="">', '<a href="https://x/">x</a>', '<p style="background: url(a.png)">x</p>'):
        assert loads(parsed(page("x", [EVERYTHING]).replace("<main>", f"<main>{more}"))) != []


def test_the_answer_comes_first_and_roles_are_classes() -> None:
    found = parsed(page("x", [EVERYTHING]))
    article = next(found.iter("article"))
    assert (article[0].get("class"), text(article[0])) == ("answer", "it was bad at 0x1234")
    assert [(each.get("class"), text(each)) for each in article[0]] == [("bad", "bad"), (None, "0x1234")]


def test_a_title_of_the_document_is_the_pages() -> None:
    found = parsed(page("x", [EVERYTHING]))
    assert text(next(found.iter("title"))) == text(next(found.iter("h1"))) == "a title"
    assert text(next(parsed(page("x", [Document([])])).iter("title"))) == "x"


def test_sections_can_be_gone_to_even_if_two_have_one_title() -> None:
    found = parsed(page("x", [EVERYTHING]))
    names = [each.get("id") for each in found.iter("section")]
    assert names == ["the-walk", "deeper", "the-walk-2"]
    assert [each.get("href") for each in found.iter("a")] == ["#the-walk", "#the-walk-2"]
    assert next(child.tag for child in section(found, "Deeper")) == "h3"


def test_tables_have_their_rows_and_sides() -> None:
    found = parsed(page("x", [Document([TABLE])]))
    assert tables(found) == [(["level", "says"], [["0", "nothing"], ["12", "→ 0x40"]])]
    assert [each.get("class") for each in found.iter("td")] == ["r m", None, "r m", None]


def test_a_long_table_is_folded_up_and_a_short_one_is_not() -> None:
    for rows, folded in ((MANY, 0), (MANY + 1, 1)):
        found = parsed(page("x", [Document([Table(("n",), [(str(row),) for row in range(rows)])])]))
        assert len(list(found.iter("details"))) == folded
        assert len(tables(found)[0][1]) == rows


def test_a_long_table_that_is_the_answer_is_open_and_what_follows_it_is_not() -> None:
    long, other = (Table(("n",), [(str(row),) for row in range(MANY + more)]) for more in (1, 2))
    for blocks, opened in (([long, other], [True, False]), ([Section("s", [long])], [False])):
        found = parsed(page("x", [Document([Line("An answer."), *blocks])]))
        assert [each.get("open") is not None for each in found.iter("details")] == opened


def test_a_picture_is_drawn_and_what_stands_for_it_is_there_too() -> None:
    for drawing in (STRIP, LADDER, a_map(band(0, 4096))):
        found = parsed(page("x", [Document([Picture(drawing, [TABLE])])]))
        [figure] = found.iter("figure")
        assert figure.get("aria-label")
        assert len(tables(found)) == 1


def test_text_shows_what_stands_for_a_picture_and_titles_of_sections() -> None:
    said = render(EVERYTHING)
    assert said.count("level  says") == 3
    assert "The walk\n========\n" in said
    assert "Deeper\n------\n" in said


def test_every_box_says_bits_name_value_and_meaning() -> None:
    found = parsed(page("x", [Document([Picture(STRIP, ())])]))
    [first, last] = list(found.iter("li"))
    assert text(first) == "63:1high0x7"
    assert first.get("title") == "high [63:1] = 0x7: what it means"
    assert (last.get("title"), last.get("class")) == ("AF [0] = 0", "bad")


def test_bands_are_to_scale_within_a_stretch_and_gaps_are_said() -> None:
    given_ = a_map(band(0, 8192), band(12288, 4096, True), band(1 << 40, 8192))
    found = parsed(page("x", [Document([Picture(given_, ())])]))
    bars = [each for each in found.iter("div") if each.get("class") == "bar"]
    places = [[each.get("style") for each in bar.iter("i")] for bar in bars]
    assert places == [["left:0%;width:50%", "left:75%;width:25%"], ["left:0%;width:100%"]]
    assert [text(each) for each in found.iter("p") if each.get("class") == "gap"] == ["1024GB not mapped"]
    shades = [each.get("class") for bar in bars for each in bar.iter("i")]
    assert shades == ["band", "band shaded", "band"]


def test_a_legend_names_what_is_drawn_and_no_more() -> None:
    def legend(*bands: Band) -> list[str]:
        found = parsed(page("x", [Document([Picture(a_map(*bands), ())])]))
        [items] = [each for each in found.iter("ul") if each.get("class") == "legend"]
        return [text(each) for each in items]

    assert legend(band(0, 4096)) == ["---", "rw-"]
    assert legend(band(0, 4096, True, Tone.READ)) == ["---", "r--", "shaded: not used"]
    assert legend() == []


def test_too_many_bands_to_draw_become_fewer_and_cover_the_same() -> None:
    many = [band(number * 8192, 4096, bool(number % 2)) for number in range(3 * BANDS)]
    found = page("x", [Document([Picture(a_map(*many), ())])])
    assert found.count('class="band') <= BANDS
    assert len(found) < 2_000_000
    stretches = [each for each in parsed(found).iter("div") if each.get("class") == "stretch"]
    assert sum(int(each.get("data-size", "0")) for each in stretches) == many[-1].first + 4096


ANY = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufdd0"), max_size=20).filter(
    lambda said: all(ord(letter) & 0xFFFE != 0xFFFE and not 0xFDD0 <= ord(letter) <= 0xFDEF for letter in said)
)


@given(ANY)
def test_whatever_a_name_is_it_is_text(name: str) -> None:
    drawing = a_map(Band(0, 1, [Lane(Tone.READ, name), Lane(Tone.READ, name)], False, name))
    blocks = [Line(name), Facts([(name, name)]), Table((name,), [(name,)]), Picture(drawing, ())]
    boxes = Picture(Strip(name, [Box(1, 0, name, name, name)]), ())
    found = parsed(page(name, [Document([*blocks, Section(name, [boxes])], name)]))
    wanted = " ".join(visible(name).replace("->", "→").split())
    assert text(next(found.iter("td"))) == wanted
    assert text(next(found.iter("dd"))) == wanted
    assert len(list(found.iter("script"))) == 1


@pytest.mark.parametrize("word", ["<script>alert(1)</script>", "\"'&<>", "</style><b>"])
def test_markup_in_an_answer_is_shown_and_not_obeyed(word: str) -> None:
    found = parsed(page(word, [Document([Line(word), Picture(Strip(word, [Box(1, 0, word, word, word)]), ())])]))
    assert text(next(each for each in found.iter("p") if each.get("class") == "answer")) == word
    assert len(list(found.iter("script"))) == 1
    assert not any(each.tag == "b" and text(each) == "" for each in found.iter("b"))


def test_heat_is_drawn_to_one_scale_and_what_is_not_there_is_not_drawn() -> None:
    figure = next(each for each in parsed(page("x", [Document([HEAT])])).iter("figure"))
    bars = [[cell.get("style") for cell in bar] for bar in figure.iter("span") if bar.get("class") == "cells"]
    assert bars == [
        ["--heat:0;flex-grow:2", "--heat:1;flex-grow:1", "flex-grow:1"],
        ["--heat:0.5;flex-grow:1", "flex-grow:3"],
    ]
    assert "untouched" in text(figure)
    assert [text(row) for row in figure.iter("p")] == ["0x1000 4KB", "0x9000 2KB"]
