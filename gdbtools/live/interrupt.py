"""Ctrl-C while the guest stops and goes on many times a second."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

import gdb

if TYPE_CHECKING:
    from typing_extensions import Self

_SIGINT = frozenset({signal.SIGINT})


class Interrupt:
    """Take SIGINT away from GDB for as long as the `with` block lasts; `wanted` says whether it came.

    GDB would pass it on to the stub, and QEMU ignores it while the guest is stopped: with a guest that is stopped most
    of the time, it is lost (seen in GDB 13 and 18).  So a thread waits for it, and asks GDB to stop a guest that runs;
    one that is stopped is its owner's to keep so.  `fileno()` becomes readable with it, for who waits for the stub
    without GDB.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._over = False
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def fileno(self) -> int:
        return self._came

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
            self.wanted = True
            os.write(self._say, b"!")
            gdb.post_event(self._stop)

    def _stop(self) -> None:
        if not self._over:
            with suppress(gdb.error):
                gdb.execute("interrupt")
