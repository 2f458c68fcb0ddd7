"""Scripts: each line after the one before has come to its end, exit statuses, JSON, and a CI job's question."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from gdbtools.children.processes import Qemu
from gdbtools.errors import UsageError
from gdbtools.repl.script import requests
from tests.live.session import GUEST
from tests.places import ROOT
from tests.processes import SECONDS, gone_within
from tests.repl.conftest import GDBTOOLS
from tests.repl.guest import FOR_EVER, TO_SCAN

OSV = str(ROOT / "fixtures/captures/osv-1131.core")
LOOPS = ROOT / "fixtures/guests/tlb/tlb.elf"


def gdbtools(*words: str, given: str = "", home: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GDBTOOLS, *words], input=given, capture_output=True, text=True, check=False, timeout=SECONDS
    )


def lines(*commands: str) -> list[str]:
    return [word for command in commands for word in ("-c", command)]


def test_the_exit_status_is_that_of_the_last_command() -> None:
    found = "walk 0x100000120e40"
    assert gdbtools("open", OSV, *lines("status")).returncode == 0
    assert gdbtools("open", OSV, *lines("status", found)).returncode == 1
    assert gdbtools("open", OSV, *lines(found, "status")).returncode == 0


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (0, "status"),
        (1, "walk 0x100000120e40"),
        (2, "walk 0x1 --elephant"),
        (2, "regs TCR_EL9"),
        (2, "nosuch"),
        (2, "fixup --resume x"),
        (3, "catch any"),
        (3, "walk 0x1 > /nonexistent/file"),
        (0, "map | grep -q rw"),
        (1, "map | grep -q nosuch"),
        (1, "map --perm w --expect-none"),
        (0, "map 0x0,0x1000 --perm w --expect-none"),
        (0, "walk --help"),
        (0, "help"),
        (0, "walk --help | grep -q usage"),
        (1, "walk --help | grep -q nosuch"),
        (0, "help walk | grep -q usage"),
        (1, "help | grep -q nosuch"),
        (3, "walk --help > /nonexistent/file"),
    ],
)
def test_a_command_has_the_exit_status_that_the_command_line_gives(status: int, command: str) -> None:
    answered = gdbtools("open", OSV, "-c", command)
    assert answered.returncode == status, answered
    assert "Traceback" not in answered.stderr
    assert len(answered.stderr.splitlines()) == (1 if status > 1 else 0)


def test_help_goes_to_the_file_that_is_named(tmp_path: Path) -> None:
    for asked in ("walk --help", "help walk", "help"):
        answered = gdbtools("open", OSV, "-c", f"{asked} > {tmp_path / 'help'}")
        assert (answered.returncode, answered.stdout) == (0, "")
        assert "walk" in (tmp_path / "help").read_text()


def test_what_fails_is_the_last_command() -> None:
    answered = gdbtools("open", OSV, *lines("status | head -1", "nosuch", "esr 0x9600014b | head -1"))
    assert answered.returncode == 2
    assert answered.stdout == "aarch64, CPU 0 of 1, at EL1, MMU on\n"


def test_lines_come_from_files_and_from_standard_input_in_the_order_given(tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text("# a comment\n\nwalk $pc | head -1\n")
    first, second = "walk $pc+0x1000 | head -1", "esr 0x1 | head -1"
    answered = gdbtools("open", OSV, "-c", first, "-x", str(file), "-c", second)
    begins = [line[:14] for line in answered.stdout.splitlines()]
    assert begins == ["0x100000121e40", "0x100000120e40", "0x1: unknown r"]
    assert gdbtools("open", OSV, given="walk $pc | head -1\nquit\nnosuch\n").returncode == 0
    assert gdbtools("open", OSV, "-x", str(tmp_path / "nosuch")).returncode == 3


def test_with_json_there_are_json_lines_and_nothing_else(qemu: str, gdb_path: str) -> None:
    with Qemu(GUEST) as guest:
        words = ["attach", f"unix:{guest.gdbstub}", "--gdb", gdb_path, "--nx", "--json", "--elf", str(GUEST)]
        answered = gdbtools(*words, *lines(*TO_SCAN, "bt", "status", "walk $pc &vectors"))
    told = [json.loads(line) for line in answered.stdout.splitlines()]
    assert [line["command"] for line in told] == ["status", "walk", "walk"]
    assert {line["schema"] for line in told} == {"gdbtools/1"}
    assert "#0  0x0000000040201640 in clear_access_flags ()" in answered.stderr


def test_a_ci_job_boots_stops_asserts_and_leaves(qemu: str, gdb_path: str) -> None:
    run = ["run", "--guest", "access_flag", "--gdb", gdb_path, "--nx"]
    clean = gdbtools(*run, *lines(*TO_SCAN, "map 0x40000000,0x48000000 --perm wx --expect-none"))
    assert clean.returncode == 0, clean
    dirty = gdbtools(*run, *lines(*TO_SCAN, "map --perm wx --expect-none"))
    assert dirty.returncode == 1
    assert "where none is expected" in dirty.stdout


def test_a_guest_that_runs_behind_a_script_is_stopped_by_interrupt(qemu: str, gdb_path: str) -> None:
    with Qemu(LOOPS) as guest:
        words = ["attach", f"unix:{guest.gdbstub}", "--gdb", gdb_path, "--nx"]
        answered = gdbtools(*words, *lines("continue &", "shell sleep 1", "status", "interrupt", "info threads"))
    assert answered.returncode == 0, answered
    assert "As of the last stop" in answered.stdout
    assert "received signal SIGINT" in answered.stdout
    assert "* 1    Thread 1.1" in answered.stdout.partition("received signal")[2]


def test_a_block_of_gdb_s_is_one_command(qemu: str, gdb_path: str) -> None:
    with Qemu(LOOPS) as guest:
        script = "python\nfor each in (6,):\n    print(each * 7)\nend\ninfo threads\n"
        answered = gdbtools("attach", f"unix:{guest.gdbstub}", "--gdb", gdb_path, "--nx", given=script)
    assert answered.returncode == 0, answered
    assert answered.stdout.splitlines()[0] == "42"
    with pytest.raises(UsageError, match="'python' has no `end`"):
        list(requests(["python", "print(1)"]))


def test_a_guest_that_was_not_started_here_is_let_go(qemu: str, gdb_path: str) -> None:
    with Qemu(GUEST) as guest:
        assert gdbtools("attach", str(guest.gdbstub), "--gdb", gdb_path, "--nx", "-c", "status").returncode == 0
        assert guest.wait(SECONDS), "it stands still"
        assert "page fault outside application" in guest.output()


def test_an_error_of_gdb_s_is_a_status_and_one_line(qemu: str, gdb_path: str) -> None:
    with Qemu(LOOPS) as guest:
        answered = gdbtools("attach", f"unix:{guest.gdbstub}", "--gdb", gdb_path, "--nx", "-c", "x/i nosuch")
    assert answered.returncode == 2
    assert answered.stderr.splitlines() == ['No symbol table is loaded.  Use the "file" command.']


def test_what_gdb_refuses_for_us_is_refused_here_too(qemu: str, gdb_path: str) -> None:
    with Qemu(LOOPS) as guest:
        words = ("attach", f"unix:{guest.gdbstub}", "--gdb", gdb_path, "--nx")
        refused = gdbtools(*words, "-c", "fixup")
        absent = gdbtools(*words, "-c", f"diff {ROOT / 'README.md'}@0x0")
    assert (refused.returncode, absent.returncode) == (4, 3), (refused.stderr, absent.stderr)
    assert "nothing to repair" in refused.stderr


def test_where_nobody_answers_it_is_one_line_that_says_what_to_do(gdb_path: str) -> None:
    answered = gdbtools("attach", "unix:/nonexistent/socket", "--gdb", gdb_path, "--nx", "-c", "status")
    assert answered.returncode == 3
    assert len(answered.stderr.splitlines()) == 1
    assert "start QEMU with -s" in answered.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_script_that_is_interrupted_takes_everything_with_it(
    qemu: str, gdb_path: str, number: signal.Signals, status: int
) -> None:
    words = [*GDBTOOLS, "run", "--guest", "access_flag", "--gdb", gdb_path, "--nx", *lines(FOR_EVER, "continue")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "Continuing.\n"
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            process.send_signal(number)
            assert process.wait(SECONDS) == status
        finally:
            process.kill()
    assert gone_within(SECONDS, *map(int, children)), "a child of it is still there"
    assert len(children) == 2
