"""A sibling of the strange one: its exceptions leave everything on the stack, and its vectors are a table in memory.

As x86's do: an error code, the address to return to and the state, from where `sp` points; and a vector for each code.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import ExceptionRecord, ReadRegister, Syndrome, VectorEntry, memory_of
from gdbtools.arch.walk import read_virtual
from tests import strange, toy

FRAME: Final = struct.Struct("<3I")
"""The error code, the address to return to, and the state."""
VECTORS: Final = struct.Struct("<2I")
"""Where the table of vectors leads, for each code."""


class StackedExceptions(strange.StrangeExceptions):
    def frame(self, register: ReadRegister) -> tuple[int, int, int]:
        regime = toy.TOY.regime_for(register, VA(register("sp")))
        code, back, state = FRAME.unpack(read_virtual(regime, VA(register("sp")), FRAME.size, memory_of(register)))
        return code, back, state

    def way_back(self, register: ReadRegister, through: VA | None) -> Mapping[str, int] | None:
        _, back, state = self.frame(register)
        return {"sp": register("sp") + FRAME.size, "mode": state, "pc": back}

    def syndrome(self, register: ReadRegister) -> Syndrome:
        return self.decode(self.frame(register)[0])

    def record(self, register: ReadRegister) -> ExceptionRecord:
        code, back, state = self.frame(register)
        found, names = self.decode(code), replace(strange.NAMES, syndrome="error code", return_address="[sp + 4]")
        return ExceptionRecord(toy.ANYBODY, found, VA(register("BAD")), VA(back), toy.ANYBODY, state, "toy", names)

    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
        table = VECTORS.unpack(memory_of(register)(PA(register("VEC")), VECTORS.size))
        return {VA(table[1]): "page fault"}

    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        name = self.vectors(register).get(VA(register("pc")))
        return None if name is None else VectorEntry(name)


class Stacked(strange.Strange):
    """The strange one without exception registers."""

    registers = toy.Toy.registers
    general = ("r0", "pc", "sp", "mode", "BAD", "VEC")
    exceptions = StackedExceptions()


STACKED: Final = Stacked()
STACKED.identity = replace(toy.IDENTITY, name="stacked", title="Stacked")  # type: ignore[misc]
