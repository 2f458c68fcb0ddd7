"""Who changed it last: backwards over what is recorded, from one write to the one before, until the value is another.

A write that is made past the addresses that are watched, by hardware's own table walk, by a device or through another
address, is found all the same: the recording is cut into parts until one instruction is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gdbtools.machine.model import Recorded

PARTS = 64
"""Into how many parts a stretch of the recording is cut at a time."""


@dataclass(frozen=True)
class LastChange:
    """The instruction that made a value what it was later: the guest stands before it.

    `seen` says whether it is a watched store; `silent` counts stores after it that changed nothing, as far as they were
    met.
    """

    position: int
    before: int
    after: int
    seen: bool
    silent: int


def last_change(history: Recorded, read: Callable[[], int]) -> LastChange | None:
    """Go back to the instruction before which the value was another; None if it never was, and then at the beginning.

    What `history` raises leaves the guest wherever that happened.
    """
    if not history.position:
        return None
    after, silent = read(), 0
    # Most often it was just now; and `back` does not look at the instruction that it begins behind.
    history.step_back()
    if read() != after:
        return LastChange(history.position, read(), after, history.stores(), silent)
    while True:
        until = history.position
        hit = history.back()
        if read() != after:
            return _unseen(history, read, until, after, silent)
        if not hit:
            return None
        history.step_back()
        if read() != after:
            return LastChange(history.position, read(), after, True, silent)
        silent += 1


def _unseen(history: Recorded, read: Callable[[], int], until: int, after: int, silent: int) -> LastChange:
    """Find the last instruction between here and `until` that made the value what it is there."""
    first, last = history.position, until
    while last - first > 1:
        stride = -(-(last - first) // PARTS)
        history.go(first)
        at, value = first, read()
        while at < last:
            following = min(at + stride, last)
            history.go(following)
            now = read()
            if now != value:
                first, end = at, following
            at, value = following, now
        last = end
    history.go(first)
    return LastChange(first, read(), after, history.stores(), silent)
