"""What a trap's cause says: xcause, decoded, and what it leaves in xtval and xepc.

Source: The RISC-V Privileged Architecture, "Machine Cause (mcause) Register", "Machine Trap Value (mtval) Register",
"Supervisor Cause (scause) Register", and of the H extension "Trap Cause Codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from gdbtools.arch.model import AccessKind, AddressMeaning, Fault, FaultKind, Return, Syndrome
from gdbtools.arch.riscv.registers.traps import EXCEPTIONS
from gdbtools.bits import Field, Word

INTERRUPTS: Final[Mapping[int, str]] = {
    1: "supervisor software interrupt",
    2: "virtual supervisor software interrupt",
    3: "machine software interrupt",
    5: "supervisor timer interrupt",
    6: "virtual supervisor timer interrupt",
    7: "machine timer interrupt",
    9: "supervisor external interrupt",
    10: "virtual supervisor external interrupt",
    11: "machine external interrupt",
    12: "supervisor guest external interrupt",
    13: "counter-overflow interrupt",
}
PAGE_FAULT_KINDS: Final = frozenset(
    (FaultKind.TRANSLATION, FaultKind.PERMISSION, FaultKind.ACCESS_FLAG, FaultKind.ADDRESS_SIZE)
)
"""What a page fault does not tell apart: one cause is all of them, at every level."""
ACCESS_FAULT_KINDS: Final = frozenset((FaultKind.ACCESS,))
_NOT_TOLD_APART: Final = {
    FaultKind.PAGE: PAGE_FAULT_KINDS,
    FaultKind.ACCESS: ACCESS_FAULT_KINDS,
    FaultKind.ALIGNMENT: frozenset((FaultKind.ALIGNMENT,)),
}
CUSTOM: Final = (range(24, 32), range(48, 64))
"""Exception codes that are "designated for custom use"; others without a name are reserved."""
PLATFORM: Final = 16
"""From this number on interrupts are "designated for platform use"."""
_NARROW: Final = 32


CALLS: Final = (8, 9, 10, 11)
"""The environment calls: one of each mode that makes it."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What follows from a code: its fault, what was wanted, and what xtval holds then."""

    fault: FaultKind | None = None
    kind: AccessKind | None = None
    address: AddressMeaning = AddressMeaning.ZERO
    stage: int = 1


_FETCH, _LOAD, _STORE = AccessKind.EXECUTE, AccessKind.READ, AccessKind.WRITE
_AT, _OF = AddressMeaning.ACCESSED, AddressMeaning.FETCHED
# "If mtval is written with a nonzero value when [...]": 0 is what an implementation may write instead of any of these.
MEANINGS: Final[Mapping[int, _Meaning]] = {
    0: _Meaning(FaultKind.ALIGNMENT, _FETCH, AddressMeaning.TARGET),
    1: _Meaning(FaultKind.ACCESS, _FETCH, _OF),
    2: _Meaning(address=AddressMeaning.INSTRUCTION),
    3: _Meaning(address=AddressMeaning.BREAKPOINT),
    4: _Meaning(FaultKind.ALIGNMENT, _LOAD, _AT),
    5: _Meaning(FaultKind.ACCESS, _LOAD, _AT),
    6: _Meaning(FaultKind.ALIGNMENT, _STORE, _AT),
    7: _Meaning(FaultKind.ACCESS, _STORE, _AT),
    12: _Meaning(FaultKind.PAGE, _FETCH, _OF),
    13: _Meaning(FaultKind.PAGE, _LOAD, _AT),
    15: _Meaning(FaultKind.PAGE, _STORE, _AT),
    18: _Meaning(address=AddressMeaning.CODE),
    19: _Meaning(address=AddressMeaning.MAYBE),
    20: _Meaning(FaultKind.PAGE, _FETCH, _OF, 2),
    21: _Meaning(FaultKind.PAGE, _LOAD, _AT, 2),
    22: _Meaning(address=AddressMeaning.INSTRUCTION),
    23: _Meaning(FaultKind.PAGE, _STORE, _AT, 2),
}
_NOTES: Final[Mapping[int, str]] = {
    16: "a trap came while the one before had not been returned from: SDT or MDT was set",
    18: "xtval has what failed: 2 a landing pad (Zicfilp), 3 a shadow stack (Zicfiss)",
}


@cache
def cause_word(bits: int, interrupt: bool) -> type[Word]:
    """Return the layout of xcause where XLEN is `bits`: the codes of interrupts are others than those of exceptions."""
    fields = {
        "__doc__": "Cause of a trap.",
        "width": bits,
        "Interrupt": Field(bits - 1, doc="kind of trap", values={0: "exception", 1: "interrupt"}),
        "Code": Field(
            (bits - 2, 0),
            doc="interrupt number" if interrupt else "exception code",
            values=INTERRUPTS if interrupt else EXCEPTIONS,
        ),
    }
    return type(f"CAUSE{bits}", (Word,), fields)


def decode(value: int, bits: int) -> Syndrome:
    """Decode a cause where XLEN is `bits`; a code that is reserved, or the platform's own, stays a number."""
    interrupt = bool(value >> bits - 1 & 1)
    word = cause_word(bits, interrupt)(value)
    code = Field((bits - 2, 0)).of(value)
    if interrupt:
        name, returns = interrupt_name(code), Return.INTERRUPTED
        return Syndrome(word, name, address=AddressMeaning.ZERO, returns=returns, interrupt=True)
    found = MEANINGS.get(code, _Meaning())
    fault = None if found.fault is None else Fault(found.fault, found.stage)
    apart = frozenset() if found.fault is None else _NOT_TOLD_APART[found.fault]
    return Syndrome(
        word=word,
        name=exception_name(code),
        fault=fault,
        access_kind=found.kind,
        status=code if fault is not None else None,
        address=found.address if code in EXCEPTIONS else AddressMeaning.UNSAID,
        ipa_valid=found.stage > 1,
        returns=Return.THIS_INSTRUCTION,
        instruction="ecall" if code in CALLS else "",
        notes=(_NOTES[code],) if code in _NOTES else _of_narrow(value, bits),
        not_told_apart=apart,
        # Which of two stages' descriptors, or of their outputs, physical memory refused is not told.
        stage_told=found.fault is not FaultKind.ACCESS,
    )


def _of_narrow(value: int, bits: int) -> tuple[str, ...]:
    """Return what a cause would be where XLEN is 32, if it may be one of there."""
    number = value - (1 << _NARROW - 1)
    if bits == _NARROW or number not in INTERRUPTS:
        return ()
    return (f"of riscv32 it would be the {INTERRUPTS[number]}",)


def exception_name(code: int) -> str:
    """Return what the manual calls an exception, or its number and whose it is."""
    custom = any(code in codes for codes in CUSTOM)
    return EXCEPTIONS.get(code) or f"exception {code}, {'for custom use' if custom else 'reserved'}"


def interrupt_name(number: int) -> str:
    """Return what the manual calls an interrupt, or its number and whose it is."""
    return INTERRUPTS.get(number) or f"interrupt {number}, {'of the platform' if number >= PLATFORM else 'reserved'}"


def code_of(syndrome: Syndrome) -> int | None:
    """Return the exception code of a decoded cause, None for an interrupt's."""
    bits = type(syndrome.word).width
    return None if syndrome.word >> bits - 1 & 1 else Field((bits - 2, 0)).of(syndrome.word)
