"""Whether registers are of one trap: the cause held against xepc, xtval and the instruction at xepc.

Every trap writes all of them, interrupts too; but a handler may take a trap of its own, or set xepc and xstatus for
somebody else, and firmware hands on what it took.  So what stands side by side need not belong together.

Source: The RISC-V Privileged Architecture, "Supervisor Exception Program Counter (sepc) Register", "Supervisor Trap
Value (stval) Register", and the cause codes.
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
from gdbtools.arch.riscv import X
from gdbtools.arch.riscv.instructions.memory import SYSTEM, LoadStore, Wide, memory_access
from gdbtools.arch.riscv.syndrome import CALLS, code_of
from gdbtools.errors import Unavailable

_ECALL, _EBREAK, _COMPACT_EBREAK = 0x73, 0x0010_0073, 0x9002
ILLEGAL, BREAKPOINT, VIRTUAL = 2, 3, 22
_COMPACT_BYTES: Final = 2
_LAST_HALF: Final = 2
"""Where the other half of an instruction of four bytes is: a fetch may be refused there alone."""


def raised_at(exception: ExceptionRecord) -> VA | None:
    """Return the address of the instruction that an exception is about; an interrupt is about none."""
    return None if code_of(exception.syndrome) is None else exception.return_address


def fits(
    exception: ExceptionRecord, instruction: int | None, bits: int, register: ReadRegister | None = None
) -> Agreement:
    """Return whether the cause can be of the xtval and xepc beside it, and of the instruction there.

    `register` is given where the general registers are still those of the instruction: then its base is held against
    xtval.
    """
    found, names = exception.syndrome, exception.names
    code, at = code_of(found), exception.return_address
    if at is None:
        return Agreement(Fit.NOT_SHOWN, f"there is no {names.return_address}")
    if code is None:
        return Agreement(Fit.NOT_SHOWN, "an interrupt says nothing of an instruction")
    if found.address is AddressMeaning.FETCHED:
        return _fetched(exception, at)
    if code not in (*CALLS, ILLEGAL, BREAKPOINT, VIRTUAL) and found.access_kind is None:
        return Agreement(Fit.NOT_SHOWN, "this cause says nothing of an instruction")
    where = f"{names.return_address} {at:#x}"
    if instruction is None:
        return Agreement(Fit.NOT_SHOWN, f"the instruction at {where} cannot be read")
    if found.access_kind in (AccessKind.READ, AccessKind.WRITE):
        return _accessed(exception, instruction, bits, register, where)
    return _other(exception, code, instruction, where)


def access_by(code: bytes, bits: int, register: ReadRegister) -> InstructionAccess | None:
    """Return what the instruction that code begins with does with memory where XLEN is `bits`; None for nothing."""
    found = memory_access(int.from_bytes(code[:4], "little"), bits) if len(code) >= _COMPACT_BYTES else None
    if found is None:
        return None
    base = X[found.base]
    pointer = 0 if not found.base else optional(register, base)
    leads = None if pointer is None or found.offset is None else VA((pointer + found.offset) % (1 << bits))
    text = f"{found.name} [{base}{f'{found.offset:+#x}' if found.offset else ''}]"
    return InstructionAccess(text, found.kinds, found.size_bytes, leads, base, pointer)


def _fetched(exception: ExceptionRecord, at: VA) -> Agreement:
    """A fetch is refused where it begins, or at its second half, which may be in the next page."""
    names = exception.names
    if exception.address in (at, at + _LAST_HALF):
        return Agreement(Fit.FITS, f"{names.return_address} is where it was fetched from")
    if not exception.address:
        return Agreement(Fit.NOT_SHOWN, f"{names.address} is 0, as it may be left")
    said = f"{names.address} is {exception.address:#x} and {names.return_address} {at:#x}, of which a fetch has but one"
    return Agreement(Fit.CONTRADICTS, said)


def _accessed(
    exception: ExceptionRecord, instruction: int, bits: int, register: ReadRegister | None, where: str
) -> Agreement:
    access, kind = memory_access(instruction, bits), exception.syndrome.access_kind
    wanted = "load" if kind is AccessKind.READ else "store"
    if access is None or kind not in access.kinds:
        said = "another instruction" if access is None else access.name
        return Agreement(Fit.CONTRADICTS, f"at {where} is {said}, no {wanted}")
    elsewhere = _elsewhere(exception, access, bits, register)
    if elsewhere:
        return Agreement(Fit.CONTRADICTS, f"{access.name} at {where} accesses {elsewhere}")
    return Agreement(Fit.FITS, f"{access.name} is at {where}")


def _elsewhere(exception: ExceptionRecord, access: LoadStore, bits: int, register: ReadRegister | None) -> str:
    """Return where an instruction's own base leads, if xtval is not there; empty where it is, or that is not known."""
    if register is None or access.offset is None or not exception.address:
        return ""
    try:
        first = (register(X[access.base]) if access.base else 0) + access.offset
    except Unavailable:
        return ""
    # What crosses into the next page is refused there, and a cache block is refused wherever in it the address is.
    distance = exception.address - first & (1 << bits) - 1
    if access.size_bytes is None or distance < access.size_bytes:
        return ""
    return f"{first & (1 << bits) - 1:#x}, not {exception.names.address}'s"


def _other(exception: ExceptionRecord, code: int, instruction: int, where: str) -> Agreement:
    names, value = exception.names, exception.address
    if code in CALLS:
        shown = instruction == _ECALL
        return Agreement(Fit.FITS if shown else Fit.CONTRADICTS, f"{'ecall' if shown else 'no ecall'} is at {where}")
    if code == BREAKPOINT:
        if instruction in (_EBREAK, _COMPACT_EBREAK):
            return Agreement(Fit.FITS, f"ebreak is at {where}")
        return Agreement(Fit.NOT_SHOWN, f"no ebreak is at {where}: a trigger may have matched")
    if code == VIRTUAL and Wide(instruction).opcode != SYSTEM:
        return Agreement(Fit.CONTRADICTS, f"at {where} is no instruction that may be virtual")
    if not value:
        return Agreement(Fit.NOT_SHOWN, f"{names.address} is 0, as it may be left")
    if value != instruction:
        return Agreement(
            Fit.CONTRADICTS, f"{names.address} has the instruction {value:#x}, and at {where} is {instruction:#x}"
        )
    return Agreement(Fit.FITS, f"{names.address} has the instruction at {where}")
