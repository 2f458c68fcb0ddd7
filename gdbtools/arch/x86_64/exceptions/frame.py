"""The frame that an exception leaves on the stack, and where it can be told from anything else there.

At the first instruction of a handler the frame is where rsp points, below it the error code where the vector has one;
which stack that is, the gate and the task have chosen by then.  Anywhere else nothing says where it is.

Source: Intel SDM volume 3, "Exception- or Interrupt-Handler Procedures", "64-Bit Mode Stack FaultFrame", "Error Code".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.model import AccessKind, ReadRegister, Refusal, Walk, memory_of, optional, with_memory
from gdbtools.arch.walk import read_virtual, walk
from gdbtools.arch.x86_64.privileges import SUPERVISOR
from gdbtools.arch.x86_64.registers.descriptor_tables import GATE_BYTES, Gate
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.errors import Unavailable, Unreadable

GENERAL_PROTECTION: Final = 13
PAGE_FAULT: Final = 14
HANDLER: Final = "page_fault_handler"
"""The name by which somebody writes down where #PF's handler is, where no table can be read."""
MNEMONICS: Final[Mapping[int, str]] = {
    0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP",
    12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM", 20: "#VE", 21: "#CP",
}  # fmt: skip
KNOWN: Final = (8, 12, 13, 14)
"""The vectors whose handlers are known here; each has an error code."""
_FRAME: Final = struct.Struct("<5Q")
_ERROR: Final = struct.Struct("<Q")
ERROR_CODE_BYTES: Final = _ERROR.size
FRAME_BYTES: Final = _ERROR.size + _FRAME.size
"""Of the frame, with the error code below it."""


@dataclass(frozen=True, slots=True)
class FaultFrame:
    """What is on the stack of a page fault's handler: the error code, and the state to return to."""

    error_code: int
    rip: int
    cs: int
    rflags: int
    rsp: int


def gates(register: ReadRegister) -> Mapping[int, Gate]:
    """Return the gates of `KNOWN`, by their vectors."""
    first, last = min(KNOWN), max(KNOWN)
    at = VA(register("idtr") + GATE_BYTES * first)
    size_bytes = GATE_BYTES * (last + 1 - first)
    raw = read_virtual(regimes.regime(register), at, size_bytes, memory_of(register))
    found = (raw[offset : offset + GATE_BYTES] for offset in range(0, size_bytes, GATE_BYTES))
    known = dict(enumerate((Gate(int.from_bytes(each, "little")) for each in found), first))
    return {vector: known[vector] for vector in KNOWN}


def gate(register: ReadRegister, vector: int = PAGE_FAULT) -> Gate:
    """Return the gate of a vector of `KNOWN`."""
    return gates(register)[vector]


def handlers(register: ReadRegister) -> Mapping[int, VA]:
    """Return where the handlers of `KNOWN` begin, by their vectors, as far as their gates are present."""
    written = optional(register, HANDLER)
    if written is not None:
        return {PAGE_FAULT: VA(written)}
    return {vector: VA(each.OFFSET) for vector, each in gates(register).items() if each.P}


def handler(register: ReadRegister, vector: int = PAGE_FAULT) -> VA | None:
    """Return where a vector's handler begins; None where its gate is not present."""
    return handlers(register).get(vector)


def vector_at(register: ReadRegister) -> int | None:
    """Return the vector at whose handler's first instruction a CPU is; None where it is at none of `KNOWN`.

    Raises `Unavailable` where several have the same handler: then which it was is told by what that has done before.
    """
    pc = register("rip")
    found = [vector for vector, at in handlers(register).items() if at == pc]
    if len(found) > 1:
        which = " and ".join(MNEMONICS[vector] for vector in found)
        raise Unavailable(f"{which} have the same handler, {pc:#x}: which of them this is nothing shows")
    return found[0] if found else None


def frame(register: ReadRegister) -> FaultFrame:
    """Return the frame of a CPU that is at that handler's first instruction."""
    raw = read_virtual(regimes.regime(register), VA(register("rsp")), FRAME_BYTES, memory_of(register))
    (code,) = _ERROR.unpack(raw[: _ERROR.size])
    rip, cs, rflags, rsp, _ = _FRAME.unpack(raw[_ERROR.size :])
    return FaultFrame(code, rip, cs, rflags, rsp)


def frame_write(register: ReadRegister, at: VA) -> tuple[Walk, Refusal | None]:
    """Return the walk of an address that a frame is written at, and what refuses that.

    Taking an exception is an implicit access: with SMAP, AC does not suspend anything for it.
    """
    regime = regimes.regime(register)
    found = walk(regime, at, memory_of(register))
    if not isinstance(regime, Linear):
        return found, found.refused
    return found, regime.check(found, AccessKind.WRITE, SUPERVISOR, False)


def interrupted(register: ReadRegister) -> ReadRegister:
    """Return the registers of the code that was interrupted, at a handler; elsewhere those that there are."""
    try:
        if vector_at(register) is None:
            return register
        saved = frame(register)
    except (Unavailable, Unreadable):
        return register
    values = {"rip": saved.rip, "rsp": saved.rsp}

    def read(name: str) -> int:
        return values[name] if name in values else register(name)

    return with_memory(read, memory_of(register))


def frame_or_written(register: ReadRegister) -> tuple[int, int, FaultFrame | None]:
    """Return vector and error code, and the frame that it is in; None where somebody wrote down the code alone, of #PF.

    Raises `Unavailable` where neither is there: then the frame may be anywhere.
    """
    written = optional(register, "error_code")
    if written is not None:
        return PAGE_FAULT, written, None
    if optional(register, "idtr") is None and optional(register, HANDLER) is None:
        raise Unavailable(
            "nothing says where the handlers are; live: `mmu catch any --handler SYMBOL`; of a file: give error_code "
            "and cr2, or idtr"
        )
    vector = vector_at(register)
    if vector is None:
        cr2 = optional(register, "cr2")
        last = (
            "" if cr2 is None else f" cr2, of the last page fault, is {cr2:#x}: `walk {cr2:#x}` says where that leads;"
        )
        raise Unavailable(
            f"not at a handler's first instruction, where alone an error code is known to be on the stack;{last} live: "
            "`mmu catch any`, continue, and ask there; of a file: give error_code"
        )
    found = frame(register)
    return vector, found.error_code, found
