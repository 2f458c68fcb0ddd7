"""Ctrl-C, or the end of an interval, while the guest stops and goes on many times a second."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING

import gdb

if TYPE_CHECKING:
    from typing_extensions import Self

_SIGINT = frozenset({signal.SIGINT})


class Interrupt:
    """Take SIGINT away from GDB for as long as the `with` block lasts; `typed` says whether it came.

    GDB would pass it on to the stub, and QEMU ignores it while the guest is stopped: with a guest that is stopped most
    of the time, it is lost (seen in GDB 13 and 18).  So a thread waits for it, and asks GDB to stop a guest that runs;
    one that is stopped is its owner's to keep so.  The end of an interval (`within`) does the same.  `fileno()` becomes
    readable with either, for who waits for the stub without GDB.
    """

    def __init__(self) -> None:
        self.typed = False
        self._expired = False
        self._interval = 0
        self._over = False
        self._thread = threading.Thread(target=self._wait, daemon=True)

    @property
    def wanted(self) -> bool:
        """Whether the guest is to stop."""
        return self.typed or self._expired

    def fileno(self) -> int:
        return self._came

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Have the guest stop after so long, if the block lasts so long; None: never."""
        self._interval += 1
        self._expired = False
        timer = None if seconds is None else threading.Timer(seconds, self._expire, (self._interval,))
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
                timer.join()
                if self._expired:
                    os.read(self._came, 1)
                self._interval += 1
                self._expired = False

    def __enter__(self) -> Self:
        self._came, self._say = os.pipe()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGINT)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        assert self._thread.ident is not None, "it was started"
        signal.pthread_kill(self._thread.ident, signal.SIGINT)
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        os.close(self._came)
        os.close(self._say)

    def _wait(self) -> None:
        while True:
            signal.sigwait(_SIGINT)
            if self._over:
                return
            self.typed = True
            os.write(self._say, b"!")
            gdb.post_event(self._stop)

    def _expire(self, interval: int) -> None:
        self._expired = True
        os.write(self._say, b"!")
        gdb.post_event(lambda: self._stop(interval))

    def _stop(self, interval: int | None = None) -> None:
        """Ask GDB to stop the guest; what is said of an interval that has ended meanwhile is said too late."""
        if not self._over and interval in (None, self._interval):
            with suppress(gdb.error):
                gdb.execute("interrupt")
