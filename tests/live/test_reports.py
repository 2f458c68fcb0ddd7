"""`mmu diff` and `mmu report`: the live guest against a capture, and on one page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.cli import main
from tests.live.session import CAPTURE, GUEST, Leaf, Live, attached
from tests.render.pages import loads, parsed, section, text
from tests.transcripts import compare, marked

pytestmark = pytest.mark.guest

LEAF = Leaf(4, 1 << 44, 3)


@pytest.fixture
def faulted(qemu: str, gdb_path: str):
    with attached(gdb_path) as live:
        live.to_fault()
        yield live


def test_what_changed_since_the_capture_is_what_was_repaired(faulted: Live, tmp_path: Path) -> None:
    core = tmp_path / "then.core"
    faulted.say(f"mmu capture {core}")
    [same] = faulted.ask(f"diff {core}")
    assert same["equal"]
    assert same["registers"]["same"] > 10
    assert "No difference" in faulted.say(f"mmu diff {core}")
    [repair] = faulted.ask("fixup")
    [diff] = faulted.ask(f"diff {core}")
    [change] = diff["changes"]
    assert (change["kind"], change["aspects"], change["size"]) == ("changed", ["af"], 4096)
    [fault] = faulted.ask("fault")
    assert int(change["first"], 16) == int(fault["address"], 16) & -4096
    assert repair["applied"]
    assert faulted.ask(f"diff {core} --ignore af")[0]["equal"]
    assert faulted.physical_mode() == "0"


def test_a_permission_that_was_changed_by_hand_is_found(faulted: Live, tmp_path: Path) -> None:
    core = tmp_path / "then.core"
    faulted.say(f"mmu capture {core}")
    [step] = faulted.ask(f"walk {LEAF.va:#x}")
    leaf = step["steps"][-1]
    faulted.poke(int(leaf["descriptor_address"], 16), int(leaf["descriptor"], 16) ^ 1 << 7)
    [diff] = faulted.ask(f"diff {core}")
    [change] = diff["changes"]
    assert (int(change["first"], 16), change["aspects"]) == (LEAF.va, ["rights"])


def test_the_transcript_of_the_docs_is_what_is_printed(qemu: str, gdb_path: str, tmp_path: Path) -> None:
    with attached(gdb_path) as live:
        live.to_scan()
        live.say(f"mmu capture {tmp_path / 'then.core'}")
        live.say("mmu catch access-flag")
        live.say("continue")
        live.say("mmu service --count 40")
        live.say("mmu pte 0x300000000000 AP=2")
        (transcript,) = marked("diff")
        compare(live.say(transcript.command.replace("then.core", str(tmp_path / "then.core"))), transcript)


def test_two_files_are_compared_as_they_are_outside_of_gdb(faulted: Live, tmp_path: Path, capsys) -> None:
    core = tmp_path / "now.core"
    faulted.say(f"mmu capture {core}")
    inside = faulted.ask(f"diff {CAPTURE} {core}")
    main(["diff", str(CAPTURE), str(core), "--json"])
    assert inside == [json.loads(capsys.readouterr().out)["result"]]


def test_what_is_no_source_is_refused_in_one_line(faulted: Live, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    assert "No such file" in faulted.refusal(f"mmu diff {tmp_path}/nothing")
    assert "say where it starts" in faulted.refusal(f"mmu diff {tmp_path}/text")


def test_the_live_report_says_what_a_report_of_its_capture_says(faulted: Live, tmp_path: Path, capsys) -> None:
    core, file = tmp_path / "now.core", tmp_path / "live.html"
    faulted.say(f"mmu capture {core}")
    assert faulted.say(f"mmu report -o {file}").strip() == f"Wrote {file}."
    [live] = faulted.ask("report")
    assert main(["report", "-s", str(core), "--elf", str(GUEST), "--json"]) == 1
    offline = json.loads(capsys.readouterr().out)["result"]
    for part in ("fault", "walked", "regimes", "registers"):
        assert live[part] == offline[part]
    page = parsed(file.read_text())
    assert loads(page) == []
    assert text(next(page.iter("article"))[0]) == live["fault"]["sentence"]
    assert text(next(page.iter("h1"))) == "gdbtools report of a live guest"
    assert section(page, "The address space") is not None
    assert faulted.physical_mode() == "0"


def test_any_answer_can_go_to_a_file_in_any_form(faulted: Live, tmp_path: Path) -> None:
    for name, start in (("a.html", "<!doctype html>"), ("a.json", '{"schema": '), ("a.txt", f"{LEAF.va:#x}")):
        assert "Wrote" in faulted.say(f"mmu walk {LEAF.va:#x} -o {tmp_path / name}")
        assert (tmp_path / name).read_text().startswith(start)
    faulted.ask_mi(f"walk {LEAF.va:#x} -o {tmp_path / 'b.json'}")
    assert (tmp_path / "b.json").read_text() == (tmp_path / "a.json").read_text()
    assert "exclude each other" in faulted.refusal(f"mmu walk {LEAF.va:#x} --json --html")
    assert "can be written" in faulted.refusal(f"mmu walk {LEAF.va:#x} -o {tmp_path}/none/a")
