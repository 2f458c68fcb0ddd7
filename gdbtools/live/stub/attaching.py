"""What a stub is put into before anything is believed of it: virtual addresses mean virtual addresses.

`Qqemu.PhyMemMode` is one switch for the whole stub, and outlives the connection that switched it on: where that was
dropped in the middle of an operation, the next debugger reads physical memory without knowing it.
"""

from __future__ import annotations

from contextlib import suppress

import gdb

PROGRAM = (
    "this stub serves a program, as QEMU's user mode with -g and gdbserver do: it has no translation tables, those are "
    "the kernel's below it; attach to a machine's, of QEMU with -s"
)
LEFT_ON = "the gdbstub was left in physical memory mode by an earlier connection; it is off now"


def put_right(connection: gdb.RemoteTargetConnection) -> bool:
    """Switch a mode off that nobody here switched on, and have GDB forget what it read by it; return whether it was."""
    if connection.send_packet("qqemu.PhyMemMode") != b"1":
        return False
    connection.send_packet("Qqemu.PhyMemMode:0")
    for cache in ("register-cache", "dcache"):
        gdb.execute(f"maintenance flush {cache}", to_string=True)
    return True


def no_machine(connection: gdb.RemoteTargetConnection) -> str:
    """Return what to say of a stub that serves a program, as its auxiliary vector shows."""
    return PROGRAM if b"qXfer:auxv:read" in (connection.send_packet("qSupported") or b"") else ""


class Attaching:
    """Notices a new connection at its first stop, which is when GDB has attached."""

    def __init__(self) -> None:
        self._known: object = None

    def stopped(self, event: gdb.StopEvent) -> None:  # noqa: ARG002
        connection = gdb.selected_inferior().connection
        if connection is self._known:
            return
        self._known = connection
        if isinstance(connection, gdb.RemoteTargetConnection):
            with suppress(gdb.error):
                if put_right(connection):
                    gdb.write(f"mmu: {LEFT_ON}\n")
