"""Where an answer goes: the screen, a pager if it is long, a shell's pipe, or a file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from gdbtools.commands.files import write_whole
from gdbtools.machine.dumps.files import one_line
from gdbtools.printable import visible
from gdbtools.render.document import Role
from gdbtools.render.text import PIPE_WIDTH, render
from gdbtools.repl.command_line import Outlet, as_typed_here
from gdbtools.repl.session import Answered
from gdbtools.repl.terminal.interrupts import ctrl_c_is_theirs, interruptible
from gdbtools.repl.terminal.screen import Screen, by_lines, terminal_size

LESS = "less"
LESS_OPTIONS = ("-RSXF", "-Plines %lt to %lb of {lines} (space, b\\: on, back; /\\: search; q\\: leave)")
"""Colours, long lines cut (the right arrow shows the rest), what has been read stays, and what fits is only shown."""


def deliver(answered: Answered, outlet: Outlet | None, screen: Screen, pages: bool) -> int:
    """Show an answer, or send it on; returns the exit status: the answer's, or that of the pipe."""
    screen.clear_progress()
    screen.begin_line()
    if answered.note:
        screen.write(screen.painted(visible(answered.note), Role.WARNING) + "\n\n")
    if outlet is None:
        with interruptible():
            text = answered.text or "\n".join(screen.rendered(each) for each in answered.documents)
        show(text, screen, pages)
        return answered.status
    with interruptible():
        # What comes out of a pipe is on the terminal after all, which would break sentences within words.
        prose = screen.columns if outlet.how == "|" and screen.is_terminal else PIPE_WIDTH
        plain = answered.text or "\n".join(
            render(each.reworded(as_typed_here), width=prose, table_width=PIPE_WIDTH) for each in answered.documents
        )
    screen.flush()
    if outlet.how == "|":
        return pipe(plain, outlet.where)
    put(plain, outlet)
    return answered.status


def show(text: str, screen: Screen, pages: bool) -> None:
    """Print text, in a pager if `pages` and it has more lines than the terminal."""
    lines = len(text.splitlines())
    program = pager(os.environ, lines) if pages and lines > terminal_size()[1] - 1 else ()
    if not program:
        screen.write(text)
        return
    screen.clear_progress()
    run(program, text)


def pager(environment: Mapping[str, str], lines: int) -> Sequence[str]:
    """Return the command line of a pager for so many lines: the user's own, else less; nothing where there is none."""
    own = environment.get("PAGER")
    if own is not None:
        return ("sh", "-c", own) if own.strip() not in ("", "cat") else ()
    return (LESS, *(each.format(lines=lines) for each in LESS_OPTIONS)) if shutil.which(LESS) else ()


def pipe(text: str, command: str) -> int:
    """Send text to a shell command that has the terminal; returns its exit status."""
    return run(("sh", "-c", command), text)


def run(command: Sequence[str], text: str) -> int:
    """Return text to a program that has the terminal, and Ctrl-C, until it ends."""
    with ctrl_c_is_theirs(), by_lines(True):
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert process.stdin is not None, "it was asked for"
        try:
            process.stdin.write(text.encode())
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has read what it wanted
        status = process.wait()
    return status if status >= 0 else 128 - status


def put(text: str, outlet: Outlet) -> None:
    """Write text to a file, or behind what it has."""
    path = Path(outlet.path).expanduser()
    before = b""
    if outlet.how == ">>" and path.is_file():
        with one_line(str(path)):
            before = path.read_bytes()
    write_whole(path, before + text.encode())
