"""What both kinds of a second stage have in common: guest physical addresses through the hypervisor's tables.

Source: Intel SDM volume 3, "EPT Translation Mechanism"; AMD64 APM volume 2, "Nested Paging".
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from functools import cached_property

from gdbtools.addresses import IPA, Input
from gdbtools.arch.model import Access, AccessKind, Decider, Fault, FaultKind, Refusal, Regime, Walk
from gdbtools.arch.x86_64.tables.geometry import PHYSICAL_BITS


@dataclass(frozen=True, slots=True)
class GuestPage:
    """What the guest's own tables say of an address: a user-mode one, writable, not executable."""

    user: bool
    writable: bool = True
    no_execute: bool = False


class SecondStage(Regime):
    """A second stage, and how it takes what the guest's own paging does."""

    stage = 2
    first = IPA(0)

    @property
    def own_name(self) -> str:
        return f"guest physical addresses, {self.short_name}"

    @property
    def input_label(self) -> str:
        return "GPA"

    @cached_property
    def last(self) -> IPA:  # type: ignore[override]
        return IPA((1 << min(self.levels[0].high + 1, PHYSICAL_BITS)) - 1)

    @property
    @abc.abstractmethod
    def bounded_by(self) -> Decider:
        """What says how wide a guest's physical addresses are."""

    def admit(self, address: Input) -> Refusal | None:
        return None if address <= self.last else Refusal(Fault(FaultKind.TRANSLATION, self.stage), self.bounded_by)

    @abc.abstractmethod
    def check(self, walk: Walk, kind: AccessKind, user: bool) -> Refusal | None:
        """Return what refuses an access to what `walk`, a walk of it, found; `user` is of the linear address."""

    @abc.abstractmethod
    def fetch_refused_through(self, via: Walk) -> Refusal | None:
        """Return what refuses to read an entry of the guest's tables through `via`."""

    @abc.abstractmethod
    def combined(self, memory: str, final: Walk) -> str:
        """Return the memory type of both stages, `memory` being that of the guest's tables."""

    @abc.abstractmethod
    def status(self, below: Walk, fault: Fault, access: Access, is_table: bool, page: GuestPage | None) -> int | None:
        """Return what the VM exit says of a fault of `below`, a walk of this stage; `is_table`: fetching a table."""

    @abc.abstractmethod
    def called(self, fault: Fault) -> str:
        """Return what the manual calls a fault of this stage."""

    def update_refused(self, via: Walk) -> Refusal | None:
        """Return what refuses to set a flag in an entry of the guest's tables that was fetched through `via`."""
        return self.implicit(self.check(via, AccessKind.WRITE, user=False))

    @staticmethod
    def implicit(refused: Refusal | None) -> Refusal | None:
        """Return a refusal as one of an access that paging itself makes."""
        return None if refused is None else Refusal(replace(refused.fault, s1ptw=True), refused.decider)


def second_walk(walk: Walk, fault: Fault) -> tuple[Walk | None, bool]:
    """Return the walk of the second stage that a fault of `walk` is of, and whether it was of a table's fetch."""
    if isinstance(walk.regime, SecondStage):
        return walk, fault.s1ptw
    if walk.fetch is not None:
        return walk.fetch.via, True
    below = walk.regime.below
    if fault.s1ptw:
        assert isinstance(below, SecondStage), "nothing else refuses what paging itself does"
        vias = (step.via for step in walk.steps if step.via is not None)
        return next((via for via in vias if below.update_refused(via) is not None), None), True
    return walk.final, False
