"""The error code of exceptions that may be about a segment or a gate: #GP, #SS, and that of #DF, which is 0.

Source: Intel SDM volume 3, "Error Code", "Interrupt 8", "Interrupt 12", "Interrupt 13".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.model import AddressMeaning, Return, Syndrome
from gdbtools.bits import NO_YES, Field, Word

DOUBLE_FAULT: Final = 8
STACK: Final = 12
GENERAL_PROTECTION: Final = 13
NAMES: Final = {
    DOUBLE_FAULT: "double fault (#DF)",
    STACK: "stack fault (#SS)",
    GENERAL_PROTECTION: "general protection (#GP)",
}


class SelectorCode(Word):
    """The error code of what may be about a descriptor; 0 where it is about none."""

    width = 32
    INDEX = Field((15, 3), doc="descriptor, or vector")
    TI = Field(2, doc="table, where it is no gate", values={0: "GDT", 1: "LDT"})
    IDT = Field(1, doc="of a gate", values=NO_YES)
    EXT = Field(0, doc="while an event was delivered that no instruction asked for", values=NO_YES)

    @property
    def named(self) -> str:
        """The descriptor that it names; empty where it names none."""
        if not self & ~1:
            return ""
        if self.IDT:
            return f"gate {self.INDEX:#x} of the IDT"
        return f"descriptor {self.INDEX:#x} of the {'LDT' if self.TI else 'GDT'}"


def decode(vector: int, value: int) -> Syndrome:
    """Decode an error code of the exception of that vector; never refuses a value."""
    word = SelectorCode(value & 0xFFFF_FFFF)
    is_abort = vector == DOUBLE_FAULT
    notes = (f"the error code names {word.named}",) if word.named else ()
    return Syndrome(
        word=word,
        name=NAMES[vector],
        address=AddressMeaning.OLDER if is_abort else AddressMeaning.NOT_RECORDED,
        returns=Return.UNKNOWN if is_abort else Return.THIS_INSTRUCTION,
        notes=notes,
    )
