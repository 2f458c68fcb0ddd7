"""Who is attached to a stub on this host already: it serves one at a time, and has the next one wait in silence."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gdbtools.machine.live.process import connections_to

LOCAL = ("", "localhost", "127.0.0.1", "::1", "[::1]")
CONNECTED = 3
"""`SS_CONNECTED`, as Linux's table of unix sockets has it."""


def holder(address: str) -> str:
    """Return who is connected to a stub at HOST:PORT or a socket's path; empty where that is nobody, or not known."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        return _tcp_holder(int(port)) if host.removeprefix("tcp:") in LOCAL else ""
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]:
            fields = line.split(maxsplit=7)
            if fields[7:] == [address] and int(fields[5], 16) == CONNECTED:
                return "another debugger"
    return ""


def _tcp_holder(port: int) -> str:
    for process in connections_to(port):
        if process is not None:
            with suppress(OSError):
                return f"{Path(f'/proc/{process}/comm').read_text().strip()} (process {process})"
        return "another debugger"
    return ""
