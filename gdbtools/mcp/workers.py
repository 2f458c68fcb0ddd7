"""Processes that answer for the MCP server, one question each at a time; one that does not come back is ended.

What hangs cannot be stopped from within: a stub that is silent, a file system that is gone, tables without an end.  So
each question is answered in a process of its own, GDB where there is a guest, and the others go on.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from gdbtools.children.mi import Gdb, quoted
from gdbtools.commands.parser import HelpWanted
from gdbtools.errors import GdbtoolsError, Unavailable, UsageError, crossed, crossing

PATIENCE_SECONDS = 3600.0
"""More than any question may take: whoever asks has a limit of its own."""
ATTACH_SECONDS = 20.0
LEAVE_SECONDS = 2.0
PHYSICAL_MODE = "qqemu.PhyMemMode"
"""What every QEMU answers by 0 or 1."""
AT_ONCE = 4
"""How many questions are answered at a time, where that many can be."""

Ask = Callable[[str, Sequence[str]], Sequence[str]]
"""Answer a command's words with lines of JSON; raises `GdbtoolsError`."""


class Worker(Protocol):
    """A process that answers."""

    def ask(self, name: str, words: Sequence[str]) -> Sequence[str]:
        """Return the lines of JSON that answer a command's words; raises `GdbtoolsError`."""
        ...

    def alive(self) -> bool:
        """Return whether it can be asked."""
        ...

    def interrupt(self) -> None:
        """Have it leave what it is at, if it can."""
        ...

    def kill(self) -> None:
        """End it, whatever it is at, and with it a question that another thread waits for."""
        ...

    def end(self) -> None:
        """End it, as one that is at nothing is ended."""
        ...


class GdbWorker:
    """A GDB that is attached to a guest."""

    def __init__(self, gdb: str, address: str, elf: str | None, init: Path, acts: bool) -> None:
        self._gdb = Gdb(gdb, init)
        self._how = "--assistant --allow-writes" if acts else "--assistant"
        self._gdb.__enter__()
        try:
            if elf is not None:
                self._gdb.run(f"file {elf}")
            reply = self._gdb.run(f"target remote {address}", ATTACH_SECONDS)
            if reply.error:
                raise Unavailable(f"GDB says of {address}: {reply.error}; is QEMU's gdbstub there?")
        except BaseException:
            self.kill()
            raise

    def ask(self, name: str, words: Sequence[str]) -> Sequence[str]:
        reply = self._gdb.run(" ".join([f"-mmu {self._how}", name, *map(quoted, words)]), PATIENCE_SECONDS)
        if reply.error:
            raise Unavailable(reply.error)
        printed = (line for line in reply.text.splitlines() if line.startswith('{"schema"'))
        told: dict[str, Any] = json.loads(reply.results.get("answer") or next(printed, "{}"))
        if "error" in told:
            error = crossed(told["error"])
            if isinstance(error, Unavailable) and not self._sound():
                # Whoever asks next does it by a new connection.
                self.kill()
            raise error
        lines: Sequence[str] = told.get("lines") or told.get("help", "").splitlines()
        return lines

    def _sound(self) -> bool:
        """Return whether the stub answers, and answers what it is asked: a question whose answer is known shows it."""
        reply = self._gdb.run(f"maint packet {PHYSICAL_MODE}")
        return not reply.error and re.search(r'received: "[01]"', reply.text) is not None

    def alive(self) -> bool:
        return self._gdb.alive()

    def interrupt(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._gdb.pid, signal.SIGINT)

    def kill(self) -> None:
        # Not asked to leave: then GDB would let the guest run.
        self._gdb.kill()

    def end(self) -> None:
        self._gdb.__exit__(None, None, None)


