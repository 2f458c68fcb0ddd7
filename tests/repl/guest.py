"""What the tests have the demo's guest do, as commands for GDB; and its processes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.session import symbol
from tests.repl.terminal import Terminal
from tests.repl.wide import BASE

TO_SCAN = ("hbreak clear_access_flags", "continue", "delete")
"""Run until the guest is about to clear access flags, with its MMU on."""
FOR_EVER = "set var *(int *)$pc = 0x14000000"
"""A jump to itself: the guest runs and never stops."""
ROOT_TABLE, WIDE_INDEX = 0x40206000, 64
TO_WIDE = (*TO_SCAN, f"set var *(unsigned long *)({ROOT_TABLE:#x} + 8 * {WIDE_INDEX}) = {BASE:#x} + 3")
"""Link the tables of wide.py into the guest's own."""
GATE, OPENED_BY = symbol("vectors") + 0x7C0, 0x7F00000
"""A place in the vectors that this guest never runs, and where in its RAM a word lets it pass."""
MARKS = {"gdb": "--interpreter=mi3", "qemu": "qemu-system-aarch64"}
"""What a child of a prompt is known by: a GDB in a wheel is run by its own loader."""
RUNS_SECONDS, HELD_SECONDS = 0.002, 0.05
LINEAR_MAP = 0xFFFF800040000000


def gated() -> tuple[str, ...]:
    """Have the guest wait at a gate before it goes on to its first fault, which is caught."""
    entry = symbol("clear_access_flags")
    words = (
        0xB9400211,  # ldr w17, [x16]
        0x34FFFFF1,  # cbz w17, the load
        0x14000000 | (entry - (GATE + 8)) // 4 & 0x3FFFFFF,  # b clear_access_flags
    )
    return (
        f"hbreak *{entry:#x}",
        "continue",
        "delete",
        *(f"set var *(int *){GATE + 4 * number:#x} = {word:#x}" for number, word in enumerate(words)),
        f"set $x16 = {LINEAR_MAP + OPENED_BY:#x}",
        f"set $pc = {GATE:#x}",
        "mmu catch access-flag",
    )


def ram_of(terminal: Terminal) -> Path:
    """Return the file that the guest's RAM is in."""
    (backend,) = (word for word in arguments(child(terminal, "qemu")) if "mem-path=" in word)
    return Path(backend.partition("mem-path=")[2].partition(",")[0])


def open_gate(terminal: Terminal) -> None:
    """Let the guest pass, through the file that its RAM is in."""
    with ram_of(terminal).open("r+b") as ram:
        ram.seek(OPENED_BY)
        ram.write(b"\x01")


def script(folder: Path, lines: tuple[str, ...]) -> str:
    """Write lines to a file, and give the command that has GDB read it."""
    path = folder / "commands.gdb"
    path.write_text("".join(f"{line}\n" for line in lines))
    return f"source {path}"


def child(terminal: Terminal, name: str) -> int:
    """Return the pid of the GDB or QEMU that a prompt has started."""
    children = Path(f"/proc/{terminal.pid}/task/{terminal.pid}/children").read_text().split()
    (found,) = (int(each) for each in children if any(MARKS[name] in word for word in arguments(int(each))))
    return found


@contextmanager
def slowed(terminal: Terminal) -> Iterator[None]:
    """Let GDB run for a small part of the time: what it reads then takes long enough to be seen."""
    gdb, over = child(terminal, "gdb"), threading.Event()

    def hold() -> None:
        while not over.wait(RUNS_SECONDS):
            os.kill(gdb, signal.SIGSTOP)
            over.wait(HELD_SECONDS)
            os.kill(gdb, signal.SIGCONT)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        yield
    finally:
        over.set()
        holder.join()


def arguments(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def kill(terminal: Terminal, name: str) -> None:
    os.kill(child(terminal, name), 9)
