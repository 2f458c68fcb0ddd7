"""Ctrl-C for a GDB: so long after a command was given, or after what interrupts had become the command's own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

MOST_SECONDS = 240


def moments(seconds: Sequence[float], times: int) -> Iterator[float | None]:
    """Yield so many times when to interrupt, these in turn, and then never: on any machine there is an end then."""
    yield from islice(cycle(seconds), times)
    while True:
        yield None


@contextmanager
def ctrl_c(pid: int, seconds: float | None, *, begun: bool = False, again: float | None = None) -> Iterator[None]:
    """Send SIGINT after that time if the block still goes on, and None never; `begun`: from when `Interrupt` waits.

    Before that moment Ctrl-C is GDB's own, however long a busy machine takes to come there.  One that comes before GDB
    has let the guest run is lost: `again` sends it once more each time that so many seconds have gone by.
    """
    over = threading.Event()

    def send() -> None:
        if begun:
            wait_until_begun(pid, over)
        if over.wait(seconds):
            return
        os.kill(pid, signal.SIGINT)
        while again is not None and not over.wait(again):
            os.kill(pid, signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait_until_begun(pid: int, over: threading.Event | None = None) -> None:
    """Wait until interrupts have become the command's own, or all is over."""
    over = over or threading.Event()
    deadline = time.monotonic() + MOST_SECONDS
    while not has_begun(pid) and time.monotonic() < deadline:
        if over.wait(0.001):
            return


def has_begun(pid: int) -> bool:
    """Return whether GDB's main thread has SIGINT blocked, as live/interrupt.py has it while the guest runs."""
    status = Path(f"/proc/{pid}/status").read_text()
    (blocked,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(blocked, 16) >> (signal.SIGINT - 1) & 1)
