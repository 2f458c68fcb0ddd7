"""A root table that has Xen whole in it: while a guest runs, the one in force may have next to nothing of it.

With page-table isolation of its own (XPTI) Xen gives a processor that runs a guest a copy of the guest's root, with
little of Xen behind it.  The processor's stack, which the task register leads to, is in every copy, and what Xen will
load on its way in lies at its end.

Source: Xen, xen/arch/x86/include/asm/current.h, `struct cpu_info`; Intel SDM volume 3, "Task Management in 64-bit
Mode".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Mapped, Read, ReadRegister, optional
from gdbtools.arch.walk import read_virtual, walk
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.xen import layout

_PAGE_BYTES: Final = 1 << layout.PAGE_BITS
_ROOT: Final = (1 << 52) - _PAGE_BYTES
_RSP0_AT: Final = 4
"""Of a 64-bit task-state segment."""
NO_TASK_REGISTER: Final = (
    "Xen's own tables are not in the root in force, which has a guest's alone (XPTI), and tr, which leads to Xen's "
    "stack, is not known; give tr, or stop in Xen"
)


def whole_root(regime: Linear, register: ReadRegister, read: Read) -> tuple[Linear, str]:
    """Return a regime whose root has all of Xen, and in words where it is from; the root is the guest's as Xen has it.

    Raises `Unavailable` where none is found.
    """
    if _has_all(regime, regime, read):
        return regime, ""
    task = optional(register, "tr")
    if task is None:
        raise Unavailable(NO_TASK_REGISTER)
    for word in _end_of_stack(regime, VA(task), read):
        root = word & _ROOT
        if not root:
            continue
        other = replace(regime, root=PA(root))
        if _has_all(other, regime, read):
            return other, f"the root in force is a copy of that at PA {root:#x}, which Xen's stack has"
    raise Unavailable("Xen's own tables are not in the root in force (XPTI), and nothing on Xen's stack leads to them")


def _end_of_stack(regime: Linear, task: VA, read: Read) -> Iterator[int]:
    """Yield what lies on Xen's stack behind the registers of what was interrupted."""
    try:
        stack = int.from_bytes(read_virtual(regime, VA(task + _RSP0_AT), 8, read), "little")
        count = (_PAGE_BYTES - stack % _PAGE_BYTES) // 8
        yield from struct.unpack(f"<{count}Q", read_virtual(regime, VA(stack), 8 * count, read))
    except (Unavailable, Unreadable):
        return


def _has_all(regime: Linear, of: Linear, read: Read) -> bool:
    """Return whether a root has Xen's own view of its table of frames, where `of` has the guests', and its records."""
    try:
        written, records = (walk(regime, at, read).outcome for at in (layout.M2P, layout.FRAME_TABLE))
        guests = walk(of, layout.READ_ONLY_M2P, read).outcome
    except Unreadable:
        return False
    # A root of processes alone may not have the guests' view.
    agrees = not isinstance(guests, Mapped) or guests == written
    return isinstance(written, Mapped) and isinstance(records, Mapped) and agrees
