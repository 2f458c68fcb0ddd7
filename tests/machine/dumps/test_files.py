"""What is read has an end, and what is written is whole or absent: pipes, devices, folders, full disks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.commands.service.fault_log import FaultLog
from gdbtools.errors import Malformed, Unavailable
from gdbtools.machine.dumps.files import SMALL_BYTES, read_small
from tests.commands.test_trace import REPAIRED
from tests.places import ROOT
from tests.test_cli import DEMO

KINDS = ("pipe", "device", "socket", "folder")


@pytest.fixture
def no_files(tmp_path: Path) -> Iterator[dict[str, str]]:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        found = {"pipe": str(tmp_path / "pipe"), "device": "/dev/zero", "socket": str(tmp_path / "socket")}
        yield {**found, "folder": str(tmp_path)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_wherever_a_file_is_read(
    kind: str, no_files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = no_files[kind]
    for words in (
        ["map", "-s", name],
        ["map", "-s", f"{name}@0x40000000"],
        ["walk", "0", "-s", DEMO, "--registers", name],
        ["walk", "main", "-s", DEMO, "--elf", name],
        ["diff", DEMO, name],
        ["diff", name, DEMO],
        ["diff", DEMO, DEMO, "--before-registers", name],
        ["trace", name],
    ):
        assert main(words) == (3 if kind == "folder" else 4), words
        out, err = capsys.readouterr()
        assert out == ""
        assert len(err.splitlines()) == 1
        assert f"is a {kind}" in err


def test_a_small_file_that_is_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "registers.json"
    path.touch()
    os.truncate(path, SMALL_BYTES + 1)
    with pytest.raises(Malformed, match="which no such file has"):
        read_small(path)


def shell(line: str) -> subprocess.CompletedProcess[str]:
    command = f'gdbtools() {{ "{sys.executable}" -m gdbtools.cli "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize(
    "line",
    [
        f"gdbtools map -s {DEMO} > /dev/full",
        f"gdbtools map -s {DEMO} >&-",
        f"gdbtools map -s {DEMO} -o /dev/full",
        "gdbtools --help > /dev/full",
        f"gdbtools open {DEMO} -c map > /dev/full",
        f"gdbtools open {DEMO} -c 'map > /dev/full'",
    ],
)
def test_an_answer_that_cannot_be_written_is_one_line_and_never_a_finding(line: str) -> None:
    done = shell(line)
    assert done.returncode == 3, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("gdbtools: ")


def test_what_the_terminal_s_encoding_has_not_is_written_out() -> None:
    done = shell(f"PYTHONIOENCODING=ascii gdbtools report -s {DEMO}")
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.isascii()


def test_at_the_prompt_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for line, there in (("status > {}", 1), ("status >> {}", 2), ("walk nonsense > {}", 2)):
        shell(f"gdbtools open {DEMO} -c '{line.format(file)}'")
        assert file.read_text().count("MMU on") == there
    assert [*tmp_path.iterdir()] == [file]


def test_a_trace_that_cannot_be_written_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = tmp_path / "log", tmp_path / "trace"
    with FaultLog(log) as file:
        for _ in range(3):
            file.write(REPAIRED)
    with log.open("a") as damaged:
        damaged.write("{}\n")
    out.write_text("before")
    assert main(["trace", str(log), "--perfetto", str(out)]) == 3
    assert main(["trace", str(log), "--perfetto", "/dev/full"]) == 3
    assert out.read_text() == "before"
    assert sorted(tmp_path.iterdir()) == [log, out]
    assert "Traceback" not in capsys.readouterr().err


def test_a_log_on_a_full_disk_says_so_at_the_fault_that_is_not_written() -> None:
    with FaultLog(Path("/dev/full")) as log, pytest.raises(Unavailable, match="the log /dev/full cannot be written"):
        log.write(REPAIRED)


@pytest.mark.parametrize("field", ["time", "seconds", "cpu", "pc", "va", "around", "level", "before"])
@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", "1e999", "-1", '"-0x1"', "[]", "9" * 400])
def test_a_number_that_no_service_writes_is_a_damaged_log(
    field: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"time": "0.1", "seconds": "0.1", "cpu": "0", "pc": '"0x1"', "symbol": '""', "va": '"0x2"'}
    said |= {"access": '"read"', "level": "3", "verdict": '"x"', "before": "null", "after": "null", "around": "0"}
    said[field] = value
    path = tmp_path / "log"
    path.write_text("{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in said.items()) + "}\n")
    assert main(["trace", str(path)]) == (0 if field == "level" and value == "-1" else 3)
    out, err = capsys.readouterr()
    assert bool(out) != bool(err)
    assert "Traceback" not in err


def test_a_log_that_cannot_be_made_is_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="name a file that can be written"):
        FaultLog(tmp_path / "none" / "log")
