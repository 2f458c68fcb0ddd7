"""Processes that somebody else has started: whether they live."""

from __future__ import annotations

import time
from pathlib import Path

SECONDS = 120.0
"""What no process takes to end that is told to, however busy the machine is."""


def alive(pid: int) -> bool:
    """Return whether a process runs; one that is dead and not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_within(seconds: float, *pids: int) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
