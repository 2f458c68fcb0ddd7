"""Ctrl-C twice: what GDB prints for the second is no line above the answer that the first has brought."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gdbtools.children import debugger
from gdbtools.children.debugger import Debugger, Printed

ANSWER = f'{debugger.ANSWER}, "status": 0}}\n'


class Fake:
    """A GDB that is at a command, and whose messages are a test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[Any] = []
        self.signals = 0
        self.gdb = Debugger(self.told.append)
        self.gdb._controller = SimpleNamespace(write=lambda *_, **__: None, gdb_process=SimpleNamespace(pid=0))
        self.gdb._loop = asyncio.get_running_loop()
        self.gdb.alive = True
        monkeypatch.setattr(debugger.os, "kill", self._kill)

    def _kill(self, *_: int) -> None:
        self.signals += 1

    async def ask(self, text: str, *, answers_later: bool) -> Awaitable[Any]:
        asked = asyncio.ensure_future(self.gdb.ask(text, answers_later=answers_later))
        await asyncio.sleep(0)
        return asked

    def hears(self, kind: str, payload: str) -> None:
        self.gdb._hear([{"type": kind, "payload": payload}])

    def quits(self) -> bool:
        """Return whether `Quit` was shown; GDB prints it for the interrupt now."""
        self.hears("log", "Quit\n")
        return any(isinstance(each, Printed) and "Quit" in each.text for each in self.told)


def run(monkeypatch: pytest.MonkeyPatch, test: Callable[[Fake], Awaitable[None]]) -> None:
    async def main() -> None:
        await test(Fake(monkeypatch))

    asyncio.run(main())


def test_a_second_ctrl_c_leaves_no_quit_beside_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(fake: Fake) -> None:
        asked = await fake.ask("-mmu --prompt service", answers_later=True)
        fake.gdb.interrupt()
        fake.gdb.interrupt()
        assert fake.signals == 2
        fake.hears("console", ANSWER)
        assert (await asked).answer == ANSWER
        assert not fake.quits()

    run(monkeypatch, test)


def test_nor_does_one_that_comes_when_the_answer_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(fake: Fake) -> None:
        asked = await fake.ask("-mmu --prompt service", answers_later=True)
        fake.gdb.interrupt()
        fake.hears("console", ANSWER)
        await asked
        place = asyncio.ensure_future(fake.gdb.ask("-data-evaluate-expression $pc", unasked=True))
        await asyncio.sleep(0)
        fake.gdb.interrupt()
        assert fake.signals == 2
        place.cancel()
        assert not fake.quits()

    run(monkeypatch, test)


def test_of_a_command_of_gdbs_quit_is_all_that_is_said_and_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(fake: Fake) -> None:
        asked = await fake.ask("-mmu --prompt service", answers_later=True)
        fake.gdb.interrupt()
        fake.hears("console", ANSWER)
        await asked
        await fake.ask("x/1000000x $pc", answers_later=False)
        fake.gdb.interrupt()
        assert fake.quits()

    run(monkeypatch, test)


def test_nobody_listens_any_more_when_gdb_has_been_left(gdb_path: str) -> None:
    """Python ends a thread that is left over with the program, wherever it is: it has been seen to crash there."""

    async def main() -> Debugger:
        gdb = Debugger(lambda _: None, gdb_path)
        gdb.start(["-nx"])
        assert (await gdb.ask("print 1")) is not None
        await gdb.leave()
        return gdb

    assert not asyncio.run(main())._listener.is_alive()
