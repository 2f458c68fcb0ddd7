"""GDB's console: its own commands, with what they print as a string, and our documents."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

import gdb

from gdbtools.render.document import Document
from gdbtools.render.text import DEFAULT_WIDTH, PIPE_WIDTH, render, wants_colour


def console(command: str) -> str:
    """Run a console command and give its output.

    Through `interpreter-exec`, because under GDB/MI (seen in 18) the output of `gdb.execute(..., to_string=True)` is
    quoted as MI, and partly goes to the client.
    """
    quoted = command.replace("\\", "\\\\").replace('"', '\\"')
    return gdb.execute(f'interpreter-exec console "{quoted}"', to_string=True)


def monitor(command: str) -> str:
    """Return what QEMU's monitor says to a command; its lines end as those of everybody else do."""
    return console(f"monitor {command}").replace("\r", "")


def show(document: Document) -> None:
    """Print a document in GDB's own pager."""
    gdb.write(render(document, *manner()))


def manner() -> tuple[bool, int, str, bool, int | None, int | None]:
    """Return how text is written here, as `render` takes it: colour, width, encoding, whether to fit, height, and the
    width of tables."""
    return colour(), width(), gdb.host_charset(), on_screen(), height(), table_width()


def table_width() -> int | None:
    """Return how wide a row may be, None: as wide as everything else.

    GDB takes the width for unlimited in batch mode, and where a command's output goes into `pipe` or becomes a string:
    there a row is a line, unless who started GDB said how wide it is.
    """
    return None if gdb.parameter("width") or _width_was_said() else PIPE_WIDTH


@cache
def _width_was_said() -> bool:
    """Return whether GDB was started with COLUMNS; it sets that itself, too: what it has by now says nothing."""
    try:
        started_with = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return bool(os.environ.get("COLUMNS"))
    return any(each.startswith(b"COLUMNS=") and each != b"COLUMNS=" for each in started_with)


def colour() -> bool:
    return wants_colour(bool(gdb.parameter("style enabled")) and os.isatty(1))


def on_screen() -> bool:
    """Return whether somebody looks at the output: it has a width, or is a terminal."""
    return bool(gdb.parameter("width")) or os.isatty(1)


def width() -> int:
    """GDB's own width; unlimited (as in batch mode) means the terminal's."""
    set_width = gdb.parameter("width")
    return int(set_width) if set_width else shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns


def height() -> int | None:
    """Return the lines of the screen; None where there is none, or where somebody else reads what is printed.

    GDB itself takes the height for unlimited in batch mode, and for as long as a command's output goes into `pipe` or
    becomes a string.
    """
    set_height = gdb.parameter("height")
    return int(set_height) if set_height and os.isatty(1) and not _logging() else None


def _logging() -> bool:
    """Return whether what is printed goes into a file too: `set logging enabled`, which is younger than GDB 11."""
    try:
        return bool(gdb.parameter("logging enabled"))
    except (RuntimeError, gdb.error):
        return False
