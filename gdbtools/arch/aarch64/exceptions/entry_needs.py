"""What taking an exception touches before the state that it interrupted is saved.

A fault there overwrites ELR and SPSR of the exception that was being taken, and no repair brings them back.  Source:
DDI 0487, "Exception entry"; for a kernel's stack and per-CPU data, Linux, `arch/arm64/kernel/entry.S` (kernel_entry:
the frame is stored, and `tsk` and per-CPU data are read, before ELR_EL1 is).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.exceptions import record
from gdbtools.arch.aarch64.registers.processor_state import SPSR, VBAR
from gdbtools.arch.model import EntryNeed, ReadRegister, optional

VECTORS_BYTES: Final = 0x800
FRAME_BYTES: Final = 512
"""How far below its stack pointer a handler saves what it interrupted: Linux takes 336 bytes, others less."""
STACK_BYTES: Final = 1 << 14
"""A kernel's stack, aligned to its size: an exception's frame may be anywhere in it before anything else is."""
TASK_BYTES: Final = 1 << 13
"""How much of a task is read on entry: Linux reads its flags, and the keys of its thread at its end."""
INSTRUCTION_BYTES: Final = 4
UPPER_HALF: Final = 1 << 55


def entry_needs(register: ReadRegister) -> Sequence[EntryNeed]:
    """Return what the next exception on this CPU needs, and, above EL0, the code that it stands in."""
    target = record.target(register)
    vectors = VA(VBAR(register(f"VBAR_EL{target}")).VBA)
    found = [EntryNeed(vectors, VECTORS_BYTES, "the exception vectors")]
    state = optional(register, "cpsr")
    user = state is not None and SPSR(state).el == 0
    if not user:
        found.append(EntryNeed(VA(register("pc") & -INSTRUCTION_BYTES), INSTRUCTION_BYTES, "the code at pc"))
    # At EL0 the stack is that of the level that will take the exception.
    stack = optional(register, f"SP_EL{target}" if user else "sp")
    if stack is not None:
        found.append(_stack(stack, vectors))
    task = None if user else optional(register, "SP_EL0")
    if task is not None and task & UPPER_HALF and task != stack:
        found.append(EntryNeed(VA(task), TASK_BYTES, "what SP_EL0 points at, as Linux's current task"))
    return found


def _stack(pointer: int, vectors: int) -> EntryNeed:
    """Return a stack: all of it where it is a kernel's in the upper half, else what the next frame takes."""
    if vectors & UPPER_HALF and pointer & UPPER_HALF:
        return EntryNeed(VA(pointer - 1 & -STACK_BYTES), STACK_BYTES, "the stack")
    return EntryNeed(VA(pointer - FRAME_BYTES), FRAME_BYTES, "the stack")
