"""A change of one descriptor, and the only way to make it: compare, write, read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gdbtools.bits import Word
from gdbtools.errors import Refused
from gdbtools.machine.model import PhysicalMemory


@dataclass(frozen=True)
class Change:
    """One descriptor at physical address `pa`, as it is and as it shall be."""

    pa: int
    before: Word
    after: Word
    size_bytes: int = 8
    byte_order: Literal["little", "big"] = "little"

    @property
    def inverse(self) -> Change:
        """The change that undoes this one."""
        return Change(self.pa, self.after, self.before, self.size_bytes, self.byte_order)

    def apply(self, memory: PhysicalMemory) -> None:
        """Make the change; a descriptor that is no longer `before`, or does not become `after`, raises `Refused`."""
        self._expect(memory, self.before, "it changed since it was read; nothing was written, look again")
        memory.write(self.pa, int(self.after).to_bytes(self.size_bytes, self.byte_order))
        self._expect(memory, self.after, "the write did not take; is the table in ROM, or the dump read-only?")

    def _expect(self, memory: PhysicalMemory, word: Word, otherwise: str) -> None:
        found = int.from_bytes(memory.read(self.pa, self.size_bytes), self.byte_order)
        if found != word:
            raise Refused(f"the descriptor at PA {self.pa:#x} is {found:#018x}, not {int(word):#018x}: {otherwise}")
