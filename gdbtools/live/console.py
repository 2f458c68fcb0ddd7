"""GDB's console: its own commands, with what they print as a string, and our documents."""

from __future__ import annotations

import os
import shutil

import gdb

from gdbtools.render.document import Document
from gdbtools.render.text import DEFAULT_WIDTH, render, wants_colour


def console(command: str) -> str:
    """Run a console command and give its output.

    Through `interpreter-exec`, because under GDB/MI (seen in 18) the output of `gdb.execute(..., to_string=True)` is
    quoted as MI, and partly goes to the client.
    """
    quoted = command.replace("\\", "\\\\").replace('"', '\\"')
    return gdb.execute(f'interpreter-exec console "{quoted}"', to_string=True)


def show(document: Document) -> None:
    """Print a document in GDB's own pager."""
    gdb.write(render(document, *manner()))


def manner() -> tuple[bool, int, str, bool]:
    """Give how text is written here, as `render` takes it: whether in colour, width, encoding, whether to fit."""
    return colour(), width(), gdb.host_charset(), on_screen()


def colour() -> bool:
    return wants_colour(bool(gdb.parameter("style enabled")) and os.isatty(1))


def on_screen() -> bool:
    """Say whether somebody looks at the output: it has a width, or is a terminal."""
    return bool(gdb.parameter("width")) or os.isatty(1)


def width() -> int:
    """GDB's own width; unlimited (as in batch mode) means the terminal's."""
    set_width = gdb.parameter("width")
    return int(set_width) if set_width else shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns
