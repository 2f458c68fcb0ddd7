"""How hardware is asked to set access flags and dirty state: which fields of which registers, and who writes them.

What a CPU is asked is its own regime's: the one that it translates by when it is stopped.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gdbtools.arch.gadgets import Borrowable
from gdbtools.arch.model import ReadRegister
from gdbtools.bits import FieldValue, Word


@dataclass(frozen=True, slots=True)
class ControlChange:
    """One control register as it is and as it shall be: of what differs between the two, and of nothing else."""

    register: str
    before: Word
    after: Word

    @property
    def mask(self) -> int:
        """The bits that change."""
        return self.before ^ self.after

    @property
    def fields(self) -> Sequence[tuple[FieldValue, FieldValue]]:
        """The fields that change: (as it is, as it shall be)."""
        pairs = zip(self.before.decoded(), self.after.decoded(), strict=True)
        return [(before, after) for before, after in pairs if before.value != after.value]

    @property
    def inverse(self) -> ControlChange:
        """The change that undoes this one."""
        return replace(self, before=self.after, after=self.before)

    def at(self, now: int) -> ControlChange:
        """Return the same change of a register that may differ elsewhere by now."""
        kept, word = now & ~self.mask, type(self.after)
        return replace(self, before=word(now), after=word(kept | (self.after & self.mask)))

    def made(self, now: int) -> bool:
        """Return whether a register is as this leaves it."""
        return not (now ^ self.after) & self.mask


@dataclass(frozen=True, slots=True)
class ControlChanges:
    """What one CPU's control registers need, in order; where it is nothing, `left` says why."""

    changes: Sequence[ControlChange]
    left: str = ""


class HardwareFlags(abc.ABC):
    """How hardware is asked; every method is handed the registers of the CPU as it stands.

    `dirty_meaning` says what dirty state is set by hardware, once it is asked for that too.  `refused` is what it may
    mean that a register which a stub writes did not take it, empty where instructions write.
    """

    dirty_meaning: str
    refused: str = ""

    @abc.abstractmethod
    def regime(self, register: ReadRegister) -> str:
        """Return the name of the regime that is asked about on every CPU, by what this CPU is in."""

    def waits(self, register: ReadRegister) -> bool:  # noqa: ARG002
        """Return whether the CPU cannot be told where it stands, and can be once it has taken an exception."""
        return False

    @abc.abstractmethod
    def changes(self, register: ReadRegister, regime: str, on: bool, dirty: bool) -> ControlChanges:
        """Return what asks hardware (`on`), or no longer asks it, to set the flags of a regime's tables.

        `dirty` asks for dirty state as well.  Raises `Refused` where the CPU cannot do it at all, or cannot be told so
        where it stands; `Unavailable` where nothing shows that it can.
        """

    @abc.abstractmethod
    def writes(self, change: ControlChange, register: ReadRegister) -> Sequence[Sequence[Borrowable]]:
        """Return the instructions that make a change where the CPU stands, each a choice of kinds, in order.

        None where a stub lets the register be written.  Raises `Refused` where the CPU may not execute them.
        """
