"""Lines at a prompt: nothing that was printed is drawn over, and no line is torn."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from pathlib import Path

import prompt_toolkit.application
import pytest

from gdbtools.children.debugger import Debugger, Progressed
from gdbtools.repl import mmu_client
from gdbtools.repl.attached import Attached, AttachTarget
from gdbtools.repl.runner import Runner
from gdbtools.repl.terminal.screen import Screen
from tests.repl.conftest import Start
from tests.repl.terminal import PROMPT


@pytest.mark.guest
def test_what_gdb_prints_without_a_newline_is_above_the_next_prompt(run: Start) -> None:
    terminal = run()
    terminal.wait("Stopped, ")
    for command, printed in (("echo hello", "hello"), ('printf "hi"', "hi"), ("output/x $pc", "0x40201768")):
        rows = terminal.answered(command)
        at = rows.index(printed)
        assert (rows[at - 1], rows[at + 1]) == (f"{PROMPT} {command}", PROMPT)


def test_a_sentence_that_comes_out_of_a_pipe_is_broken_as_on_the_screen(opened: Start) -> None:
    terminal = opened(lines=60)
    terminal.wait("Dump, CPU 0")
    rows = terminal.answered("fault")
    at = rows.index(f"{PROMPT} fault")
    piped = terminal.answered("fault | head -8")
    assert piped[piped.index(f"{PROMPT} fault | head -8") + 1 :][:8] == rows[at + 1 : at + 9]
    terminal.enter("map | grep -c ^0x")
    terminal.until(lambda rows: "762" in rows, "one line for each row of a table")


def test_an_answer_above_a_prompt_begins_its_own_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(print_it: Callable[[], None]) -> None:
        print_it()

    async def print_both() -> None:
        screen = Screen({}, stream=sys.stdout, application=prompt_toolkit.application.DummyApplication())
        screen.write("what GDB has begun")
        screen.begin_line()
        screen.write("an answer\n")
        while screen._pending:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(prompt_toolkit.application, "run_in_terminal", at_once)
    asyncio.run(print_both())
    assert capsys.readouterr().out == "what GDB has begun\nan answer\n"


def test_what_is_shown_next_takes_the_progress_line_away_whoever_shows_it() -> None:
    for shows in (Screen.begin_line, Screen.flush, lambda screen: screen.write("text\n")):
        stream = io.StringIO()
        screen = Screen({}, stream=stream, is_terminal=True)
        screen.progress(213, 600_000)
        assert stream.getvalue().endswith("Ctrl-C stops")
        shows(screen)
        assert stream.getvalue().partition("Ctrl-C stops")[2] in ("\r\x1b[K", "\r\x1b[Ktext\n")


def test_keeping_a_stop_leaves_no_progress_line_while_the_guest_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    runner = Runner(Screen({}, stream=stream, is_terminal=True), interactive=True)
    attached = Attached(runner.hear, AttachTarget(":1", Path("unused")), 80)

    async def scans(*_: object) -> None:
        runner.hear(Progressed(213, 600_000))

    monkeypatch.setattr(mmu_client, "answer", scans)
    monkeypatch.setattr(Debugger, "attached", property(lambda _: True))
    asyncio.run(attached._keep())
    assert "213 tables" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
