"""The TLBs of a QEMU that interprets its guest, emptied from outside: at any level, without an instruction to borrow.

QEMU empties a CPU's whole TLB when a watchpoint is set that crosses a page, so that every access looks for it
(`cpu_watchpoint_insert`), and a gdbstub's watchpoints are set on every CPU.  Seen in 7.2, 10.0 and 11.1: a stale entry
that a borrowed load had proved was gone.  Under an accelerator the TLB is the host's, and nothing of that happens.
"""

from __future__ import annotations

import gdb

from gdbtools.errors import Refused
from gdbtools.live.console import monitor
from gdbtools.live.stub.target import Attachment

# Across a boundary of the largest granule, where no guest has anything: write watchpoints there are nobody's.
WATCHED = "5a5a5a5a5a5afffe,4"
INTERPRETED = "Translation buffer state"


def empty_tlb(attachment: Attachment) -> None:
    """Empty the TLBs of all CPUs; raises `Refused` where this stub cannot be known to do that."""
    attachment.release()
    try:
        interprets = INTERPRETED in monitor("info jit")
    except gdb.error:
        interprets = False
    if not interprets:
        raise Refused("this gdbstub is not of a QEMU that interprets its guest")
    packet = attachment.stub.packet
    set_, cleared = packet(f"Z2,{WATCHED}"), packet(f"z2,{WATCHED}")
    if (set_, cleared) != (b"OK", b"OK"):
        raise Refused("the gdbstub would not set the watchpoint that empties the TLB")
