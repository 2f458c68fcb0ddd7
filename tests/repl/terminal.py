"""A terminal emulator with a program in it: what a user would see, row by row."""

from __future__ import annotations

import os
import signal
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

import pexpect
import pyte

if TYPE_CHECKING:
    from typing_extensions import Self

CTRL_C, CTRL_D, CTRL_R, ENTER, ESCAPE, TAB, UP, DOWN = "\x03", "\x04", "\x12", "\r", "\x1b", "\t", "\x1b[A", "\x1b[B"
PROMPT = "(gdbtools)"
LONG = 120.0
"""What nobody waits for in vain: no more than a machine needs that does many other things at once."""
_LOCAL_MODES = 3
"""Where `termios.tcgetattr` has them."""
LEFT_OUT = ("NO_COLOR", "PAGER", "LESS", "COLUMNS", "LINES")
"""Of the environment: readline, once a process has it, leaves the size of its own terminal there."""


@dataclass
class Terminal:
    """`columns` by `lines`, in the emulator and for the program alike."""

    command: Sequence[str]
    columns: int = 80
    lines: int = 24
    environment: Mapping[str, str] = field(default_factory=dict)
    _child: pexpect.spawn = field(init=False, repr=False)
    _screen: pyte.HistoryScreen = field(init=False, repr=False)

    def __enter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        environment = {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **self.environment}
        program, *words = self.command
        self._screen = pyte.HistoryScreen(self.columns, self.lines, history=10000)
        self._stream = pyte.ByteStream(self._screen)
        # A cursor position is asked for, as real terminals are, and answered.
        self._screen.write_process_input = lambda data: self._child.send(data)
        size = (self.lines, self.columns)
        self._child = pexpect.spawn(program, list(words), env=environment, dimensions=size, timeout=LONG)
        self._child.delaybeforesend = None
        # A busy machine takes longer to end a process than a tenth of a second.
        self._child.ptyproc.delayafterterminate = 0.5
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # By ourselves: pexpect gives a busy machine a tenth of a second.
        if self._child.isalive():
            self._child.kill(signal.SIGKILL)
            self._child.wait()
        self._child.close()

    def type(self, text: str, at_once: bool = False) -> None:
        """Type, once keys are read and not lines, as by a prompt and a pager; Ctrl-C, and what is to go `at_once`, now.

        What is typed while lines are read is shown where a test does not look for it, and no key is what it was.
        """
        if text != CTRL_C and not at_once:
            deadline = time.monotonic() + LONG
            while self.reads_lines:
                rows = self.look()
                assert time.monotonic() < deadline, f"nobody reads {text!r}:\n{self.shown(rows)}"
        self._child.send(text)

    @property
    def reads_lines(self) -> bool:
        """Whether the terminal puts lines together and shows what is typed, as it does for who asks nothing of it."""
        modes = termios.tcgetattr(self._child.child_fd)[_LOCAL_MODES]
        return modes & (termios.ICANON | termios.ECHO) == termios.ICANON | termios.ECHO

    def enter(self, text: str) -> None:
        """Type a line and Enter."""
        self.type(f"{text}{ENTER}")

    def resize(self, columns: int, lines: int) -> None:
        lost = max(self._screen.lines - lines, 0)
        self._screen.resize(lines, columns)
        # The lines at the top are gone, and the cursor is still in its own: pyte leaves it where it was.
        self._screen.cursor.y = max(self._screen.cursor.y - lost, 0)
        self._child.setwinsize(lines, columns)

    def look(self, seconds: float = 0.05) -> list[str]:
        """Read what has been printed, for a moment, and give the rows of the screen."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._stream.feed(self._child.read_nonblocking(1 << 16, left))
            except (pexpect.TIMEOUT, pexpect.EOF):
                break
        return [row.rstrip() for row in self._screen.display]

    def until(self, seen: Callable[[list[str]], bool], what: str, seconds: float = LONG) -> list[str]:
        """Return the screen once it is as it should be; a failure shows it as it is."""
        deadline = time.monotonic() + seconds
        while not seen(rows := self.look()):
            assert time.monotonic() < deadline, f"no {what} on the screen:\n{self.shown(rows)}"
            if not self._child.isalive():
                rows = self.look(0.5)
                assert seen(rows), f"it ended, and no {what} on the screen:\n{self.shown(rows)}"
                break
        return rows

    def wait(self, *texts: str, seconds: float = LONG) -> list[str]:
        """Return the screen once it shows each of these, within one row: all that is looked at, in whatever order it
        is drawn.
        """
        shown = " and ".join(map(repr, texts))
        return self.until(lambda rows: all(any(text in row for row in rows) for text in texts), shown, seconds)

    def printed(self, text: str, seconds: float = LONG) -> list[str]:
        """Return the screen once `text` has been on it, within one row: where something goes on printing it may have
        scrolled away before anybody looks.
        """
        return self.until(lambda rows: any(text in row for row in (*self.above(), *rows)), repr(text), seconds)

    def leave(self) -> None:
        """Type Ctrl-D at an empty prompt, once there is one: while a command runs the terminal is the command's, and a
        Ctrl-D that is typed then says the end of a file to nobody.
        """
        self.prompted()
        self.type(CTRL_D)

    def prompted(self) -> list[str]:
        """Return the screen once the cursor is in an empty prompt: what stands above it is whole."""
        return self.until(lambda rows: rows[self.cursor[0]] == PROMPT, f"empty {PROMPT}")

    def answered(self, command: str) -> list[str]:
        """Enter what has not been entered yet on this screen; return that when the answer stands on it, with the next
        prompt.
        """
        typed = f"{PROMPT} {command}"
        self.enter(command)

        def is_answered(rows: list[str]) -> bool:
            row = self.cursor[0]
            return typed in rows and row > rows.index(typed) and rows[row] == PROMPT

        return self.until(is_answered, f"answer to {command!r}")

    def gone(self, text: str, seconds: float = LONG) -> list[str]:
        """Return the screen once it does not show `text`."""
        return self.until(lambda rows: not any(text in row for row in rows), f"absence of {text!r}", seconds)

    def still(self, seconds: float = 0.5) -> list[str]:
        """Return the screen once nothing has changed on it for a while."""
        rows, since = self.look(), time.monotonic()
        while time.monotonic() - since < seconds:
            now = self.look()
            rows, since = (now, time.monotonic()) if now != rows else (rows, since)
        return rows

    def ended(self, seconds: float = LONG) -> int | None:
        """Return the exit status of the program, which has to end."""
        deadline = time.monotonic() + seconds
        while self._child.isalive():
            self.look()
            assert time.monotonic() < deadline, f"it does not end:\n{self.shown(self.look())}"
        self.look(0.2)
        return self._child.exitstatus

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    @property
    def cursor(self) -> tuple[int, int]:
        """The row and column of the cursor."""
        return self._screen.cursor.y, self._screen.cursor.x

    def colours(self, row: int) -> set[str]:
        """Return the foreground colours in a row."""
        return {cell.fg for cell in self._screen.buffer[row].values()}

    def above(self) -> list[str]:
        """Return the rows that have scrolled away."""
        columns = range(self._screen.columns)
        return ["".join(row[column].data for column in columns).rstrip() for row in self._screen.history.top]

    @staticmethod
    def shown(rows: Sequence[str]) -> str:
        return "\n".join(f"|{row}" for row in rows)
