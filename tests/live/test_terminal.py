"""At a terminal: colours, completion, help, and Ctrl-C typed."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gdbtools.children.processes import DIES_WITH_PARENT, Qemu
from gdbtools.commands import COMMANDS
from gdbtools.commands.arguments import CAUGHT
from tests.live.ctrl_c import wait_until_begun
from tests.live.fake_stub import Stub
from tests.live.session import CAPTURE, GUEST, INIT, Session, symbol
from tests.places import ROOT

pytestmark = pytest.mark.guest

ACCESSES = ("execute", "read", "read-code", "shadow-stack-read", "shadow-stack-write", "write")
KINDS = tuple(sorted(CAUGHT))

PROMPT = "(gdb) "
OSV = ROOT / "fixtures/captures/osv-1131.core"
DECODED = "0x9600004b: "
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Terminal:
    """A GDB at a pseudo-terminal of its own."""

    master: int
    process: subprocess.Popen[bytes]
    rest: str = ""

    def until(self, text: str, seconds: float = 240) -> str:
        """Return what is printed until `text` has been; what came with it is kept for the next time."""
        said, deadline = self.rest, time.monotonic() + seconds
        while text not in said:
            assert time.monotonic() < deadline, f"no {text!r} in {said!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                said += os.read(self.master, 1 << 12).decode(errors="replace")
        before, _, self.rest = said.partition(text)
        return before + text

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def say(self, command: str) -> str:
        self.type(f"{command}\n")
        return self.until(PROMPT)


@pytest.fixture
def terminal(gdb_path: str, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """GDB in colour at a terminal; a test's parameters, if any, are further environment variables."""
    master, slave = pty.openpty()
    wanted = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    environment = {**wanted, "TERM": "xterm", **getattr(request, "param", {})}
    quiet = ["-ex", "set confirm off", "-ex", "set pagination off"]
    command = [*DIES_WITH_PARENT, "setsid", "--ctty", gdb_path, "-nx", "-q", *quiet, "-ex", f"source {INIT}"]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    found = Terminal(master, process)
    try:
        found.until(PROMPT)
        yield found
    finally:
        process.kill()
        process.wait()
        os.close(master)


def colours(terminal: Terminal, stub: Path) -> list[str]:
    """Return the escape codes in what a command says."""
    with Stub(stub, CAPTURE):
        terminal.say(f"target remote {stub}")
        return COLOUR.findall(terminal.say("mmu esr 0x9600004b").partition(DECODED)[2])


def test_there_is_colour_at_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    terminal.say("set style enabled on")
    assert colours(terminal, tmp_path / "stub")


def test_there_is_none_where_the_style_of_gdb_is_off(terminal: Terminal, tmp_path: Path) -> None:
    terminal.say("set style enabled off")
    assert colours(terminal, tmp_path / "stub") == []


@pytest.mark.parametrize("terminal", [{"NO_COLOR": "1"}], ids=["NO_COLOR"], indirect=True)
def test_there_is_none_where_nobody_wants_it(terminal: Terminal, tmp_path: Path) -> None:
    terminal.say("set style enabled on")
    assert colours(terminal, tmp_path / "stub") == []


def test_there_is_none_outside_a_terminal(alone: Session, tmp_path: Path) -> None:
    alone.say("set style enabled on")
    with Stub(tmp_path / "stub", CAPTURE):
        alone.say(f"target remote {tmp_path / 'stub'}")
        said = alone.say("mmu esr 0x9600004b")
        assert DECODED in said
        assert "\x1b" not in said


EVERY_RUN = "762 runs of 3926 leaves, 2.47GB."


@pytest.fixture
def on_osv(terminal: Terminal) -> Terminal:
    """A screen of 40 lines, and a core that has hundreds of runs."""
    for each in ("set style enabled off", "set width 120", "set height 40", f"core-file {OSV}"):
        terminal.say(each)
    return terminal


def test_a_map_longer_than_gdb_s_screen_is_of_areas_and_a_pipe_has_every_run(on_osv: Terminal) -> None:
    said = on_osv.say("mmu map")
    assert f"24 areas of {EVERY_RUN}" in said
    assert "--runs lists every run" in said
    assert EVERY_RUN in on_osv.say("mmu map --runs").splitlines()
    assert "762" in on_osv.say("pipe mmu map | grep -c ^0x").splitlines()
    on_osv.say("set height 0")
    assert EVERY_RUN in on_osv.say("mmu map").splitlines(), "nothing is too long for it"


def test_a_map_that_is_logged_has_every_run(on_osv: Terminal, tmp_path: Path) -> None:
    on_osv.say(f"set logging file {tmp_path / 'said.txt'}")
    on_osv.say("set logging enabled on")
    on_osv.say("mmu map")
    on_osv.say("set logging enabled off")
    said = (tmp_path / "said.txt").read_text()
    assert sum(line.startswith("0x") for line in said.splitlines()) == 762


