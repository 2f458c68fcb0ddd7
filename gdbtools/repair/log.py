"""What was written to a guest, so that it can be taken back."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from gdbtools.addresses import PA
from gdbtools.analysis.faults.descriptor_history import OwnWrite
from gdbtools.arch.hardware_flags import ControlChange
from gdbtools.errors import Refused
from gdbtools.machine.model import PhysicalMemory
from gdbtools.repair.change import Change
from gdbtools.repair.neighbours import TableChange
from gdbtools.wording import number_of


class Way(enum.Enum):
    """How descriptors are changed: `mmu undo` takes a repair back in the way it was made."""

    WRITE = enum.auto()
    """Written in place, and nothing else."""
    INVALIDATE = enum.auto()
    """Written in place, then invalidated in the TLBs."""
    BREAK = enum.auto()
    """Made invalid, invalidated in the TLBs, then written: break-before-make."""


@dataclass(frozen=True, slots=True)
class CpuControl:
    """A control register of one CPU, as it was and as it was made."""

    cpu: int
    change: ControlChange


@dataclass(frozen=True)
class Repair:
    """What one command wrote, in order: descriptors, and stretches of them; or control registers."""

    what: str
    written: Sequence[Change | TableChange]
    way: Way = Way.WRITE
    regime: str | None = None
    """The name of the regime that they are of, where TLBs are to forget them."""
    controls: Sequence[CpuControl] = ()

    @property
    def count(self) -> int:
        """How many descriptors were changed."""
        return sum(each.count for each in self.written)

    @property
    def changes(self) -> Sequence[Change]:
        """The change of each descriptor, in order."""
        return [change for each in self.written for change in each.changes]


@dataclass(frozen=True)
class Written:
    """What a repair that goes on has written so far."""

    changes: list[Change | TableChange]

    def make(self, change: Change | TableChange, memory: PhysicalMemory) -> None:
        """Make a change, and log it; what is refused is not made."""
        self.changes.append(change)
        try:
            change.apply(memory)
        except Refused:
            self.changes.pop()
            raise


def net(written: Sequence[Change | TableChange], memory: PhysicalMemory) -> list[Change]:
    """Return what is left of changes in order: one for each descriptor that is as they left it, and not as it was."""
    left: dict[int, Change] = {}
    for change in (each for one in written for each in one.changes):
        known = left.get(change.pa)
        # What somebody else has written between two changes is not for us to take back.
        going_on = known is not None and known.after == change.before
        left[change.pa] = replace(change, before=known.before) if known is not None and going_on else change
    return [each for each in left.values() if each.before != each.after and each.found(memory) == each.after]


@dataclass
class Log:
    """Every repair since the session began, but for those taken back.

    A repair is logged before it is made: where the connection breaks in the middle, nobody knows how far it came.
    """

    repairs: list[Repair] = field(default_factory=list)
    _of_others: int = 0
    """How many of them were made on connections that are gone: perhaps in another guest."""
    _before: int = 0
    """How many of them were made before this stop."""
    _back: dict[int, tuple[OwnWrite, int]] = field(default_factory=dict)
    """What was taken back last, by the descriptor's physical address, and how many repairs are older than that."""

    def connected(self) -> None:
        """There is a new connection: what was written before can be taken back, but tells nothing of this guest."""
        self._of_others = self._before = len(self.repairs)
        self._back.clear()

    def moved_on(self) -> None:
        """The guest has run, and stands still again."""
        self._before = len(self.repairs)
        self._back = {pa: (replace(own, here=False), older) for pa, (own, older) in self._back.items()}

    def forget(self) -> str:
        """Forget every repair, and return what they changed: the guest that has it is gone; empty for nothing."""
        gone = self.said if self.repairs else ""
        self.repairs.clear()
        self._of_others = self._before = 0
        self._back.clear()
        return gone

    @contextmanager
    def going_on(self, what: str) -> Iterator[Written]:
        """Log a repair that is made in many steps, while it is being made."""
        written: list[Change | TableChange] = []
        self.repairs.append(Repair(what, written))
        try:
            yield Written(written)
        finally:
            if not written:
                self.repairs.pop()

    def make(self, what: str, change: Change, memory: PhysicalMemory) -> None:
        """Make a change, and log it as a repair of its own."""
        with self.going_on(what) as written:
            written.make(change, memory)

    def newest(self, count: int) -> list[Repair]:
        """Return up to `count` repairs, the last first."""
        return self.repairs[::-1][:count]

    def drop(self) -> Repair:
        """Drop the last repair, which was taken back or is to be forgotten, and return it."""
        dropped = self.repairs.pop()
        left = len(self.repairs)
        self._of_others, self._before = min(self._of_others, left), min(self._before, left)
        self._back = {pa: (own, min(older, left)) for pa, (own, older) in self._back.items()}
        return dropped

    def took_back(self) -> Repair:
        """Drop the last repair, which was taken back, and return it; what that changed is remembered."""
        dropped = self.drop()
        own: dict[int, OwnWrite] = {}
        for change in reversed(dropped.changes):
            left = own[change.pa].before if change.pa in own else int(change.after)
            own[change.pa] = OwnWrite("undo", left, int(change.before), here=True)
        self._back |= {pa: (each, len(self.repairs)) for pa, each in own.items()}
        return dropped

    def last_change(self, pa: PA) -> OwnWrite | None:
        """Return this connection's last change of the descriptor at a physical address: a repair, or its undoing."""
        back, older = self._back.get(pa, (None, self._of_others))
        for number in reversed(range(max(older, self._of_others), len(self.repairs))):
            repair = self.repairs[number]
            for change in reversed(repair.changes):
                if change.pa == pa:
                    return OwnWrite(repair.what, int(change.before), int(change.after), number >= self._before)
        return back

    @property
    def asked_hardware(self) -> bool:
        """Whether control registers were written at this stop: the last exception was taken before."""
        return any(repair.controls for repair in self.repairs[self._before :])

    @property
    def said(self) -> str:
        """How much there is to take back, in words: descriptors, and control registers where there are any."""
        registers = sum(len(repair.controls) for repair in self.repairs)
        said = number_of(len(self), "descriptor")
        return f"{said}, {number_of(registers, 'control register')}" if registers else said

    def __len__(self) -> int:
        return sum(repair.count for repair in self.repairs)
