"""A change of one descriptor, and the only way to make it: compare, write, read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gdbtools.addresses import PA, Input
from gdbtools.bits import Word
from gdbtools.errors import Refused
from gdbtools.machine.model import PhysicalMemory


@dataclass(frozen=True, slots=True)
class Change:
    """One descriptor at physical address `pa`, as it is and as it shall be.

    `address` is an input address that it translates, None where nobody asked for one.
    """

    pa: PA
    before: Word
    after: Word
    size_bytes: int = 8
    byte_order: Literal["little", "big"] = "little"
    address: Input | None = None

    @property
    def end(self) -> int:
        """The physical address behind it."""
        return self.pa + self.size_bytes

    @property
    def count(self) -> int:
        """How many descriptors change."""
        return 1

    @property
    def changes(self) -> Sequence[Change]:
        """The changes of single descriptors that it is made of: itself."""
        return (self,)

    @property
    def inverse(self) -> Change:
        """The change that undoes this one."""
        return replace(self, before=self.after, after=self.before)

    def found(self, memory: PhysicalMemory) -> int:
        """Return what the descriptor is now."""
        return int.from_bytes(memory.read(self.pa, self.size_bytes), self.byte_order)

    def apply(self, memory: PhysicalMemory) -> None:
        """Make the change; a descriptor that is no longer `before`, or does not become `after`, raises `Refused`."""
        self._expect(memory, self.before, "it changed since it was read; nothing was written, look again")
        memory.write(self.pa, int(self.after).to_bytes(self.size_bytes, self.byte_order))
        self._expect(memory, self.after, "the write did not take; is the table in ROM, or the dump read-only?")

    def _expect(self, memory: PhysicalMemory, word: Word, otherwise: str) -> None:
        found = self.found(memory)
        if found != word:
            raise Refused(
                f"the descriptor at PA {self.pa:#x} is {type(word)(found).padded}, not {word.padded}: {otherwise}"
            )
