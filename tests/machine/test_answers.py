"""Answers about hostile captures: every command, in every form, over mutated ones; bounded, and never a traceback.

A run is short; GDBTOOLS_FULL=1 makes it long.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdbtools.analysis import mappings
from gdbtools.cli import main
from gdbtools.commands import COMMANDS
from gdbtools.commands.diff.run import MOST_CHANGES
from gdbtools.commands.map.run import MOST_RUNS
from tests.machine.dumps.formats import Segment, note, status, vmcore
from tests.machine.dumps.hostile import PA, REGISTERS, chain, thicket, words
from tests.places import ROOT
from tests.test_cli import DEMO

ROUNDS = int(os.environ.get("GDBTOOLS_ROUNDS") or (400 if os.environ.get("GDBTOOLS_FULL") == "1" else 6))
FORMS: tuple[tuple[str, ...], ...] = ((), ("--json",), ("--html",))
MEMORY_MEGABYTES, OUTPUT_MEGABYTES = 400, 16
ASKED: dict[str, tuple[str, ...]] = {
    "status": (), "regs": (), "syndrome": (), "walk": ("0", "0x1000", "--access", "write"), "map": (), "fault": (),
    "report": ("0x1000",), "find-roots": (), "diff": (DEMO,), "redact": ("/dev/null",), "capture": ("/dev/null",),
    "fixup": ("--dry-run",), "pte": ("0x1000", "AF=1", "--dry-run"), "clear-af": ("0x1000", "--dry-run"),
    "rmap": ("--virtual", "0x1000", "--roots"), "tables": ("--orphans",), "audit": (),
    "guests": (), "stage2": (), "tasks": (),
}  # fmt: skip


def test_every_command_that_a_dump_answers_is_asked() -> None:
    assert set(ASKED) | {"trace", "explain"} == {name for name, each in COMMANDS.items() if not each.live_only}


def capture(registers: object, memory: bytes, **other: object) -> bytes:
    """Return a capture with whatever in its note."""
    body = {"version": 1, "architecture": "aarch64", "current": 0, "cpus": [{"registers": registers}], **other}
    notes = note(b"CORE", 1, status(pc=0x8000_0200)) + note(b"gdbtools", 0x4D4D55, json.dumps(body).encode())
    return vmcore([Segment(PA, memory)], notes)


def mutated(draw: random.Random) -> Iterator[bytes]:
    """Yield captures whose registers have random bits, or are missing, and whose tables lead anywhere."""
    names = list(REGISTERS)
    while True:
        registers = {name: hex(value) for name, value in REGISTERS.items()}
        for _ in range(draw.randrange(8)):
            name = draw.choice(names)
            kind = draw.randrange(4)
            if kind == 0:
                registers.pop(name, None)
            elif kind == 1:
                registers[name] = hex(draw.getrandbits(64))
            else:
                registers[name] = hex(int(registers.get(name, "0"), 16) ^ 1 << draw.randrange(64))
        memory = bytearray(draw.choice((chain(), thicket())))
        for _ in range(draw.randrange(32)):
            at = draw.randrange(len(memory) // 8) * 8
            memory[at : at + 8] = (PA | draw.getrandbits(14) | draw.getrandbits(8) << 52).to_bytes(8, "little")
        yield capture(registers, bytes(memory), assumed=draw.choice(([], ["x\ud800\x1b"])))


def asked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, more in ASKED.items():
        for form in FORMS:
            result = main([name, *more, "-s", str(path), *form])
            out, err = capsys.readouterr()
            assert result in (0, 1, 2, 3, 4)
            assert len(err.splitlines()) == (result > 1), (name, form, err)
            out.encode()
            if form == ("--json",):
                assert all(json.loads(line)["command"] == name for line in out.splitlines())


def test_answers_about_mutated_captures_are_answers_in_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same limit, reached sooner: what is listed of a thicket is not what is looked for here.
    monkeypatch.setattr(mappings, "A_FEW", 64)
    monkeypatch.setattr(mappings, "TIMES", 1)
    path = tmp_path / "dump"
    for number, data in zip(range(ROUNDS), mutated(random.Random(13)), strict=False):
        path.write_bytes(data)
        try:
            asked(path, capsys)
        except Exception as error:
            raise AssertionError(f"capture {number} of the run") from error


@pytest.mark.parametrize("name", ["MMU off", "half a pair of surrogates"])
def test_a_capture_that_once_was_a_traceback_is_answered(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registers = {each: hex(value) for each, value in REGISTERS.items()}
    path = tmp_path / "dump"
    if name == "MMU off":
        path.write_bytes(capture({**registers, "SCTLR_EL1": "0x0"}, chain()))
    else:
        path.write_bytes(capture(registers, chain(), assumed=["\ud800"]))
    asked(path, capsys)
    assert main(["diff", str(path), DEMO]) == 1
    assert main(["diff", DEMO, str(path)]) == 1


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A capture of 64 tables, each of 512 entries that lead anywhere among them: 512^4 pages, none beside the other."""
    draw = random.Random(7)
    tables = 64
    leads = [PA + 4096 * draw.randrange(tables) | 0b11 | 1 << 10 for _ in range(512 * tables)]
    entries = [each | draw.getrandbits(1) << 7 for each in leads]
    path = tmp_path_factory.mktemp("looping") / "dump"
    path.write_bytes(capture({name: hex(value) for name, value in REGISTERS.items()}, words(entries)))
    return str(path)


ALWAYS = {("map", ()), ("diff", ("--html",)), ("report", ("--json",))}


@pytest.mark.parametrize(
    ("words", "form"),
    [
        pytest.param(words, form, marks=() if (words[0], form) in ALWAYS else pytest.mark.full)
        for words in (("map",), ("report",), ("diff", DEMO))
        for form in FORMS
    ],
    ids=lambda each: "".join(each[:1]),
)
def test_tables_without_an_end_cost_so_much_and_no_more(
    words: tuple[str, ...], form: tuple[str, ...], looping: str
) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MEGABYTES << 20, MEMORY_MEGABYTES << 20))

    command = [sys.executable, "-m", "gdbtools.cli", *words, "-s", looping, *form]
    if words[0] == "diff":
        command = [sys.executable, "-m", "gdbtools.cli", "diff", DEMO, looping, *form]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, preexec_fn=limited)
    assert done.returncode in (0, 1), done.stderr[-500:]
    assert done.stderr == ""
    assert len(done.stdout) < OUTPUT_MEGABYTES << 20
    if not form:
        said = {"map": f"The first {MOST_RUNS} runs", "diff": f"The first {MOST_CHANGES} changes", "report": ""}
        assert said[words[0]] in done.stdout
        assert "more" in done.stdout, "it says what is left out"
