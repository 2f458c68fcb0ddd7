"""What a CPU has been sent and not taken: the local APIC's interrupt request register, as QEMU's monitor prints it.

Source: Intel SDM volume 3, "Interrupt Acceptance for Fixed Interrupts"; QEMU, `apic_dump`'s `info lapic`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gdbtools.arch.model import Stub

PENDING: Final = "irr"
"""The name by which it is asked for: no stub has such a register."""
_IRR: Final = re.compile(r"^IRR\s+(.*)$", re.MULTILINE)
_VECTOR: Final = re.compile(r"\d+")
_LVT: Final = re.compile(r"^LVT\w+\s+0x([0-9a-fA-F]+)", re.MULTILINE)
_DELIVERY: Final = 0b111 << 8
"""An entry's delivery mode: only Fixed, 0, has a vector that gets into the register."""


def pending_of(stub: Stub) -> int | None:
    """Return what others sent, a bit for each vector; None where the monitor does not print it.

    The vectors of the local vector table are left out, masked or not: its timer and its like send them, no other CPU.
    """
    said = stub.monitor(f"info lapic {stub.number}")
    shown = _IRR.search(said)
    if shown is None:
        return None
    entries = [int(each, 16) for each in _LVT.findall(said)]
    own = {each & 0xFF for each in entries if not each & _DELIVERY}
    return sum(1 << each for each in {int(each) for each in _VECTOR.findall(shown[1])} - own)


def vectors(pending: int) -> Sequence[int]:
    """Return the vectors whose bits are set."""
    return [vector for vector in range(pending.bit_length()) if pending >> vector & 1]
