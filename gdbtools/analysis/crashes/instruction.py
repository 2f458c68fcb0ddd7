"""The instruction that a log prints, held against the syndrome beside it."""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import AccessKind, AddressMeaning, ExceptionRecord, InstructionAccess, ReadRegister
from gdbtools.systems.crash import Crash

_TOLD_APART = (AccessKind.READ, AccessKind.WRITE)
_MOST_BYTES = 64
"""How much an instruction moves at most that does not say how much."""


@dataclass(frozen=True)
class PrintedInstruction:
    """What a crash's instruction does with memory, and what it has against the syndrome; empty where it agrees."""

    access: InstructionAccess
    doubt: str = ""


def printed_instruction(
    crash: Crash, architecture: Architecture, register: ReadRegister, exception: ExceptionRecord | None
) -> PrintedInstruction | None:
    """Return the instruction of a crash, held against its exception; None where it is no access, or not printed.

    Of a fetch that failed there is no instruction: what is printed there was never executed.
    """
    if exception is not None and exception.syndrome.address is AddressMeaning.FETCHED:
        return None
    access = architecture.exceptions.access_by(crash.code, register) if crash.code else None
    if access is None:
        return None
    return PrintedInstruction(access, "" if exception is None else _against(access, exception))


def _against(access: InstructionAccess, exception: ExceptionRecord) -> str:
    syndrome = exception.syndrome
    kind = syndrome.access_kind
    if kind in _TOLD_APART and access.kinds and kind not in access.kinds:
        assert kind is not None
        return f"{access.text} does not {kind.label} memory, and the syndrome says {kind.label}"
    if access.address is None or syndrome.address is not AddressMeaning.ACCESSED or not syndrome.address_valid:
        return ""
    if 0 <= exception.address - access.address < (access.size_bytes or _MOST_BYTES):
        return ""
    return f"{access.text} leads to {access.address:#x} by its registers, and the fault is of {exception.address:#x}"
