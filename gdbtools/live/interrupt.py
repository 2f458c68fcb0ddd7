"""Ctrl-C, or the end of an interval, while the guest stops and goes on many times a second."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING

import gdb

from gdbtools.live.stub.rsp import open_wire
from gdbtools.machine.live.gdbstub import StubLost

if TYPE_CHECKING:
    from typing_extensions import Self

_SIGINT = frozenset({signal.SIGINT})
EVERY_SECONDS = 0.1
"""How often a stub is told to stop that has not: one whose guest has stopped already passes over it."""
PATIENCE_SECONDS = 10.0
AGAIN_SECONDS = 1.0
"""A second Ctrl-C so long after the first means it; one at once is the same hand."""


class Interrupt:
    """Take SIGINT away from GDB for as long as the `with` block lasts; `typed` says whether it came.

    GDB would pass it on to the stub, and QEMU ignores it while the guest is stopped: with a guest that is stopped most
    of the time, it is lost (seen in GDB 13 and 18).  So a thread waits for it.  While GDB waits for the guest
    (`by_gdb`), it tells the stub to stop, past GDB: an event posted to GDB may be pending when that exits, and
    GDB 13 dies of one.  Where the guest is stopped it is its owner's to keep so.  An interval's end (`within`) does
    so too.  `fileno()` becomes readable with either, for who waits for the stub without GDB.

    `details` is what `target remote` was told: it leads to the stub.
    """

    def __init__(self, details: str = "") -> None:
        self.typed = False
        self._details = details
        self._expired = False
        self._again = False
        self._told_at: float | None = None
        self._by_gdb = False
        self._posted = False
        self._over = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._wait, daemon=True)

    @property
    def wanted(self) -> bool:
        """Whether the guest is to stop."""
        return self.typed or self._expired

    @property
    def given_up(self) -> bool:
        """Whether the stub was told to stop, and has neither stopped in good time nor before Ctrl-C came again."""
        return self._told_at is not None and (self._again or time.monotonic() - self._told_at > PATIENCE_SECONDS)

    def fileno(self) -> int:
        return self._came

    def told(self) -> None:
        """Note that the stub has been told to stop."""
        if self._told_at is None:
            self._told_at = time.monotonic()

    @contextmanager
    def by_gdb(self) -> Iterator[None]:
        """Have the guest stop, while GDB waits for it, where that is wanted; who does not answer is cut off."""
        self._by_gdb = True
        self._posted = False
        try:
            yield
        finally:
            with self._lock:
                self._by_gdb = False

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Have the guest stop after so long, if the block lasts so long; None: never."""
        self._expired = False
        timer = None if seconds is None else threading.Timer(seconds, self._expire)
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
                self._expired = False
                self._told_at = None

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
            came = signal.sigtimedwait(_SIGINT, EVERY_SECONDS)
            if self._over:
                return
            if came is not None:
                self._again |= self._told_at is not None and time.monotonic() - self._told_at > AGAIN_SECONDS
                self.typed = True
                os.write(self._say, b"!")
            self._stop_for_gdb()

    def _expire(self) -> None:
        self._expired = True
        os.write(self._say, b"!")
        self._stop_for_gdb()

    def _stop_for_gdb(self) -> None:
        """Tell the stub to stop if GDB waits for it and that is wanted; cut it off if it has had its time."""
        with self._lock:
            if not (self._by_gdb and self.wanted):
                return
            wire = open_wire(self._details)
            if wire is None:
                # A stop is on its way; or GDB has a way to the stub that only it can go.
                if not self._posted and not self._details.rpartition(":")[2].isdigit() and "/" not in self._details:
                    self._posted = True
                    gdb.post_event(self._ask_gdb)
                return
            try:
                if self.given_up:
                    wire.cut()
                else:
                    wire.interrupt()
                    self.told()
            except StubLost:
                pass  # GDB sees it too
            finally:
                wire.close()

    def _ask_gdb(self) -> None:
        if self._by_gdb and not self._over:
            with suppress(gdb.error):
                gdb.execute("interrupt")
