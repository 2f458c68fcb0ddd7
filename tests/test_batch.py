"""One question of many dumps: each is a line, in order of names, whatever becomes of another; and it goes on later."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gdbtools.batch import answers, matching
from gdbtools.cli import main
from tests.places import ROOT

CAPTURES = ROOT / "fixtures/captures"
DIES = "dies.core"


@pytest.fixture
def dumps(tmp_path: Path) -> Path:
    """Return a folder of three captures, and a file that is none."""
    folder = tmp_path / "dumps"
    folder.mkdir()
    for name in ("c", "a"):
        shutil.copy(CAPTURES / "access-flag.core", folder / f"{name}.core")
    shutil.copy(CAPTURES / "osv-1131.core", folder / "d.core")
    (folder / "b.core").write_text("no dump")
    return folder


def told(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def alone(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]], str]:
    status = main([*words, "--json"])
    captured = capsys.readouterr()
    return status, told(captured.out), captured.err.strip().removeprefix("gdbtools: ")


def test_each_is_answered_as_it_is_alone_and_in_order(dumps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["batch", "walk", "0x1000", "--access", "read", "-s", f"{dumps}/*.core", "--jobs", "3"])
    lines = told(capsys.readouterr().out)
    sources = [f"{dumps}/{name}.core" for name in "abcd"]
    assert [line["source"] for line in lines] == sources
    for line in lines:
        found = alone(["walk", "0x1000", "--access", "read", "-s", line["source"]], capsys)
        assert (line["status"], line["answers"], line["error"]) == found
    assert status == 1, "some are not mapped"
    assert lines[1]["status"] in (2, 3)
    assert "b.core" in lines[1]["error"]


def test_it_ends_with_what_is_missing_where_nothing_is_a_finding(
    dumps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", "status", "-s", f"{dumps}/[ac].core", "--jobs", "1"]) == 0
    assert main(["batch", "status", "-s", f"{dumps}/*.core", "--jobs", "1"]) == 3
    assert len(told(capsys.readouterr().out)) == 2 + 4


def test_what_has_a_line_is_not_asked_again_and_half_a_line_is(
    dumps: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "answers.jsonl"
    words = ["batch", "status", "--jobs", "1", "--resume", str(kept), "-s"]
    assert main([*words, f"{dumps}/[ab].core"]) == 3
    lines = kept.read_text().splitlines()
    kept.write_text(f"{lines[0]}\n{lines[1][:20]}")
    (dumps / "a.core").write_text("it would be asked in vain")
    assert main([*words, f"{dumps}/*.core"]) == 3
    assert capsys.readouterr().out == ""
    assert kept.read_text().splitlines()[:2] == lines
    assert [Path(line["source"]).name for line in told(kept.read_text())] == ["a.core", "b.core", "c.core", "d.core"]


def dying(source: str) -> dict[str, Any]:
    if source == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"source": source, "status": 0}


def test_a_source_that_ends_its_process_is_a_line_and_takes_no_other_with_it() -> None:
    sources = ["a.core", "b.core", DIES, "e.core", "f.core"]
    lines = list(answers(dying, sources, 2))
    assert [line["source"] for line in lines] == sources
    assert [line["status"] for line in lines] == [0, 0, 3, 0, 0]
    assert "has ended" in lines[2]["error"]


def test_a_pattern_may_say_where_an_image_begins(tmp_path: Path) -> None:
    for name in ("two.bin", "one.bin"):
        (tmp_path / name).touch()
    assert matching([f"{tmp_path}/*.bin@0x40000000", f"{tmp_path}/one*@0x40000000"]) == [
        f"{tmp_path}/one.bin@0x40000000",
        f"{tmp_path}/two.bin@0x40000000",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say what to ask"),
        (["nosuch", "-s", "x"], "say what to ask"),
        (["catch", "any", "-s", "x"], "say what to ask"),
        (["status"], "no file is named"),
        (["status", "-s", "/nosuch/*.core"], "/nosuch/*.core"),
        (["status", "-s", str(CAPTURES / "*.core"), "--jobs", "0"], "at least 1"),
        (["status", "-s", str(CAPTURES / "*.core"), "--resume", str(ROOT / "README.md")], "another file"),
    ],
)
def test_what_cannot_be_asked_is_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", *words]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert says in captured.err
