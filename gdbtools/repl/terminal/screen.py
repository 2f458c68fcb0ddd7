"""The terminal: what is printed goes above the prompt while there is one, and a progress line is not in the way."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from gdbtools.render.document import Document, Role
from gdbtools.render.text import DEFAULT_WIDTH, Palette, render
from gdbtools.repl.command_line import as_typed_here
from gdbtools.wording import amount

if TYPE_CHECKING:
    from prompt_toolkit.application import Application

GATHER_SECONDS = 0.03
"""How long output is gathered while there is a prompt: it is drawn again for each piece."""
BAR_CELLS = 12
_CLEAR_LINE = "\r\x1b[K"
_LOCAL_MODES = 3
"""Where `termios.tcgetattr` has them."""


def terminal_size() -> tuple[int, int]:
    """Return the columns and the lines: of the terminal, which may have been resized, else as COLUMNS and LINES say."""
    try:
        found = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        found = shutil.get_terminal_size((DEFAULT_WIDTH, 24))
    return found.columns, found.lines


@contextmanager
def by_lines(wanted: bool) -> Iterator[None]:
    """Have the terminal put lines together itself and show them, as for any program, or not, for as long as it lasts.

    What is typed while a command is at work belongs to the next line, which shows it.  A terminal that makes lines of
    it takes what is no letter of one for a request to itself: Ctrl-D would reach the prompt as a NUL.
    """
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, ValueError, OSError):
        yield
        return
    after, modes = [*before], termios.ECHO | termios.ICANON
    after[_LOCAL_MODES] = before[_LOCAL_MODES] | modes if wanted else before[_LOCAL_MODES] & ~modes
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, after)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@dataclass
class Screen:
    """Standard output, shared with a prompt."""

    palette: Palette
    stream: TextIO = field(default_factory=lambda: sys.stdout)
    is_terminal: bool = False
    application: Application[str] | None = None
    """The prompt's, while it waits for a line."""
    _pending: str = ""
    _flushing: asyncio.Task[None] | None = None
    _progress: bool = False
    _scanned: int = 0
    _unfinished: bool = False
    """Whether what was printed last did not end its line: a piece of the guest's."""

    @property
    def columns(self) -> int:
        return terminal_size()[0]

    def rendered(self, document: Document) -> str:
        columns, lines = terminal_size()
        height = lines if self.is_terminal else None
        return render(document.reworded(as_typed_here), self.palette, columns, fit=self.is_terminal, height=height)

    def painted(self, text: str, role: Role) -> str:
        """Return text in a role's colour, line by line."""
        if role not in self.palette:
            return text
        start = f"\x1b[{self.palette[role]}m"
        return "\n".join(f"{start}{line}\x1b[0m" if line else line for line in text.split("\n"))

    def write(self, text: str) -> None:
        """Print text, above the prompt if there is one; a line that is not whole waits for its rest there."""
        self._pending += text
        if self.application is None:
            self.flush()
        elif self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush_above())

    def flush(self) -> None:
        """Print what waits; a progress line is in nobody's way, whoever prints next."""
        text, self._pending = self._pending, ""
        self.clear_progress()
        if text:
            self._put(text)

    async def _flush_above(self) -> None:
        from prompt_toolkit.application import run_in_terminal

        await asyncio.sleep(GATHER_SECONDS)
        while "\n" in self._pending:
            whole, newline, self._pending = self._pending.rpartition("\n")
            await run_in_terminal(lambda text=whole + newline: self._put(text))  # type: ignore[misc]

    def begin_line(self) -> None:
        """End a line that somebody else has begun, so that what comes begins its own."""
        if self.application is None:
            self.flush()
            if self._unfinished:
                self._put("\n")
        elif self._pending and not self._pending.endswith("\n"):
            self._pending += "\n"

    def _put(self, text: str) -> None:
        self._unfinished = not text.endswith("\n")
        self.stream.write(text)
        self.stream.flush()

    def progress(self, reads: int, size_bytes: int) -> None:
        """Draw how far a scan is, in one line that the next output takes away; nobody knows how long it will be."""
        if not self.is_terminal or self.application is not None:
            return
        self._progress = True
        self._scanned += 1
        at = self._scanned % (2 * BAR_CELLS - 2)
        at = min(at, 2 * BAR_CELLS - 2 - at)
        bar = "".join("#" if abs(cell - at) <= 1 else "-" for cell in range(BAR_CELLS))
        said = f"[{bar}] {reads:,} tables, {amount(size_bytes)} read; Ctrl-C stops"
        self.stream.write(_CLEAR_LINE + said[: self.columns - 1])
        self.stream.flush()

    def clear_progress(self) -> None:
        """Take the progress line away."""
        if self._progress:
            self._progress = False
            self.stream.write(_CLEAR_LINE)
            self.stream.flush()
