"""The interrupt descriptor table: where it is, and what a gate of it says; where the task-state segment is.

Source: Intel SDM volume 3, "Interrupt Descriptor Table (IDT)", "64-Bit Mode IDT", "Task Register".
"""

from __future__ import annotations

import re
from typing import Final

from gdbtools.arch.model import Stub
from gdbtools.bits import NO_YES, Field, Word

GATE_BYTES: Final = 16
_TASK: Final = re.compile(r"^TR =[0-9a-f]+ ([0-9a-f]+) ", re.MULTILINE)
_IDT: Final = re.compile(r"^IDT=\s+([0-9a-f]+) [0-9a-f]+\s*$", re.MULTILINE)


class IDTR(Word):
    """The interrupt descriptor table register, without its limit."""

    BASE = Field((63, 0), doc="linear address of the interrupt descriptor table")


class TaskRegister(Word):
    """The task register, by the part of it that is hidden."""

    BASE = Field((63, 0), doc="linear address of the task-state segment")


class Gate(Word):
    """A gate of 64-bit mode."""

    width = 128
    OFFSET = Field((95, 48), (15, 0), doc="where the handler begins")
    P = Field(47, doc="present", values=NO_YES)
    DPL = Field((46, 45), doc="who may call it by an instruction")
    TYPE = Field((43, 40), doc="type", values={14: "interrupt gate", 15: "trap gate"})
    IST = Field((34, 32), doc="stack of the interrupt stack table; 0: none")
    SELECTOR = Field((31, 16), doc="code segment")


def idtr_of(stub: Stub) -> int | None:
    """Return where a CPU's table is, which QEMU's stub has no register for: its monitor prints it."""
    shown = _IDT.search(stub.printed())
    return None if shown is None else int(shown[1], 16)


def task_of(stub: Stub) -> int | None:
    """Return where a CPU's task-state segment is, in the same way."""
    shown = _TASK.search(stub.printed())
    return None if shown is None else int(shown[1], 16)
