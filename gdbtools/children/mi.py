"""A GDB of our own behind GDB/MI, by pygdbmi."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pygdbmi.gdbcontroller import GdbController

from gdbtools.children.processes import DIES_WITH_PARENT, WITH_ITS_OWN_PYTHON, find_gdb
from gdbtools.errors import Unavailable

if TYPE_CHECKING:
    from typing_extensions import Self


ANSWER_SECONDS = 0.001
"""How long pygdbmi waits for more after each answer: `run` knows when an answer is whole."""


@dataclass(frozen=True)
class ConsoleReply:
    """What GDB said to one command: its console text, and its error or an empty string."""

    text: str
    error: str
    results: dict[str, Any]


@dataclass
class Gdb:
    """A GDB child; leave the `with` block and it is gone."""

    path: str = ""
    init: Path | None = None
    _controller: GdbController = field(init=False, repr=False)
    _sent: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        command = [*DIES_WITH_PARENT, *WITH_ITS_OWN_PYTHON, find_gdb(self.path), "-nx", "-q", "--interpreter=mi3"]
        self._controller = GdbController(command, time_to_check_for_additional_output_sec=ANSWER_SECONDS)
        for setting in ("set host-charset UTF-8", "set confirm off", "set pagination off", "set width 80"):
            self.run(setting)
        if self.init is not None:
            self.run(f"source {self.init}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.exit()

    def kill(self) -> None:
        """End GDB without its leave: it does not let go of the guest, which stays as it is."""
        process = self._controller.gdb_process
        if process is not None:
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        process = self._controller.gdb_process
        assert process is not None, "inside the with block there is a process"
        return int(process.pid)

    def alive(self) -> bool:
        process = self._controller.gdb_process
        return process is not None and process.poll() is None

    def run(self, command: str, seconds: float = 60) -> ConsoleReply:
        """Run one console or MI command and give what GDB printed until it was ready for the next.

        A command that resumes the guest is over when the guest has stopped or is gone.  No answer within `seconds`
        raises `Unavailable`.
        """
        self._sent += 1
        # GDB answers in order, and nothing while the guest runs in its foreground: this one's answer ends the other's.
        self._controller.write([command, f"{self._sent}-environment-pwd"], read_response=False)
        text: list[str] = []
        error = ""
        results: dict[str, Any] = {}
        deadline = time.monotonic() + seconds
        while True:
            if time.monotonic() > deadline:
                raise Unavailable(f"GDB did not answer {command!r} within {seconds:.0f} s")
            messages = self._controller.get_gdb_response(0.2, raise_error_on_timeout=False)
            if not messages and not self.alive():
                raise Unavailable(f"GDB went before it answered {command!r}")
            for message in messages:
                kind, payload = message["type"], message["payload"]
                if message.get("token") == self._sent:
                    return ConsoleReply("".join(text), error, results)
                if kind == "console" or (kind == "log" and not _is_echo(payload, command)):
                    text.append(payload)
                elif kind == "result" and message["message"] == "error":
                    error = payload.get("msg", "")
                elif kind == "result" and isinstance(payload, dict):
                    results |= payload


def _is_echo(payload: object, command: str) -> bool:
    """GDB/MI repeats each console command in its log stream."""
    return isinstance(payload, str) and payload.strip() == command.strip()


def quoted(word: str) -> str:
    """Write a word as MI takes it."""
    return json.dumps(word, ensure_ascii=False)
