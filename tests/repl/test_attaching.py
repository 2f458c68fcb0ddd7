"""Attaching where something is in the way: said at once, or survived; and what is known when QEMU has gone."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gdbtools.children.stub_holder import holder
from gdbtools.errors import Unavailable
from gdbtools.repl import attached
from gdbtools.repl.terminal.screen import Screen
from tests.live.fake_stub import Stub
from tests.live.session import CAPTURE, INIT, gdb_session
from tests.repl.conftest import GDBTOOLS, Start
from tests.repl.guest import kill

HOOKS = """
set prompt foreign>
define hook-stop
 error_of_a_hook
end
define hookpost-target
 error_of_a_hook
end
define target hookpost-remote
 python raise gdb.error("say it otherwise")
end
python
def context(event):
    raise gdb.error("no context")
gdb.events.stop.connect(context)
gdb.prompt_hook = lambda current: "foreign> "
end
"""
"""A set-up of GDB's that does what well-known ones do, and fails at it."""


def answers(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    everything = {**os.environ, **environment}
    return subprocess.run([*GDBTOOLS, *words], capture_output=True, text=True, check=False, timeout=120, env=everything)


@pytest.mark.guest
def test_foreign_hooks_that_fail_are_survived_and_named(qemu: str, gdb_path: str, tmp_path: Path) -> None:
    (tmp_path / ".gdbinit").write_text(HOOKS)
    asked = ("-c", "hbreak clear_access_flags", "-c", "continue", "-c", "status")
    said = answers("run", "--gdb", gdb_path, "--guest", "access_flag", *asked, HOME=str(tmp_path))
    assert said.returncode == 0, said.stderr
    assert "at EL1, MMU on" in said.stdout
    assert "--nx leaves ~/.gdbinit out" in " ".join(said.stdout.split())


def test_a_stub_that_another_debugger_holds_is_told_at_once(gdb_path: str, tmp_path: Path) -> None:
    with Stub(tmp_path / "stub", CAPTURE) as stub, gdb_session(gdb_path) as session:
        session.say(f"target remote {stub.path}")
        said = answers("attach", f"unix:{stub.path}", "--gdb", gdb_path, "--nx", "-c", "status")
    assert said.returncode == 3
    assert "another debugger is attached to" in said.stderr


def test_who_holds_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"localhost:{listener.getsockname()[1]}"
        assert holder(address) == ""
        with socket.create_connection(listener.getsockname()):
            assert holder(address).endswith(f"(process {os.getpid()})")
        assert holder("203.0.113.1:1234") == "", "of another host nothing is known"


def test_a_stub_that_says_nothing_is_given_up(gdb_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one on another host that a debugger holds, of which this host knows nothing."""
    monkeypatch.setattr(attached, "ATTACH_SECONDS", 0.5)

    async def opened(address: str) -> None:
        session = attached.Attached(
            lambda news: None, attached.AttachTarget(address, INIT, gdb=gdb_path, plain=True), 80
        )
        try:
            await session.open()
        finally:
            await session.close()

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Unavailable, match="says nothing"):
        asyncio.run(opened(f"127.0.0.1:{listener.getsockname()[1]}"))


def test_a_program_is_told_from_a_machine_and_is_let_go(gdb_path: str, tmp_path: Path) -> None:
    with Stub(tmp_path / "stub", CAPTURE, serves_a_program=True) as stub:
        said = answers("attach", str(stub.path), "--gdb", gdb_path, "--nx", "-c", "print 1")
        assert said.returncode == 0, said.stderr
        assert "This stub serves a program" in said.stdout
        assert stub.ended == "D"


@pytest.mark.guest
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONWARNINGS": "error"},
        {"PYTHONDEVMODE": "1", "PYTHONOPTIMIZE": "2"},
        {"LC_ALL": "tr_TR.UTF-8", "HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
        {"LC_ALL": "C", "TERM": "", "COLUMNS": "20"},
    ],
    ids=lambda each: " ".join(each),
)
def test_whatever_the_surroundings_say_a_guest_is_looked_at(
    qemu: str, gdb_path: str, environment: dict[str, str]
) -> None:
    said = answers("run", "--gdb", gdb_path, "--guest", "access_flag", "-c", "walk $pc", **environment)
    assert said.returncode == 0, said.stderr
    assert "MMU off" in " ".join(said.stdout.split())


@pytest.mark.guest
def test_a_guest_of_32_bit_arm_is_told_by_its_own_registers(qemu: str, gdb_path: str) -> None:
    """Whatever the program is called that emulates it."""
    machine = ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a15", "-display", "none", "-nic", "none")
    said = answers("run", "--gdb", gdb_path, "--nx", "-c", "print 1", "-c", "status", "--", *machine)
    assert "aarch32, CPU 0 of 1, at PL1, MMU off" in " ".join(said.stdout.split()), said.stderr
    assert said.returncode == 0


def test_a_gdb_that_is_not_there_is_named() -> None:
    said = answers("attach", "--gdb", "/nonexistent", "-c", "status")
    assert (said.returncode, said.stderr) == (
        3,
        "gdbtools: /nonexistent is no program that can be run; name a GDB: --gdb gdb-multiarch\n",
    )


@pytest.mark.guest
def test_what_was_kept_answers_after_qemu_has_gone(run: Start) -> None:
    terminal = run(lines=50)
    terminal.enter("hbreak clear_access_flags")
    terminal.enter("continue")
    terminal.wait("Breakpoint 1, ")
    terminal.enter("delete")
    terminal.enter("set var *(int *)$pc = 0x14000000")
    terminal.enter("continue")
    terminal.wait("running")
    kill(terminal, "qemu")
    terminal.wait("QEMU has ended")
    terminal.enter("walk &vectors")
    terminal.wait("As of the last stop")
    terminal.wait("0x40200000")


def test_an_answer_begins_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen({}, stream=sys.stdout)
    screen.write("a guest's line without its end")
    screen.begin_line()
    screen.write("an answer\n")
    screen.begin_line()
    screen.write("another\n")
    assert capsys.readouterr().out == "a guest's line without its end\nan answer\nanother\n"
