"""What was written to a guest, so that it can be taken back."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from gdbtools.repair.change import Change


class Way(enum.Enum):
    """How descriptors are changed: `mmu undo` takes a repair back in the way it was made."""

    WRITE = enum.auto()
    """Written in place, and nothing else."""
    INVALIDATE = enum.auto()
    """Written in place, then invalidated in the TLBs."""
    BREAK = enum.auto()
    """Made invalid, invalidated in the TLBs, then written: break-before-make."""


@dataclass(frozen=True)
class Repair:
    """The changes that one command made, in order."""

    what: str
    changes: Sequence[Change]
    way: Way = Way.WRITE


@dataclass
class Log:
    """Every repair since the session began, but for those taken back.

    A repair is logged before it is made: where the connection breaks in the middle, nobody knows how far it came.
    """

    repairs: list[Repair] = field(default_factory=list)

    def append(self, change: Change) -> None:
        """Log a repair of one descriptor, written in place."""
        self.repairs.append(Repair("fixup", (change,)))

    def __len__(self) -> int:
        return sum(len(repair.changes) for repair in self.repairs)