class DumpWorker:
    """A process that has a dump open: what `opened` makes there answers."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Ask]]) -> None:
        # A new interpreter: a copy of this one would have its threads' locks and its connection to the client.
        context = multiprocessing.get_context("spawn")
        self._ours, its = context.Pipe()
        self._process = context.Process(target=_serve, args=(its, opened), daemon=True)
        self._process.start()
        its.close()
        try:
            self._answer()
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        assert self._process.pid is not None, "it was started"
        return self._process.pid

    def ask(self, name: str, words: Sequence[str]) -> Sequence[str]:
        with suppress(OSError):
            # One that is gone is noticed by what it does not answer.
            self._ours.send((name, tuple(words)))
        return self._answer()

    def _answer(self) -> Sequence[str]:
        try:
            error, lines = self._ours.recv()
        except (EOFError, OSError):
            raise Unavailable("what answers has ended before it did; ask again, or for less") from None
        if error is not None:
            raise crossed(error)
        found: Sequence[str] = lines
        return found

    def alive(self) -> bool:
        return self._process.is_alive()

    def interrupt(self) -> None:
        # It may hold a guest, which is then to run on.
        if self._process.is_alive():
            os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def end(self) -> None:
        self.interrupt()
        self._process.join(LEAVE_SECONDS)
        self.kill()


def _serve(questions: Connection, opened: Callable[[], AbstractContextManager[Ask]]) -> None:
    """Answer until nobody asks any more, or Ctrl-C, which `interrupt` sends."""
    # What it has of the server's: the connection to the client.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            with opened() as ask:
                questions.send((None, ()))
                while True:
                    name, words = questions.recv()
                    questions.send(_said(ask, name, words))
        except GdbtoolsError as error:
            questions.send((crossing(error), ()))


def _said(ask: Ask, name: str, words: Sequence[str]) -> tuple[dict[str, Any] | None, Sequence[str]]:
    try:
        return None, tuple(ask(name, words))
    except HelpWanted as text:
        return crossing(UsageError(str(text))), ()
    except GdbtoolsError as error:
        return crossing(error), ()
    except Exception as bug:
        # The others want answers all the same; this one is told, and whoever looks after the server sees where.
        traceback.print_exc()
        return crossing(Unavailable(f"gdbtools failed at this ({type(bug).__name__}: {bug}); please report it")), ()


class Pool:
    """Workers, as many at a time as may be: made when there is none that is free, and ended when one is too slow."""

    def __init__(self, make: Callable[[], Worker], most: int, seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._free: list[Worker] = []
        self._all: set[Worker] = set()
        self._room = asyncio.Semaphore(most)

    async def ask(self, name: str, words: Sequence[str]) -> Sequence[str]:
        """Answer a question; raises `Unavailable` for one that takes longer than it may."""
        async with self._room:
            taken: list[Worker] = []
            task = asyncio.ensure_future(asyncio.to_thread(self._asked, taken, name, words))
            try:
                return await asyncio.wait_for(asyncio.shield(task), self._seconds)
            except asyncio.TimeoutError:
                raise Unavailable(
                    f"`{name}` took longer than {self._seconds:g} s and was ended; ask for less, or allow more: "
                    "gdbtools mcp --limit SECONDS"
                ) from None
            finally:
                if not task.done():
                    await self._given_up(taken, task)

    def _asked(self, taken: list[Worker], name: str, words: Sequence[str]) -> Sequence[str]:
        """Answer by a worker that is free, or a new one; in a thread, and in `taken` it is seen from others."""
        worker = self._free.pop() if self._free else self._make()
        self._all.add(worker)
        taken.append(worker)
        try:
            return worker.ask(name, words)
        finally:
            if worker in self._all and worker.alive():
                self._free.append(worker)

    async def _given_up(self, taken: list[Worker], task: asyncio.Future[Sequence[str]]) -> None:
        """End who did not answer: first by its own leave, in which it puts back what it has changed."""
        for worker in taken:
            self._all.discard(worker)
            worker.interrupt()
            await asyncio.wait({task}, timeout=LEAVE_SECONDS)
            await asyncio.to_thread(worker.kill)
        if taken:
            with suppress(GdbtoolsError):
                await task

    def start(self) -> None:
        """Make the first worker: what cannot be opened is said before anybody asks."""
        worker = self._make()
        self._free.append(worker)
        self._all.add(worker)

    def end(self) -> None:
        """End all of them."""
        for worker in self._all:
            worker.end()
