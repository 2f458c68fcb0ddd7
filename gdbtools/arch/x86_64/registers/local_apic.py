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


def pending_of(stub: Stub) -> int | None:
    """Return the register, a bit for each vector; None where the monitor does not print it."""
    shown = _IRR.search(stub.monitor(f"info lapic {stub.number}"))
    if shown is None:
        return None
    return sum(1 << int(each) for each in _VECTOR.findall(shown[1]))


def vectors(pending: int) -> Sequence[int]:
    """Return the vectors whose bits are set."""
    return [vector for vector in range(pending.bit_length()) if pending >> vector & 1]