def test_ctrl_c_typed_ends_a_service_and_gdb_goes_on(qemu: str, terminal: Terminal) -> None:
    with Qemu(GUEST) as guest:
        terminal.say("set style enabled off")
        terminal.say(f"file {GUEST}")
        terminal.say(f"target remote {guest.gdbstub}")
        terminal.say("set var *(long *)&rounds = 1000")
        terminal.say(f"hbreak *{symbol('clear_access_flags')}")
        terminal.say("continue")
        terminal.say("delete")
        terminal.type("mmu service\n")
        wait_until_begun(terminal.process.pid)
        time.sleep(0.5)
        terminal.type("\x03")
        said = terminal.until("interrupted.")
        assert re.search("[0-9]+ access-flag faults? repaired", said)
        assert "Traceback" not in said
        terminal.until(PROMPT)
        assert "5 faults repaired, as asked" in terminal.say("mmu service --count 5")


def candidates(session: Session, text: str) -> list[str]:
    return session.say(f"complete {text}").splitlines()


def test_completion_gives_the_commands(alone: Session) -> None:
    assert candidates(alone, "mmu ca") == ["mmu capture", "mmu catch"]
    assert candidates(alone, "mmu ") == [f"mmu {name}" for name in sorted(COMMANDS.spellings)]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("mmu walk --a", ["mmu walk --access"]),
        ("mmu walk 0 --access ", [f"mmu walk 0 --access {kind}" for kind in ACCESSES]),
        ("mmu walk 0 --access w", ["mmu walk 0 --access write"]),
        ("mmu catch a", ["mmu catch access-flag", "mmu catch any"]),
        (
            "mmu catch ",
            [
                f"mmu catch {each}"
                for each in ("--access", "--handler", "--html", "--json", "--output", "--privilege", "--regime", *KINDS)
            ],
        ),
        ("mmu catch access-", ["mmu catch access-flag"]),
        ("mmu fixup --", [f"mmu fixup --{each}" for each in ("dry-run", "html", "json", "output", "resume")]),
        ("mmu fixup --resume --r", []),
        ("set mmu-vectors c", ["set mmu-vectors current"]),
    ],
)
def test_completion_gives_what_may_follow(alone: Session, typed: str, completed: list[str]) -> None:
    assert candidates(alone, typed) == completed


def test_completion_of_an_address_is_gdb_s_own(alone: Session) -> None:
    alone.say(f"file {GUEST}")
    assert "mmu walk touch_regions" in candidates(alone, "mmu walk touch_reg")


def test_help_lists_the_commands_and_explains_each(alone: Session) -> None:
    listing = alone.say("help mmu")
    for name, command in COMMANDS.items():
        for each in (name, *command.aliases):
            assert f"mmu {each} -- {command.summary}." in " ".join(listing.split())
        explained = alone.say(f"help mmu {name}")
        assert " ".join(command.description.split()) in " ".join(explained.split())
        assert max(map(len, explained.splitlines())) <= 80
        assert f"usage: mmu {name}" in explained
        assert alone.say(f"mmu {name} --help") in explained + "\n"


def test_what_a_syndrome_is_called_says_whose_a_value_is_and_whose_help(alone: Session) -> None:
    """With nothing attached."""
    for words, says in (("esr 0x96000006", "Data Abort"), ("scause 0xd", "load page fault"), ("pf 0x7", "#PF")):
        assert says in alone.say(f"mmu {words}")
    assert "--class" in alone.say("mmu esr --help")
    for name in ("scause", "pf"):
        assert "--class" not in alone.say(f"mmu {name} --help")


def test_a_row_is_a_line_where_a_pipe_reads_it(gdb_path: str) -> None:
    """GDB takes its width for unlimited then; what it has as COLUMNS it has set itself."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    asked = ["-ex", f"core-file {CAPTURE}", "-ex", "pipe mmu walk $pc | cat"]
    run = [*DIES_WITH_PARENT, gdb_path, "-nx", "-q", "-batch", "-x", str(INIT), *asked]
    rows = {}
    for name, given in (("unsaid", {}), ("said", {"COLUMNS": "80"})):
        out = subprocess.run(run, capture_output=True, text=True, env={**environment, **given}, check=True).stdout
        rows[name] = [line for line in out.splitlines() if re.match(r" +\d+ ", line)]
    assert [len(row) > 80 for row in rows["unsaid"]].count(True) > 0
    assert all(len(row) <= 80 for row in rows["said"])
    assert len(rows["unsaid"]) == len(rows["said"])


def test_the_settings_are_explained_and_shown(alone: Session) -> None:
    for name in ("mmu-dirty", "mmu-at-stop", "mmu-vectors"):
        assert alone.say(f"help set {name}").strip()
        assert " is " in alone.say(f"show {name}")
        assert "Undefined item" in alone.refusal(f"set {name} nosuch")
