"""`gdbtools report`: one page with what the other commands say, and the same in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from gdbtools.cli import main
from tests.arch.aarch64.truth.machine import Memory, guest
from tests.commands.test_map import saved
from tests.places import ROOT
from tests.render.pages import loads, parsed, section, tables, text
from tests.tables import Tables

CAPTURES = ROOT / "fixtures/captures"
SOURCES = {name: ["-s", str(CAPTURES / f"{name}.core")] for name in ("osv-1131", "access-flag")}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> list[str]:
    return SOURCES[request.param]


def page_of(tmp_path: Path, *words: str, status: int = 1) -> Element:
    file = tmp_path / "report.html"
    assert main(["report", *words, "-o", str(file)]) == status
    return parsed(file.read_text())


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    main([*words, "--json"])
    return [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]


def test_the_page_is_whole_by_itself(tmp_path: Path, source: list[str]) -> None:
    assert loads(page_of(tmp_path, *source)) == []


def test_the_verdict_comes_first_and_is_that_of_fault(capsys, tmp_path: Path, source: list[str]) -> None:
    [fault] = ask(capsys, "fault", *source)
    [report] = ask(capsys, "report", *source)
    assert report["fault"] == fault
    article = next(page_of(tmp_path, *source).iter("article"))
    assert text(article[0]) == fault["sentence"]


def test_what_other_commands_say_is_in_it_unchanged(capsys, source: list[str]) -> None:
    [report] = ask(capsys, "report", *source)
    assert report["registers"] == ask(capsys, "regs", *source)
    assert [report["status"]] == ask(capsys, "status", *source)


def test_the_exit_status_says_whether_a_fault_is_on_the_page(tmp_path: Path, source: list[str]) -> None:
    assert main(["report", *source, "-o", str(tmp_path / "fault.html")]) == 1
    tables_ = Tables(_next=0x4000_1000)
    tables_.map(0x8000_0000, 0x9000_0000)
    registers = tables_.registers(ESR_EL1=0x56 << 24)
    quiet = saved(tables_, tmp_path, {**registers, "TCR_EL1": registers["TCR_EL1"] | 1 << 23})
    assert main(["report", *quiet, "-o", str(tmp_path / "quiet.html")]) == 0
    assert main(["report", *quiet, "0x20000000", "-o", str(tmp_path / "walked.html")]) == 1


def test_the_walk_is_drawn_with_every_descriptor_and_the_deciding_bit(capsys, tmp_path: Path, source) -> None:
    [fault] = ask(capsys, "fault", *source)
    walk = section(page_of(tmp_path, *source), "The walk")
    rungs = [each for each in walk.iter("li") if "rung" in each.get("class", "")]
    steps = fault["walk"]["steps"]
    assert len(rungs) == len(steps) == 4
    for rung, step in zip(rungs, steps, strict=True):
        assert step["descriptor"] in text(rung)
        assert f"level {step['level']} entry {step['index']} of 512" in text(rung)
        assert f"PA {int(step['descriptor_address'], 16):#x}" in text(rung)
        boxes = {text(box.find("b")): text(box.find("code")) for box in rung.iter("li") if box.find("b") is not None}
        for name, value in step["fields"].items():
            assert int(boxes[name], 0) == int(value, 16), name
    [deciding] = [each for each in walk.iter("li") if each.get("class") == "bad"]
    assert text(deciding.find("b")) == fault["predicted"]["deciding"]["field"] == "AF"
    [(headers, rows)] = tables(walk)
    assert headers == ["level", "index", "at PA", "descriptor", "kind", "says"]
    assert [row[3] for row in rows] == [step["descriptor"] for step in steps]


def test_the_address_is_cut_into_the_indices_of_the_walk(tmp_path: Path, source: list[str]) -> None:
    walk = section(page_of(tmp_path, *source), "The walk")
    ladder = next(each for each in walk.iter("figure") if each.get("class") == "ladder")
    boxes = [(text(box.find("small")), text(box.find("code"))) for box in next(ladder.iter("ol"))]
    address = int((ladder.get("aria-label") or "").split()[1], 16)
    together = 0
    for position, value in boxes:
        together |= int(value, 0) << int(position.split(":")[-1])
    assert together == address


def test_the_address_space_has_a_row_for_each_area_of_the_json(capsys, tmp_path: Path, source: list[str]) -> None:
    [report] = ask(capsys, "report", *source)
    page = page_of(tmp_path, *source)
    for regime in report["regimes"]:
        [(headers, rows)] = tables(section(page, regime["name"]))
        assert headers[:5] == ["from", "to", "size", "of", "PA"]
        levels = [header.lower() for header in headers[5:-2]]
        shown = [(row[0], row[1], *row[5:-2], row[-2]) for row in rows]
        assert shown == [
            (
                area["first"],
                area["last"],
                *(area["attributes"]["rights"][level] for level in levels),
                area["attributes"]["memory"],
            )
            for area in regime["areas"]
        ]
        for row, area in zip(rows, regime["areas"], strict=True):
            assert row[4] == (f"{int(area['output'], 16):#x}" if area["places"] == 1 else f"{area['places']} places")
            assert ("unaccessed" in row[-1]) == bool(area["unaccessed"])
            assert ("nG" in row[-1]) == (not area["attributes"]["global"])
            assert ("all one page" in row[-1]) == area["repeats"]


def test_the_areas_are_what_map_lists(capsys, source: list[str]) -> None:
    [report] = ask(capsys, "report", *source)
    [mapped] = ask(capsys, "map", *source)
    assert sum(regime["mapped"] for regime in report["regimes"]) == mapped["mapped"]
    areas = [area for regime in report["regimes"] for area in regime["areas"]]
    for run in mapped["runs"]:
        [area] = [each for each in areas if each["first"] <= run["first"] and run["last"] <= each["last"]]
        assert area["attributes"]["rights"] == run["attributes"]["rights"]
        assert area["attributes"]["memory"] == run["attributes"]["memory"]
    unaccessed = sum(run["size"] for run in mapped["runs"] if not run["attributes"]["accessed"])
    assert sum(area["unaccessed"] for area in areas) == unaccessed


def test_every_mapping_is_drawn_in_its_place(capsys, tmp_path: Path, source: list[str]) -> None:
    """Each band's share of its bar, made an address again, is where the mapping is."""
    [mapped] = ask(capsys, "map", *source)
    drawn = []
    for stretch in page_of(tmp_path, *source).iter("div"):
        if stretch.get("class") != "stretch":
            continue
        first, size = int(stretch.get("data-first", ""), 16), int(stretch.get("data-size", ""))
        for band in stretch.iter("i"):
            left, width = (float(each.split(":")[1].rstrip("%")) for each in band.get("style", "").split(";"))
            texts = tuple(text(lane) for lane in band.iter("b"))
            drawn.append(
                (first + left * size / 100, width * size / 100, size, texts, "shaded" in band.get("class", ""))
            )
    for run in mapped["runs"]:
        at, end = int(run["first"], 16), int(run["last"], 16)
        rights = run["attributes"]["rights"]
        assert any(
            start - size / 1e8 <= at and end <= start + width + size / 1e8
            and texts == (rights["el1"], rights["el0"]) and shaded != run["attributes"]["accessed"]
            for start, width, size, texts, shaded in drawn
        ), run  # fmt: skip


