"""`trace`: what the log says, counted, and as Perfetto's events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.commands.service.fault_log import FaultLog, Logged, read_log

REPAIRED = Logged(
    0.5, 0.001, 2, 0xFFFF_8000_0000_1000, "memcpy + 4", 0x1234_5000, "write", 3, "tables agree", 3, 0x403, 2
)
SPURIOUS = Logged(0.75, 0.0005, 0, 0x4000, "", 0x1234_5008, "read", None, "tables permit", None, None, 0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with FaultLog(tmp_path / "log") as file:
        file.write(REPAIRED)
        file.write(SPURIOUS)
    return tmp_path / "log"


def test_a_log_reads_back_as_it_was_written(log: Path) -> None:
    assert list(read_log(log)) == [REPAIRED, SPURIOUS]


def test_a_log_is_one_object_a_line_with_addresses_as_hex_strings(log: Path) -> None:
    first = json.loads(log.read_text().splitlines()[0])
    assert first["va"] == "0x0000000012345000"
    assert first["after"] == "0x0000000000000403"
    wanted = {"time", "cpu", "pc", "symbol", "va", "access", "level", "verdict", "before", "after"}
    assert wanted <= set(first)


def test_a_trace_has_a_track_for_each_cpu_and_a_slice_for_each_fault(log: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "trace"
    assert main(["trace", str(log), "--perfetto", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["result"]
    assert (answer["faults"], answer["around"]) == (2, 2)
    events = json.loads(out.read_text())["traceEvents"]
    names = {each["tid"]: each["args"]["name"] for each in events if each["name"] == "thread_name"}
    assert list(names.values()) == ["CPU 0", "CPU 2"]
    slices = [each for each in events if each["ph"] == "X"]
    assert [(names[each["tid"]], each["ts"], each["dur"]) for each in slices] == [
        ("CPU 2", 500_000, 1000),
        ("CPU 0", 750_000, 500),
    ]
    assert [each["name"] for each in slices] == ["write memcpy + 4", "read 0x4000"]
    assert slices[0]["args"]["before"] == "0x0000000000000003"


def test_without_perfetto_it_only_counts(log: Path, capsys) -> None:
    assert main(["trace", str(log)]) == 0
    said = capsys.readouterr().out
    assert "2 faults" in said
    assert "tables permit" in said


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"time": "x"}', "null"])
def test_a_line_that_is_no_fault_is_named(log: Path, capsys, line: str) -> None:
    log.write_text(log.read_text() + line + "\n")
    assert main(["trace", str(log)]) == 3
    assert "line 3 is no fault" in capsys.readouterr().err


def test_a_log_that_is_not_there_is_one_line(tmp_path: Path, capsys) -> None:
    assert main(["trace", str(tmp_path / "none")]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_hottest_pages_and_places_and_the_kinds_of_access_are_counted(log: Path, capsys) -> None:
    assert main(["trace", str(log), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["result"]
    assert answer["accesses"] == {"write": 1, "read": 1}
    assert answer["pages"] == [{"page": f"{0x1234_5000:#018x}", "faults": 2}]
    assert {each["place"] for each in answer["code"]} == {"memcpy + 4", "0x4000"}
