"""`explain` of a large log: how long a text without a crash takes, and one that mentions the words in each megabyte."""

from __future__ import annotations

import io
import tracemalloc

from bench.walks import timed
from gdbtools.machine.dumps.crash_text import CrashText, crashes_of

LINE = b"[    1.234567] usb 1-1: new high-speed USB device number 2 using xhci_hcd\n"
MENTION = b"[    1.234568] test: Unable to handle kernel things; Oops: none; Internal error: none\n"
MEGABYTE = 1 << 20


class Log(io.RawIOBase):
    """So many megabytes of a log, made as it is read."""

    def __init__(self, block: bytes, megabytes: int) -> None:
        self.block, self.left = block, megabytes

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        self.left -= 1
        return self.block if self.left >= 0 else b""


def report(smallest: bool = False) -> None:
    megabytes = 2 if smallest else 200
    ordinary = LINE * (MEGABYTE // len(LINE))
    half = len(ordinary) // len(LINE) // 2 * len(LINE)
    mentioning = ordinary[:half] + MENTION + ordinary[half:]
    print(f"explain of {megabytes} MB of a log, made as it is read: no memory is read")
    for name, block in (("no sign of a crash", ordinary), ("a mention in each MB", mentioning)):
        seconds = timed(lambda block=block: crashes_of(CrashText(Log(block, megabytes))), 1)  # type: ignore[misc]
        tracemalloc.start()
        crashes_of(CrashText(Log(block, min(megabytes, 16))))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"  {name:22}{seconds:7.2f} s, {megabytes / seconds:6.0f} MB/s; {most / MEGABYTE:.1f} MB at most")
