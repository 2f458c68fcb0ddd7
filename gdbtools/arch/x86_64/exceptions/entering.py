"""What a page fault would do to the CPU: where its handler is, and on which stack it leaves its frame.

Source: Intel SDM volume 3, "64-Bit Mode Stack Frame", "Stack Switching in IA-32e Mode", "Interrupt Stack Table",
"Task Management in 64-Bit Mode".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Mapped, ReadRegister, memory_of, with_memory
from gdbtools.arch.walk import read_virtual
from gdbtools.arch.x86_64.exceptions import frame
from gdbtools.arch.x86_64.registers.control import EFLAGS
from gdbtools.arch.x86_64.registers.descriptor_tables import Gate
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.errors import Refused
from gdbtools.units import PAGE_BYTES

_STACK_0: Final = 4
"""Where the task-state segment has the stack of CPL 0."""
_INTERRUPT_STACK_1: Final = 0x24
_POINTER_BYTES: Final = 8
_ALIGNMENT: Final = 16


def frame_memory(register: ReadRegister) -> Sequence[tuple[PA, int]]:
    """Return the physical memory, (first, size in bytes), that a page fault's frame would be in, error code and all.

    Raises `Refused` where it could not be written, which would be a double fault.
    """
    first, size_bytes = _first(register), frame.FRAME_BYTES
    in_first = min(size_bytes, -first % PAGE_BYTES or PAGE_BYTES)
    parts = [(first, in_first), (VA(first + in_first), size_bytes - in_first)]
    return [(_writable(register, at), part) for at, part in parts if part]


def _first(register: ReadRegister) -> VA:
    return VA((_top(register, frame.gate(register)) & -_ALIGNMENT) - frame.FRAME_BYTES)


def _writable(register: ReadRegister, address: VA) -> PA:
    """Return where a part of the frame is in memory."""
    found, refused = frame.frame_write(register, address)
    if refused is not None or not isinstance(found.outcome, Mapped):
        raise Refused(f"a fault could not be taken here: its frame would be at {address:#x}, which is not writable")
    return PA(found.outcome.address)


def _top(register: ReadRegister, gate: Gate) -> int:
    if not gate.IST and not regimes.privilege(register).is_user:
        return register("rsp")
    offset = _INTERRUPT_STACK_1 + _POINTER_BYTES * (gate.IST - 1) if gate.IST else _STACK_0
    raw = read_virtual(regimes.regime(register), VA(register("tr") + offset), _POINTER_BYTES, memory_of(register))
    return int.from_bytes(raw, "little")


def entered(register: ReadRegister) -> ReadRegister:
    """Return the registers as they would be at the first instruction of the page faults' handler.

    Raises `Refused` where that would not be reached.
    """
    frame_memory(register)
    gate = frame.gate(register)
    first = _first(register)
    flags = EFLAGS(register("eflags")).with_(TF=0, RF=0, NT=0, VM=0)
    changed = {"rip": gate.OFFSET, "rsp": int(first), "cs": gate.SELECTOR, "eflags": int(flags)}
    return with_memory(lambda name: changed[name] if name in changed else register(name), memory_of(register))
