"""A GDB child that is spoken to from an event loop: nothing here waits for it, and what it says comes as events."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pygdbmi.gdbcontroller import GdbController

from gdbtools.children.mi import ANSWER_SECONDS
from gdbtools.children.processes import DIES_WITH_PARENT, WITH_ITS_OWN_PYTHON, ended_how, find_gdb
from gdbtools.errors import Unavailable

IN_ITS_OWN_SESSION = ("setsid", "--")
"""Ctrl-C at our terminal is ours to pass on."""
QUIT = "Quit"
"""What GDB prints for an interrupt that it meets between two commands."""
LISTEN_SECONDS = 0.2
LEAVE_SECONDS = 2.0
PROGRESS = re.compile(r"mmu-progress (\d+) (\d+)\n")
ANSWER = '{"schema": '
"""How an answer begins that a command gives on the console, because it has run the guest."""


class DebuggerLost(Unavailable):
    """GDB is gone, or went while it was asked."""


@dataclass(frozen=True)
class Printed:
    """Text of GDB's or the guest's, as it comes: whole lines or pieces of them."""

    text: str
    is_error: bool = False


@dataclass(frozen=True)
class Progressed:
    """How much memory a scan has read so far."""

    reads: int
    size_bytes: int


@dataclass(frozen=True)
class Resumed:
    """The guest runs."""


@dataclass(frozen=True)
class Stopped:
    """The guest has stopped."""


@dataclass(frozen=True)
class Detached:
    """There is no guest any more: it has ended, or the connection has."""


@dataclass(frozen=True)
class Gone:
    """GDB itself has ended; `how` says by what."""

    how: str


Event = Printed | Progressed | Resumed | Stopped | Detached | Gone


@dataclass(frozen=True)
class DebuggerReply:
    """What a command came to: an error or an empty string, and whether GDB has printed it already."""

    error: str
    printed: bool
    results: Mapping[str, Any]
    answer: str = ""
    """The JSON that a command of ours gave, in its result or on the console."""


@dataclass
class _Question:
    future: asyncio.Future[DebuggerReply]
    text: str
    unasked: bool = False
    answers_later: bool = False
    log: str = ""


@dataclass
class Debugger:
    """GDB, from `start` to `leave`; `tell` hears of everything that no command asked for."""

    tell: Callable[[Event], None]
    path: str = ""
    _controller: GdbController = field(init=False, repr=False)
    _loop: asyncio.AbstractEventLoop = field(init=False, repr=False)
    _listener: threading.Thread = field(init=False, repr=False)
    _asked: dict[int, _Question] = field(default_factory=dict, init=False)
    _echoes: deque[str] = field(default_factory=deque, init=False)
    _tokens: Any = field(default_factory=lambda: count(1), init=False)
    _leaving: bool = field(default=False, init=False)
    alive: bool = field(default=False, init=False)
    running: bool = field(default=False, init=False)
    attached: bool = field(default=False, init=False)
    waits: bool = field(default=False, init=False)
    """Whether the guest runs by a command without `&`: GDB then reads nothing until it has stopped."""
    _interrupted: bool = field(default=False, init=False)
    _answers_for_itself: bool = field(default=False, init=False)
    """Whether what was interrupted is a command of ours, whose answer says how it ended."""

    def start(self, words: Sequence[str] = ()) -> None:
        """Start GDB with these arguments; raises `Unavailable` where there is none."""
        before = (*DIES_WITH_PARENT, *IN_ITS_OWN_SESSION, *WITH_ITS_OWN_PYTHON)
        command = [*before, find_gdb(self.path), "-q", "--interpreter=mi3", *words]
        self._controller = GdbController(command, time_to_check_for_additional_output_sec=ANSWER_SECONDS)
        self._loop = asyncio.get_running_loop()
        self.alive = True
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        process = self._controller.gdb_process
        assert process is not None, "it was started"
        return int(process.pid)

    @property
    def busy(self) -> bool:
        """Whether GDB is at a command of the user's."""
        return any(not each.unasked for each in self._asked.values()) or self.waits

    async def ask(self, text: str, unasked: bool = False, answers_later: bool = False) -> DebuggerReply:
        """Send one console or MI command and give its result; raises `DebuggerLost` if GDB goes before it comes.

        A command that runs the guest in the foreground is answered when it runs, or, if it `answers_later`, by its JSON
        on the console.  What it prints comes as events.  One that the user has not asked for is `unasked`: Ctrl-C is
        not for it.
        """
        if not self.alive:
            raise DebuggerLost("GDB is gone; `reconnect` starts it again")
        token = next(self._tokens)
        if not unasked:
            self._answers_for_itself = False
        asked = self._asked[token] = _Question(self._loop.create_future(), text, unasked, answers_later)
        if not text.startswith("-"):
            self._echoes.append(text)
        try:
            self._controller.write(f"{token}{text}", read_response=False)
        except OSError:
            del self._asked[token]
            raise DebuggerLost("GDB is gone; `reconnect` starts it again") from None
        return await asked.future

    def interrupt(self) -> None:
        """Stop what goes on, the command that GDB is at and the guest: the second time, by both ways there are."""
        if not self.alive:
            return
        again, self._interrupted = self._interrupted, True
        # One that comes when the answer is out, and the command not over, is for it all the same.
        self._answers_for_itself |= any(each.answers_later for each in self._asked.values())
        if self.busy or again:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)
        if self.running and (again or not self.waits):
            with suppress(OSError):
                self._controller.write("-exec-interrupt", read_response=False)

    async def leave(self) -> None:
        """End GDB: by its own leave, so that it lets go of the guest, or by force if it does not answer."""
        self._leaving = True
        if not self.alive:
            return
        process = self._controller.gdb_process
        assert process is not None, "it was started"
        if self.busy or self.running:
            # Only a guest that is stopped can be let go.
            self.interrupt()
            await self._until(lambda: not self.busy and not self.running)
        with suppress(OSError):
            if self.attached:
                # What the stub calls a program that GDB has started would be killed; it was not started here.
                self._controller.write("-target-detach", read_response=False)
            self._controller.write("-gdb-exit", read_response=False)
        await self._until(lambda: process.poll() is not None)
        process.kill()
        process.wait()
        # A thread that Python ends with the program may be within something: it has nothing more to read.
        await self._until(lambda: not self._listener.is_alive())

    async def _until(self, come: Callable[[], bool]) -> None:
        for _ in range(int(LEAVE_SECONDS / 0.02)):
            if come():
                return
            await asyncio.sleep(0.02)

    def _listen(self) -> None:
        """Read for as long as GDB lives; in a thread, because nothing in it waits with a loop."""
        process = self._controller.gdb_process
        assert process is not None, "it was started"
        while True:
            messages: list[dict[str, Any]] = []
            with suppress(OSError, ValueError):
                messages = self._controller.get_gdb_response(LISTEN_SECONDS, raise_error_on_timeout=False)
            ended = not messages and process.poll() is not None
            try:
                if messages:
                    self._loop.call_soon_threadsafe(self._hear, messages)
                if ended or self._loop.is_closed():
                    self._loop.call_soon_threadsafe(self._end, process.poll())
                    return
            except RuntimeError:
                return

    def _hear(self, messages: Sequence[Mapping[str, Any]]) -> None:
        for message in messages:
            kind, payload = message["type"], message["payload"]
            if kind == "result":
                self._result(message)
            elif kind == "notify":
                self._notified(message["message"], payload or {})
            elif kind == "log":
                self._logged(payload or "")
            elif kind == "console":
                self._printed(payload or "")
            elif payload:
                self.tell(Printed(f"{payload}\n"))

    def _result(self, message: Mapping[str, Any]) -> None:
        token = message["token"] or 0
        asked = self._asked.get(token)
        if asked is None:
            return
        self._interrupted = False
        if message["message"] == "running":
            self.waits = not asked.text.endswith("&")
            self._resumed()
            if asked.answers_later:
                return
        for earlier in [each for each in self._asked if each < token]:
            # It has run the guest, and has ended without the answer that was to come.
            self._answer(earlier, DebuggerReply("it was cut short", False, {}))
        payload = message["payload"] if isinstance(message["payload"], dict) else {}
        error = payload.get("msg", "no reason given") if message["message"] == "error" else ""
        printed = bool(error) and error in asked.log
        self._answer(token, DebuggerReply(error, printed, payload, payload.get("answer", "")))

    def _answer(self, token: int, reply: DebuggerReply) -> None:
        asked = self._asked.pop(token)
        if not asked.future.done():
            asked.future.set_result(reply)

    def _resumed(self) -> None:
        if not self.running:
            self.running = True
            self.tell(Resumed())

    def _notified(self, what: str, payload: Mapping[str, Any]) -> None:
        if what == "running":
            self._resumed()
        elif what == "stopped":
            self.running = self.waits = self._interrupted = False
            if not payload.get("reason", "").startswith("exited"):
                self.tell(Stopped())
        elif what == "thread-group-started":
            self.attached = True
        elif what == "thread-group-exited":
            self.attached = self.running = self.waits = False
            self.tell(Detached())

    def _logged(self, text: str) -> None:
        if self._echoes and text.rstrip("\n") == self._echoes[0].rstrip("\n"):
            self._echoes.popleft()
            return
        for reads, size_bytes in PROGRESS.findall(text):
            self.tell(Progressed(int(reads), int(size_bytes)))
        text = PROGRESS.sub("", text)
        if not text or (self._answers_for_itself and text.strip() == QUIT):
            return
        asked = next(iter(self._asked.values()), None)
        if asked is not None:
            asked.log += text
        self.tell(Printed(text, is_error=True))

    def _printed(self, text: str) -> None:
        token, first = next(iter(self._asked.items()), (0, None))
        if first is not None and first.answers_later and text.startswith(ANSWER):
            self._answer(token, DebuggerReply("", False, {}, text))
        else:
            self.tell(Printed(text))

    def _end(self, status: int | None) -> None:
        self.alive = self.running = self.attached = self.waits = False
        for asked in self._asked.values():
            if not asked.future.done():
                asked.future.set_exception(DebuggerLost("GDB went before it answered"))
        self._asked.clear()
        if not self._leaving:
            self.tell(Gone(ended_how(status)))
