"""The socket under GDB's own connection, for the while that GDB waits for us.

GDB answers each `send_packet` by forgetting its frames, and asks one thing at a time.  A command that runs many packets
a fault speaks to the stub itself, over a duplicate of GDB's own socket.  What GDB remembers of the guest is stale
afterwards: its owner's to repair.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from gdbtools.machine.live.gdbstub import Wire


def open_wire(details: str) -> Wire | None:
    """Duplicate this process's socket to a stub, where there is exactly one that leads there.

    `details` is what `target remote` was told: HOST:PORT, or the path of a unix socket.
    """
    found: dict[str, int] = {}
    with suppress(OSError):
        for entry in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{entry}")
                if target.startswith("socket:") and _leads_to(int(entry), details):
                    found.setdefault(target, int(entry))
    if len(found) != 1:
        return None
    wire = Wire(socket.socket(fileno=os.dup(next(iter(found.values())))))
    if not wire.quiet():
        wire.close()
        return None
    return wire


def _leads_to(descriptor: int, details: str) -> bool:
    probe = socket.socket(fileno=os.dup(descriptor))
    try:
        peer = probe.getpeername()
    finally:
        probe.close()
    if probe.family == socket.AF_UNIX:
        path = details.removeprefix("unix:")
        return (
            bool(peer) and isinstance(peer, str) and (peer == path or os.path.realpath(peer) == os.path.realpath(path))
        )
    port = details.rpartition(":")[2]
    return port.isdigit() and peer[1] == int(port)
