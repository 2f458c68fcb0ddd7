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
from gdbtools.arch.model import ReadRegister, memory_of, optional, with_memory
from gdbtools.arch.walk import read_virtual
from gdbtools.arch.x86_64.registers.descriptor_tables import GATE_BYTES, Gate
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.errors import Unavailable, Unreadable

GENERAL_PROTECTION: Final = 13
PAGE_FAULT: Final = 14
MNEMONICS: Final[Mapping[int, str]] = {
    0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP",
    12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM", 20: "#VE", 21: "#CP",
}  # fmt: skip
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


def gate(register: ReadRegister, vector: int = PAGE_FAULT) -> Gate:
    """Return the gate that a vector's exceptions are taken through."""
    at = VA(register("idtr") + GATE_BYTES * vector)
    return Gate(int.from_bytes(read_virtual(regimes.regime(register), at, GATE_BYTES, memory_of(register)), "little"))


def handler(register: ReadRegister, vector: int = PAGE_FAULT) -> VA | None:
    """Return where a vector's handler begins; None where its gate is not present."""
    found = gate(register, vector)
    return VA(found.OFFSET) if found.P else None


def is_at_handler(register: ReadRegister) -> bool:
    """Return whether a CPU is at the first instruction of its page faults' handler."""
    return register("rip") == handler(register)


def frame(register: ReadRegister) -> FaultFrame:
    """Return the frame of a CPU that is at that handler's first instruction."""
    raw = read_virtual(regimes.regime(register), VA(register("rsp")), FRAME_BYTES, memory_of(register))
    (code,) = _ERROR.unpack(raw[: _ERROR.size])
    rip, cs, rflags, rsp, _ = _FRAME.unpack(raw[_ERROR.size :])
    return FaultFrame(code, rip, cs, rflags, rsp)


def interrupted(register: ReadRegister) -> ReadRegister:
    """Return the registers of the code that a fault interrupted, at its handler; elsewhere those that there are."""
    try:
        if not is_at_handler(register):
            return register
        saved = frame(register)
    except (Unavailable, Unreadable):
        return register
    values = {"rip": saved.rip, "rsp": saved.rsp}

    def read(name: str) -> int:
        return values[name] if name in values else register(name)

    return with_memory(read, memory_of(register))


def frame_or_written(register: ReadRegister) -> tuple[int, FaultFrame | None]:
    """Return the error code, and the frame that it is in; None where somebody wrote down the code alone.

    Raises `Unavailable` where neither is there: then the frame may be anywhere.
    """
    written = optional(register, "error_code")
    if written is not None:
        return written, None
    if optional(register, "idtr") is None:
        raise Unavailable("nothing says where the handlers are; give idtr and memory, or error_code and cr2")
    if not is_at_handler(register):
        raise Unavailable(
            "the error code is on the stack, and at the first instruction of #PF's handler alone it is known where; "
            "stop there, as `catch` does, or give error_code"
        )
    found = frame(register)
    return found.error_code, found
