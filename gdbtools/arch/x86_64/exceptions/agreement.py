"""Whether a frame, its error code and cr2 are of one page fault: held against the instruction at rip.

cr2 is the newest page fault's: one that comes between a fault and the first instruction of its handler, from an NMI's
handler or a debugger's stub, leaves another there, and the frame as it was.

Source: Intel SDM volume 3, "Interrupt 14", "Handling Multiple NMIs"; volume 2, the instruction reference.
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.model import (
    AccessKind,
    AddressMeaning,
    Agreement,
    ExceptionRecord,
    Fit,
    InstructionAccess,
    ReadRegister,
    optional,
)
from gdbtools.arch.x86_64.instructions.decoding import (
    LONGEST_BYTES,
    REGISTERS,
    TWO,
    X86Instruction,
    address,
    codes,
    decode,
)
from gdbtools.arch.x86_64.instructions.effects import store

_LOADS: Final = codes("02 03 0a 0b 12 13 1a 1b 22 23 2a 2b 32 33 38-3b 63 84 85 8a 8b 1af 1b6 1b7 1be 1bf 140-14f")
"""What reads its memory operand, and writes none."""
_PLAIN_STORES: Final = (0x88, 0x89, 0xC6, 0xC7, TWO + 0xC3)
_MOST_BYTES: Final = 16


def accesses(instruction: X86Instruction) -> tuple[AccessKind, ...]:
    """Return what an instruction does to its memory operand; nothing where that is not known well, or not all of it."""
    if instruction.memory is None:
        return ()
    if instruction.opcode in _LOADS:
        return (AccessKind.READ,)
    if not store(instruction):
        return ()
    return (AccessKind.WRITE,) if instruction.opcode in _PLAIN_STORES else (AccessKind.READ, AccessKind.WRITE)


def access_by(code: bytes, register: ReadRegister, at: VA | None) -> InstructionAccess | None:
    """Return what the instruction that code begins with does to its memory operand; None for one that has none.

    An operand that is relative to the next instruction leads somewhere only where `at` is known.
    """
    instruction = decode(code)
    if instruction is None or instruction.memory is None:
        return None
    operand = instruction.memory
    base = "" if operand.base is None else REGISTERS[operand.base]
    known = at is not None or not operand.relative
    leads = address(instruction, at or VA(0), register) if known else None
    pointer = optional(register, base) if base else None
    return InstructionAccess(operand.text, frozenset(accesses(instruction)), None, leads, base, pointer)


def fits(exception: ExceptionRecord, code: bytes | None, register: ReadRegister | None = None) -> Agreement:
    """Return whether a page fault can be of the instruction at rip, whose `code` begins there.

    `register` is given where the general registers are still those of the instruction: then its operand is held against
    cr2.
    """
    at, names = exception.return_address, exception.names
    if at is None:
        return Agreement(Fit.NOT_SHOWN, "of its frame nothing is known")
    if exception.syndrome.fault is None:
        return Agreement(Fit.NOT_SHOWN, "it says nothing of an instruction")
    if exception.syndrome.address is AddressMeaning.FETCHED:
        if 0 <= exception.address - at < LONGEST_BYTES:
            return Agreement(Fit.FITS, f"{names.return_address} is where it was fetched from")
        said = f"cr2 is {exception.address:#x}, and {names.return_address} {at:#x} is no fetch of that"
        return Agreement(Fit.CONTRADICTS, said, of_address=True)
    instruction = None if code is None else decode(code)
    if instruction is None:
        return Agreement(Fit.NOT_SHOWN, f"the instruction at {at:#x} cannot be read")
    known, kind = accesses(instruction), exception.syndrome.access_kind
    # What the processor does on its own, to a descriptor table or for user mode, is none of the operand's.
    if not known or exception.asking is not None or kind not in (AccessKind.READ, AccessKind.WRITE):
        return Agreement(Fit.NOT_SHOWN, f"what the instruction at {at:#x} accesses is not decoded here")
    if kind not in known:
        return Agreement(Fit.CONTRADICTS, f"what is at {at:#x} does not {kind.label} memory")
    leads = None if register is None else address(instruction, at, register)
    assert instruction.memory is not None, "it accesses some"
    if leads is not None and not 0 <= exception.address - leads < _MOST_BYTES:
        said = f"cr2 is {exception.address:#x}, and {instruction.memory.text} at {at:#x} leads to {leads:#x}"
        return Agreement(Fit.CONTRADICTS, said, of_address=True)
    return Agreement(Fit.FITS, f"{instruction.memory.text} at {at:#x} is accessed so")
