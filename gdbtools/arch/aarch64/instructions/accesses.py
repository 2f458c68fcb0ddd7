"""Where the registers of a load or store lead, by the instruction as it is encoded."""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64.instructions.gadgets import INSTRUCTION_BYTES
from gdbtools.arch.aarch64.instructions.memory_instructions import memory_access
from gdbtools.arch.model import InstructionAccess, ReadRegister, optional

_SP: Final = 31
_ADDRESSES: Final = 1 << 64


def access_by(code: bytes, register: ReadRegister) -> InstructionAccess | None:
    """Return what the A64 instruction that code begins with does with memory; None where it does nothing of it."""
    if len(code) < INSTRUCTION_BYTES:
        return None
    found = memory_access(int.from_bytes(code[:INSTRUCTION_BYTES], "little"))
    if found is None:
        return None
    base = "" if found.base is None else "sp" if found.base == _SP else f"x{found.base}"
    pointer = optional(register, base) if base else None
    added = found.offset
    if found.index is not None:
        value = 0 if found.index.number == _SP else optional(register, f"x{found.index.number}")
        added = None if value is None else found.index.of(value)
    leads = None if pointer is None or added is None else VA((pointer + added) % _ADDRESSES)
    return InstructionAccess(found.text, found.kinds, found.size_bytes, leads, base, pointer)