def test_every_register_has_its_fields_drawn_and_in_a_table(tmp_path: Path, capsys, source: list[str]) -> None:
    [report] = ask(capsys, "report", *source)
    registers = section(page_of(tmp_path, *source), "The registers")
    strips = list(registers.iter("figure"))
    assert [each.get("aria-label") for each in strips] == [each["name"] for each in report["registers"]]
    for strip, (_, rows), register in zip(strips, tables(registers), report["registers"], strict=True):
        together = 0
        for box in strip.iter("li"):
            high, _, low = text(box.find("small")).partition(":")
            value = text(box.find("code"))
            field = int(register["fields"].get(text(box.find("b"))) or "0", 16)
            assert value == "…" or field == int(value, 0) or text(box.find("b")) in ("RES0", "reserved")
            together |= (1 << int(high) + 1) - (1 << int(low or high))
        assert together == (1 << 64) - 1, "every bit is in a box"
        for _, name, value, _ in rows:
            assert name == "reserved" or int(value, 0) == int(register["fields"][name] or "0", 16)


def test_given_addresses_are_walked_too(capsys, tmp_path: Path) -> None:
    words = [*SOURCES["osv-1131"], "0xfc0001234", "0xffff8000408ce008"]
    [report] = ask(capsys, "report", *words)
    assert [each["input"] for each in report["walked"]] == ["0x0000000fc0001234", "0xffff8000408ce008"]
    walk = section(page_of(tmp_path, *words), "The walk")
    assert len([each for each in walk.iter("figure") if each.get("class") == "ladder"]) == 3


def test_through_two_stages_both_are_drawn_and_the_lower_has_a_map_of_its_own(capsys, tmp_path: Path) -> None:
    memory, normal = Memory(), 0b1111 << 2 | 0b11 << 8
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.stage1(0, va=0x6000, output=0x6543_3000)
    memory.identity(normal | 0b01 << 6)
    memory.stage2(normal | 0b11 << 6, 0x6543_2000, 0x7654_3000)
    registers = guest()
    registers["TCR_EL1"] |= 1 << 23
    words = [*saved(memory, tmp_path, registers), "0x5123"]
    [report] = ask(capsys, "report", *words)
    names = [regime["name"] for regime in report["regimes"]]
    assert names[-1] == "stage 2, VTTBR_EL2"
    assert [area["first"] for area in report["regimes"][-1]["areas"]][-1] == "0x0000000065432000"
    page = page_of(tmp_path, *words, status=0)
    ladders = [each for each in section(page, "The walk").iter("figure") if each.get("class") == "ladder"]
    assert [each.get("aria-label") for each in ladders] == ["VA 0x5123", "IPA 0x65432123"]
    assert [text(end) for end in ladders[-1][-1].iter("p")] == ["PA 0x76543123"]
    [(headers, rows)] = tables(section(page, names[0]))
    assert [row[headers.index("IPA")] for row in rows] == ["0x65432000", "0x65433000"]
    assert rows[1][headers.index("PA")] == "-"
    assert "stage 2 translation fault, level 3" in rows[1][-1]
    assert any(each.get("class") == "t-fault" for each in section(page, names[0]).iter("b"))


