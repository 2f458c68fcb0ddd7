"""docs/tutorial.md, typed again into a terminal, in a copy of the checkout under the name that clones have."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.repl.terminal import CTRL_C, Terminal

pytestmark = pytest.mark.guest

TUTORIAL = ROOT / "docs/tutorial.md"
PROMPT, SHELL = "(gdbtools)", "$ "
INTERRUPTED = "^C"
"""Stands in a transcript where Ctrl-C was typed."""
STOP = re.compile("Breakpoint |Program received signal ")
NOT_THERE = 3
LONG = 120.0


def steps() -> Iterator[tuple[str, list[str]]]:
    """Yield what is typed, with its prompt, and what is printed after it, in the order of the page."""
    lines = [
        line
        for block in re.findall(r"(?ms)^```\n(.*?)^```", TUTORIAL.read_text().replace("\\\n", ""))
        for line in block.splitlines()
    ]
    starts = [at for at, line in enumerate(lines) if line.startswith((PROMPT, SHELL))]
    for at, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[at], lines[at + 1 : end]


def plain(text: str) -> str:
    """Leave out what differs from run to run: numbers, the level that faulted, and where lines are broken."""
    return " ".join(re.sub(r"0x[0-9a-f]+|\d+", "N", re.sub(r"EL[01] (write|read) of", "EL of", text)).split())


def expected(lines: list[str]) -> list[str]:
    """Return the pieces that stand between `...`, each of which has to be printed, in this order."""
    pieces = re.split(r"(?m)^\.\.\.$", "\n".join(line for line in lines if line != INTERRUPTED))
    return [piece for piece in map(plain, pieces) if piece]


def compare(printed: str, lines: list[str], typed: str) -> None:
    rest = plain(printed)
    for piece in expected(lines):
        before, found, rest = rest.partition(piece)
        assert found, f"{typed!r} printed\n{printed}\nand the tutorial has, after {before[-60:]!r}\n{piece}"


def answer(terminal: Terminal, typed: str, interrupts: bool) -> str:
    """Type a line at the prompt; give what is printed until the next one."""
    command = typed.removeprefix(PROMPT).strip()
    terminal.enter(command)
    if interrupts:
        terminal.wait("guest is ready", seconds=LONG)
        # The script that keeps it busy begins now.
        terminal.still(1.0)
        terminal.type(CTRL_C)

    def done(rows: list[str]) -> bool:
        """The prompt stays there while the guest runs: what runs it has ended with the stop."""
        at = max((at for at, row in enumerate(rows) if row == f"{PROMPT} {command}"), default=None)
        after = [] if at is None else rows[at + 1 :]
        stopped = command != "continue" or any(STOP.match(row) for row in after)
        return stopped and PROMPT in after and any(row.startswith(" stopped ") for row in after)

    rows = terminal.until(done, f"end of {command!r}", LONG)
    first = max(at for at, row in enumerate(rows) if row == f"{PROMPT} {command}") + 1
    return "\n".join(rows[first : first + rows[first:].index(PROMPT)])


def test_the_tutorial_is_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qemu: str, gdb_path: str
) -> None:
    """`make demo` and the environment are CI's own business: this one has them."""
    clone = tmp_path / "gdbtools"
    for name in ("gdbtools", "gdbinit.d", "fixtures", "tests"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    (clone / ".venv").symlink_to(sys.prefix)
    made = subprocess.run(
        [sys.executable, "-m", "tests.guests.debian", "build/linux"], cwd=clone, capture_output=True, text=True
    )
    if made.returncode == NOT_THERE:
        pytest.skip(made.stderr.strip())
    page = list(steps())
    prompt = next(at for at, (typed, _) in enumerate(page) if ".venv/bin/gdbtools run" in typed)
    assert [typed.partition("  ")[0] for typed, _ in page[1:prompt]] == ["$ cd gdbtools", "$ make demo", "$ make linux"]
    compare(made.stdout, page[prompt - 1][1], "make linux")

    def words(typed: str, *more: str) -> list[str]:
        """Return the command of a shell's line, of this environment and this clone."""
        _, name, *rest = shlex.split(typed.removeprefix(SHELL))
        return [sys.executable, "-m", "gdbtools.cli", name, *more, *rest]

    typed, printed = page[prompt]
    command = words(typed, "--gdb", gdb_path, "--nx")
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(clone)}
    monkeypatch.chdir(clone)
    with Terminal(command, 80, 200, home) as terminal:
        terminal.wait("Stopped, ", seconds=LONG)
        rows = terminal.wait(PROMPT, seconds=LONG)
        compare("\n".join(rows), printed, typed)
        *asked, (leave, _), (typed, printed) = page[prompt + 1 :]
        for line, said in asked:
            compare(answer(terminal, line, INTERRUPTED in said), said, line)
        terminal.enter(leave.removeprefix(PROMPT).strip())
        assert terminal.ended() == 0
    ran = subprocess.run(words(typed), capture_output=True, text=True, check=False)
    compare(ran.stdout, printed, typed)
