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
    apart = {FaultKind.PAGE: PAGE_FAULT_KINDS, FaultKind.ACCESS: ACCESS_FAULT_KINDS}.get(
        found.fault or FaultKind.ALIGNMENT, frozenset()
    )
    return Syndrome(
        word=word,
        name=EXCEPTIONS.get(code) or f"exception {code}, of no name",
        fault=fault,
        access_kind=found.kind,
        status=code if fault is not None else None,
        address=found.address if code in EXCEPTIONS else AddressMeaning.UNKNOWN,
        ipa_valid=found.stage > 1,
        returns=Return.THIS_INSTRUCTION,
        instruction="ecall" if code in CALLS else "",
        notes=(_NOTES[code],) if code in _NOTES else (),
        not_told_apart=apart,
        # Which of two stages' descriptors, or of their outputs, physical memory refused is not told.
        stage_told=found.fault is not FaultKind.ACCESS,
    )


def interrupt_name(number: int) -> str:
    """Return what the manual calls an interrupt, or its number."""
    return INTERRUPTS.get(number, f"interrupt {number}")


def code_of(syndrome: Syndrome) -> int | None:
    """Return the exception code of a decoded cause, None for an interrupt's."""
    bits = type(syndrome.word).width
    return None if syndrome.word >> bits - 1 & 1 else Field((bits - 2, 0)).of(syndrome.word)
