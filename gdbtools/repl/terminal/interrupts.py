"""Who Ctrl-C belongs to: the event loop, a child that has the terminal, or work that the loop has to wait for."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from gdbtools.errors import Interrupted

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def on_ctrl_c(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt` from the event loop at each Ctrl-C, for as long as the block lasts."""
    loop = asyncio.get_running_loop()

    def came(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        loop.call_soon_threadsafe(interrupt)

    # Not by the loop's own handlers: those are called also for what came in an inner block.
    with _handled(signal.SIGINT, came):
        yield


@contextmanager
def ctrl_c_is_theirs() -> Iterator[None]:
    """Leave Ctrl-C to a child that has the terminal, for as long as the block lasts."""
    # A handler that does nothing, because a child would inherit that it is to be ignored.
    with _handled(signal.SIGINT, lambda number, frame: None):  # noqa: ARG005
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C end the work of the block, which does not go back to the loop, by `Interrupted`; and SIGTERM too."""

    def leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise SystemExit(128 + number)

    try:
        with _handled(signal.SIGTERM, leave), _handled(signal.SIGINT, signal.default_int_handler):
            yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None


@contextmanager
def _handled(number: signal.Signals, handler: Handler) -> Iterator[None]:
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)
