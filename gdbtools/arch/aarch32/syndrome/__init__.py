"""What an abort's fault status register says, decoded, and what DFAR or IFAR then holds.

Source: DDI 0487, "DFSR, Data Fault Status Register", "IFSR, Instruction Fault Status Register", "Prefetch Abort
exception", "Data Abort exception".
"""

from __future__ import annotations

from gdbtools.arch.aarch32.syndrome.fault_status import ASYNCHRONOUS, fault_of, form
from gdbtools.arch.model import AccessKind, AddressMeaning, FaultKind, Return, Syndrome
from gdbtools.bits import Word

DATA, FETCH = "DFSR", "IFSR"


def decode(value: int, name: str = DATA) -> Syndrome:
    """Decode a fault status register; never refuses a value."""
    word = form(name, value)(value)
    fault = fault_of(word)
    status = word.field("STATUS" if word.field("LPAE").of(word) else "FS")
    said = status.meaning(status.of(word))
    is_fetch = name == FETCH
    kind = AccessKind.EXECUTE if is_fetch else _data_kind(word)
    return Syndrome(
        word=word,
        name="Prefetch Abort" if is_fetch else "Data Abort",
        fault=fault,
        access_kind=kind if fault is not None else None,
        status=status.of(word) if fault is not None else None,
        address=_address(word, fault is not None, is_fetch, said),
        returns=Return.THIS_INSTRUCTION,
        notes=() if fault is not None else (said or f"fault status {status.of(word):#x} is reserved",),
    )


def _data_kind(word: Word) -> AccessKind:
    if word.field("CM").of(word):
        return AccessKind.MAINTENANCE
    return AccessKind.WRITE if word.field("WnR").of(word) else AccessKind.READ


def _address(word: Word, is_fault: bool, is_fetch: bool, said: str) -> AddressMeaning:
    if not is_fault:
        return AddressMeaning.UNKNOWN if ASYNCHRONOUS in said or not said else AddressMeaning.UNSAID
    if is_fetch:
        return AddressMeaning.INVALID if word.field("FnV").of(word) else AddressMeaning.FETCHED
    found = fault_of(word)  # type: ignore[arg-type]
    unsaid = found is not None and found.kind is FaultKind.IMPLEMENTATION_DEFINED
    return AddressMeaning.UNSAID if unsaid else AddressMeaning.ACCESSED
