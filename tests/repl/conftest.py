"""Prompts at terminals: on a guest that is started for each test, and on a dump."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.repl.terminal import PROMPT, Terminal

GDBTOOLS = (sys.executable, "-m", "gdbtools.cli")

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `gdbtools WORDS...` at a terminal of its own, with a home of the test's own."""
    with ExitStack() as stack:

        def started(*words: str, columns: int = 80, lines: int = 24, **environment: str) -> Terminal:
            home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"), **environment}
            terminal = stack.enter_context(Terminal((*GDBTOOLS, *words), columns, lines, home))
            terminal.wait(PROMPT)
            return terminal

        yield started


@pytest.fixture
def run(qemu: str, gdb_path: str, start: Start) -> Start:
    """Start `gdbtools run` on the demo's guest, with these further words for QEMU."""

    def started(*qemu_words: str, options: tuple[str, ...] = (), **more: object) -> Terminal:
        words = ("run", "--guest", "access_flag", "--gdb", gdb_path, "--nx", *options, "--", *qemu_words)
        return start(*words, **more)

    return started


@pytest.fixture
def opened(start: Start) -> Start:
    """Start `gdbtools open` on the capture of OSv's crash."""

    def started(*options: str, **more: object) -> Terminal:
        return start("open", str(ROOT / "fixtures/captures/osv-1131.core"), *options, **more)

    return started