def test_without_a_fault_of_translation_it_shows_where_the_cpu_stands(capsys, tmp_path: Path) -> None:
    tables_ = Tables(_next=0x4000_1000)
    tables_.map(0x8000_0000, 0x9000_0000)
    registers = tables_.registers(ESR_EL1=0x56 << 24)
    words = saved(tables_, tmp_path, {**registers, "TCR_EL1": registers["TCR_EL1"] | 1 << 23})
    [report] = ask(capsys, "report", *words)
    assert [each["input"] for each in report["walked"]] == ["0x0000000080000200"]


def test_what_cannot_be_had_is_said_and_the_rest_is_there(capsys, tmp_path: Path) -> None:
    tables_ = Tables(_next=0x4000_1000)
    tables_.map(0x20_0000, 0x9000_0000)
    registers = tables_.registers()
    for name in ("ESR_EL1", "pc"):
        del registers[name]
    words = saved(tables_, tmp_path, {**registers, "TCR_EL1": registers["TCR_EL1"] | 1 << 23})
    [report] = ask(capsys, "report", *words)
    assert "ESR_EL1" in report["fault"]["missing"]
    assert report["walked"] == []
    assert [area["first"] for area in report["regimes"][0]["areas"]] == ["0x0000000000200000"]
    page = page_of(tmp_path, *words, status=0)
    assert "ESR_EL1" in text(next(page.iter("article"))[0])
    assert section(page, "The address space") is not None


def test_a_table_that_cannot_be_read_is_drawn_and_named(capsys, tmp_path: Path) -> None:
    tables_ = Tables(_next=0x4000_1000)
    tables_.map(0x20_0000, 0x9000_0000)
    hole = 0x4000_2000 + 3 * 8
    tables_.memory[hole] = 0x7000_0000 | 0b11
    registers = tables_.registers()
    words = saved(tables_, tmp_path, {**registers, "TCR_EL1": registers["TCR_EL1"] | 1 << 23})
    [report] = ask(capsys, "report", *words)
    assert [each["first"] for each in report["regimes"][0]["unreadable"]] == ["0x0000000000600000"]
    space = section(page_of(tmp_path, *words), "The address space")
    assert "0x70000000" in text(space)
    assert any(each.get("class") == "t-unknown" for each in space.iter("b"))


def test_the_same_source_gives_the_same_page(tmp_path: Path, source: list[str]) -> None:
    pages = []
    for name in ("one", "two"):
        assert main(["report", *source, "-o", str(tmp_path / f"{name}.html")]) == 1
        pages.append((tmp_path / f"{name}.html").read_bytes())
    assert pages[0] == pages[1]


@pytest.mark.slow
def test_a_space_of_ten_thousands_of_areas_is_still_a_page_of_a_few_megabytes(capsys, tmp_path: Path) -> None:
    tables_ = Tables(_next=0x4000_1000)
    for number in range(40_000):
        tables_.map(number << 12, 0x8000_0000, AP=number % 4, AF=number // 4 % 2)
    registers = tables_.registers()
    words = saved(tables_, tmp_path, {**registers, "TCR_EL1": registers["TCR_EL1"] | 1 << 23})
    page = page_of(tmp_path, *words)
    assert (tmp_path / "report.html").stat().st_size < 4_000_000
    [report] = ask(capsys, "report", *words)
    [(_, rows)] = tables(section(page, report["regimes"][0]["name"]))
    assert len(rows) == len(report["regimes"][0]["areas"])
    assert report["regimes"][0]["omitted"] == 40_000 - len(rows)
    assert f"{40_000 - len(rows)} more areas" in text(section(page, "The address space"))


def test_the_text_says_what_the_page_says(capsys, source: list[str]) -> None:
    assert main(["report", *source]) == 1
    out = capsys.readouterr().out
    main(["fault", *source])
    fault = capsys.readouterr().out
    head, walked = fault.split("\n\nlevel")
    assert out.startswith(head)
    assert f"level{walked}".strip() in out
    for title in ("The walk", "The address space", "The registers", "The source"):
        assert f"\n{title}\n{'=' * len(title)}\n" in out
