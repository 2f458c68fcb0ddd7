"""Workers of the MCP server: a question that hangs is ended, and the others are answered meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import pytest

from gdbtools.cli import _offline
from gdbtools.commands.sources import sources
from gdbtools.errors import Refused, Unavailable, UsageError
from gdbtools.mcp.server import parser
from gdbtools.mcp.workers import DumpWorker, Pool
from tests.test_cli import DEMO

FOR_EVER = 600.0
"""Longer than the test is let run: who waits for it fails."""


class Pretended:
    """A worker that hangs when it is told to, until it is killed."""

    def __init__(self, listens: bool = False) -> None:
        self.listens = listens
        self.was: list[str] = []
        self._killed = threading.Event()

    def ask(self, name: str, words: Sequence[str]) -> Sequence[str]:
        if name == "hang":
            self._killed.wait(FOR_EVER)
            raise Unavailable("it was killed")
        if name == "refuse":
            raise Refused("no")
        return (name, *words)

    def alive(self) -> bool:
        return not self._killed.is_set()

    def interrupt(self) -> None:
        self.was.append("interrupted")
        if self.listens:
            self._killed.set()

    def kill(self) -> None:
        self.was.append("killed")
        self._killed.set()

    def end(self) -> None:
        self.was.append("ended")


def test_while_a_question_hangs_the_others_are_answered() -> None:
    made: list[Pretended] = []

    async def talk() -> None:
        pool = Pool(lambda: made.append(Pretended()) or made[-1], 2, FOR_EVER)  # type: ignore[func-returns-value]
        pool.start()
        hangs = asyncio.create_task(pool.ask("hang", ()))
        await asyncio.sleep(0)
        for number in range(20):
            assert await pool.ask("walk", (str(number),)) == ("walk", str(number))
        assert not hangs.done(), "it still hangs"
        made[0].kill()
        with pytest.raises(Unavailable, match="it was killed"):
            await hangs
        pool.end()

    asyncio.run(talk())
    assert len(made) == 2


def test_a_question_that_takes_too_long_is_ended_and_the_next_is_answered_by_another() -> None:
    made: list[Pretended] = []

    async def talk() -> None:
        pool = Pool(lambda: made.append(Pretended()) or made[-1], 2, 0.2)  # type: ignore[func-returns-value]
        pool.start()
        with pytest.raises(Unavailable, match="`hang` took longer than"):
            await pool.ask("hang", ())
        assert not made[0].alive()
        pool.end()

    asyncio.run(talk())
    assert [each.was for each in made] == [["interrupted", "killed"]]


def test_a_dump_s_process_that_stands_still_is_ended_and_another_answers() -> None:
    wanted = sources(vars(parser().parse_args(["-s", DEMO])))
    made: list[DumpWorker] = []

    async def talk() -> None:
        pool = Pool(lambda: made.append(DumpWorker(partial(_offline, wanted, False))) or made[-1], 1, 3.0)  # type: ignore[func-returns-value]
        pool.start()
        os.kill(made[0].pid, signal.SIGSTOP)
        with pytest.raises(Unavailable, match="`walk` took longer than"):
            await pool.ask("walk", ("0x40200000",))
        assert not made[0].alive()
        (line,) = await answered(pool)
        assert json.loads(line)["result"]["outcome"] == "mapped"
        with pytest.raises(UsageError, match="does more than look"):
            await pool.ask("capture", ("/nonexistent/x",))
        pool.end()

    async def answered(pool: Pool) -> Sequence[str]:
        """Ask until there is an answer: on a busy machine the limit is over before another process has started."""
        while True:
            with suppress(Unavailable):
                return await pool.ask("walk", ("0x40200000",))

    asyncio.run(talk())
    assert len(made) > 1
    assert not any(each.alive() for each in made)


def test_with_one_at_a_time_the_next_is_answered_by_another_once_the_first_is_given_up() -> None:
    made: list[Pretended] = []

    async def talk() -> None:
        pool = Pool(lambda: made.append(Pretended(True)) or made[-1], 1, 0.2)  # type: ignore[func-returns-value]
        hangs = asyncio.create_task(pool.ask("hang", ()))
        await asyncio.sleep(0)
        assert await pool.ask("walk", ()) == ("walk",)
        assert hangs.done()
        with pytest.raises(Unavailable):
            await hangs

    asyncio.run(talk())
    assert [each.was for each in made] == [["interrupted", "killed"], []]


def test_a_refusal_ends_nobody() -> None:
    made: list[Pretended] = []

    async def talk() -> None:
        pool = Pool(lambda: made.append(Pretended()) or made[-1], 1, FOR_EVER)  # type: ignore[func-returns-value]
        for _ in range(3):
            with pytest.raises(Refused):
                await pool.ask("refuse", ())

    asyncio.run(talk())
    assert len(made) == 1
