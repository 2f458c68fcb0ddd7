"""Whoever asks through MCP only looks: nothing that he gives, for any argument of any tool, does anything else."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.machine.symbols import symbol_values
from tests.live.session import GUEST, INIT, INSIDE, STORM, Session
from tests.mcp.test_server import with_client
from tests.repl.guest import arguments
from tests.test_cli import DEMO

pytest.importorskip("mcp", reason="the package mcp is not installed")

FULL = os.environ.get("GDBTOOLS_FULL") == "1"
"""Whether each argument is given everything; else a third of it, and everything by three arguments."""
GIVEN = {"address": ["0x40200000"], "before": DEMO, "file": DEMO, "with": [], "pte": [], "change": ["AF=1"]}
"""What a tool takes for the arguments that are not tried."""


def attempts(mark: Path, pipe: Path) -> list[str]:
    """Return what would leave `mark` behind, wait at the pipe for ever, or change the guest, if it did what it says."""
    touch = f"touch {mark}"
    return [
        *(f'$_shell("{touch}")', f'$_gdb_setting_str("{mark}")', f'0x1, $_shell("{touch}")'),
        *("$x0 = 1", "$pc=0", "$x1++", "*(int *)0x40200000 = 0", "*(long*)0x40200000=0,+8", "x0=1"),
        *("cpu_main()", "((void (*)())0x40200000)()", "$_exitcode=1", "*0x40200000", "$_siginfo"),
        *(f"--output={mark}", f"-o{mark}", "-o", f"--write={mark}", f"--perfetto={mark}", f"--log={mark}", "--help"),
        *(f"0x1\nshell {touch}", f'0x1" ; shell {touch} "', f"$({touch})", f"`{touch}`", f"|{touch}", f"> {mark}"),
        *(str(mark), f"{mark}@0x0", str(pipe), f"{pipe}@0x0", "/dev/zero", "/dev/zero@0x0", "/dev/full", "/dev/tty"),
        *(f"qmp:{pipe}", "-", "--", "", "\x1b]0;title\x07", "\u202e"),
    ]


async def tried(client: Any, mark: Path, pipe: Path) -> list[tuple[str, str, str, Any]]:
    """Return all answers: tool, argument, what was tried, and what came of it."""
    found = []
    tries = attempts(mark, pipe)
    number = 0
    for tool in (await client.list_tools()).tools:
        properties = tool.input_schema["properties"]
        needed = {key: GIVEN[key] for key in tool.input_schema["required"]}
        for key, schema in properties.items():
            number += 1
            for word in tries if FULL else tries[number % 3 :: 3]:
                value = [word] if schema["type"] == "array" else word
                answer = await client.call_tool(tool.name, {**needed, key: value})
                found.append((tool.name, key, word, answer))
    return found


def checked(found: list[tuple[str, str, str, Any]], mark: Path, pipe: Path) -> None:
    assert len({name for name, *_ in found}) > 7
    assert os.listdir(mark.parent) == [pipe.name]
    # Words that name nothing are refused; what is answered is answered as a number, a name or a choice.
    answered = [each for each in found if not each[3].is_error]
    assert {(key, word) for _, key, word, _ in answered} <= {("type", word) for *_, word, _ in found}, answered
    for *_, answer in found:
        assert len(answer.content) == 1 or not answer.is_error
        assert all(each.isprintable() for each in answer.content[0].text.split("\n")), "it goes to a terminal some day"


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a pipe, which nobody writes to, and the name of a file that is not to come into being."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    return tmp_path / "mark", pipe


def test_on_a_dump_no_argument_of_any_tool_does_more_than_look(places: tuple[Path, Path]) -> None:
    checked(with_client(("-s", DEMO), lambda client: tried(client, *places)), *places)


@pytest.mark.guest
def test_on_a_guest_no_argument_of_any_tool_does_more_than_look(
    gdb_path: str, qemu: str, places: tuple[Path, Path]
) -> None:
    with Qemu(GUEST) as guest:
        before = _state(gdb_path, guest)

        async def talk(client: Any) -> Any:
            found = await tried(client, *places)
            for name in ("catch", "watch", "fixup", "pte", "service", "capture"):
                assert (await client.call_tool(name, {})).is_error
            good = await client.call_tool("walk", {"address": ["cpu_main", "&cpu_main+4", "$pc"]})
            assert [each["result"]["outcome"] for each in good.structured_content["answers"]] == ["mapped"] * 3
            _kill_gdb()
            return found

        found = with_client(("--attach", str(guest.gdbstub), "--elf", str(GUEST), "--gdb", gdb_path), talk)
        assert _state(gdb_path, guest) == before
    checked(found, *places)


@pytest.mark.guest
def test_a_guest_that_does_not_answer_is_given_up_and_asked_again_later(gdb_path: str, qemu: str) -> None:
    with Qemu(STORM) as guest:

        async def talk(client: Any) -> Any:
            os.kill(guest.pid, signal.SIGSTOP)
            hung = await client.call_tool("walk", {"address": ["$pc", "0x40200000"]})
            os.kill(guest.pid, signal.SIGCONT)
            return hung, [await answered(client) for _ in range(2)]

        async def answered(client: Any) -> Any:
            """Ask until there is an answer: on a busy machine the limit is over before another GDB has started."""
            while (answer := await client.call_tool("walk", {"address": ["$pc"]})).is_error:
                assert "took longer than 4 s" in answer.content[0].text
            return answer

        hung, later = with_client(("--attach", str(guest.gdbstub), "--limit", "4", "--gdb", gdb_path), talk)
    assert hung.is_error
    for answer in later:
        assert answer.structured_content["answers"][0]["result"]["input"] == f"{symbol_values(STORM)['_start']:#018x}"


def _state(gdb_path: str, guest: Qemu) -> Any:
    """Return all of the guest that can be changed, by a GDB that then goes without a word."""
    with Gdb(gdb_path, INIT) as gdb:
        session = Session(gdb)
        session.attach(GUEST, str(guest.gdbstub))
        session.say(f"source {INSIDE}")
        found = session.state(), session.say("x/4wx 0x40200000"), session.say("info breakpoints")
        gdb.kill()
    return found


def _kill_gdb() -> None:
    """End the server's GDB without its leave: by itself it would let the guest run."""
    (server,) = (pid for pid in _children(os.getpid()) if "mcp" in arguments(pid))
    (gdb,) = (pid for pid in _children(server) if "--interpreter=mi3" in arguments(pid))
    os.kill(gdb, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    return [int(each) for task in Path(f"/proc/{pid}/task").glob("*/children") for each in task.read_text().split()]
