"""Linear addresses as cr3 has them translated.

Source: Intel SDM volume 3, "Paging", "Linear-Address Masking", "Page Attribute Table (PAT)"; volume 1, "Canonical
Addressing".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gdbtools.addresses import VA, Input, Output
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Fault,
    FaultKind,
    Privilege,
    Refusal,
    Step,
    Walk,
)
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.permissions.checks import (
    AccessControls,
    is_users,
    lacking,
    refuse,
    restricting,
    rights,
)
from gdbtools.arch.x86_64.privileges import LEVELS, SUPERVISOR, USER
from gdbtools.arch.x86_64.registers.control import CR4
from gdbtools.arch.x86_64.registers.memory_types import DEVICE, PAT
from gdbtools.arch.x86_64.tables.descriptors import Entry64, PresentEntry
from gdbtools.arch.x86_64.tables.entries import EntryFormat
from gdbtools.arch.x86_64.tables.geometry import LEVELS_5, PAE
from gdbtools.arch.x86_64.translation.address_masking import Masking
from gdbtools.arch.x86_64.translation.paged import PagingTables
from gdbtools.arch.x86_64.translation.second_stage import GuestPage, SecondStage

FULL: Final = (1 << 64) - 1


@dataclass(frozen=True)
class Linear(PagingTables):
    """Linear addresses through the tables of cr3, and through the hypervisor's where there is a second stage.

    `upper` is which half of the canonical addresses this range has, None for both: one root translates both, and
    between them is nothing.  `masking` says which upper bits of a data address are no part of it.
    """

    root: Output
    layout: EntryFormat
    controls: AccessControls
    pat: PAT
    global_pages: bool
    upper: bool | None = None
    masking: Masking | None = None
    below: SecondStage | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 1

    @property
    def own_name(self) -> str:
        return f"linear addresses, {self.short_name}"

    @property
    def regime_name(self) -> str:
        return f"cr3 ({self.mode.name})"

    @property
    def short_name(self) -> str:
        half = "" if self.upper is None else ", upper half" if self.upper else ", lower half"
        return f"{self.regime_name}{half}"

    @property
    def root_register(self) -> str:
        return "cr3"

    @cached_property
    def first(self) -> VA:  # type: ignore[override]
        return VA((1 << 64) - (1 << self.mode.input_bits - 1) if self.upper else 0)

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        if self.upper is False:
            return VA((1 << self.mode.input_bits - 1) - 1)
        return VA(FULL if self.mode.is_long else (1 << self.mode.input_bits) - 1)

    def translated(self, address: Input) -> Input:
        return VA(address if self.masking is None else self.masking.translated(address))

    def tag_of(self, address: Input) -> int:
        return address & ~(FULL >> 64 - self.mode.input_bits) if self.translated(address) != address else 0

    def admit(self, address: Input) -> Refusal | None:
        if self.first <= address <= self.last and self._is_canonical(address):
            return None
        if not self.mode.is_long:
            decider = Decider(PagingCause.ADDRESS_TOO_LARGE, "cr4", CR4.PAE, int(self.mode is PAE))
            return Refusal(Fault(FaultKind.GENERAL_PROTECTION), decider)
        decider = Decider(PagingCause.NOT_CANONICAL, "cr4", CR4.LA57, int(self.mode is LEVELS_5))
        return Refusal(Fault(FaultKind.GENERAL_PROTECTION), decider)

    def _is_canonical(self, address: Input) -> bool:
        above = address >> self.mode.input_bits - 1
        return not self.mode.is_long or above in (0, FULL >> self.mode.input_bits - 1)

    def fetch_refused(self, via: Walk) -> Refusal | None:
        assert self.below is not None, "there is a stage below to fetch through"
        return self.below.fetch_refused_through(via)

    def check(self, walk: Walk, kind: AccessKind, privilege: Privilege, suspended: bool) -> Refusal | None:
        """Return what refuses an access to what `walk`, a walk of it, found; `suspended` is eflags.AC."""
        if walk.refusal is not None or walk.leaf is None:
            return walk.refusal
        refused = refuse(walk.steps, kind, privilege.is_user, self.controls, suspended)
        if refused is not None or self.below is None:
            return refused
        refused = self._update_refused(walk.steps, kind, self.below)
        if refused is not None or walk.final is None:
            return refused
        return self.below.check(walk.final, kind, is_users(walk.steps))

    @staticmethod
    def _update_refused(steps: tuple[Step, ...], kind: AccessKind, below: SecondStage) -> Refusal | None:
        """Return what refuses hardware to set A, or D for a write, in the entries on the way."""
        for step in restricting(steps):
            word = step.entry.word
            clean = step.is_leaf and kind.is_write and not word.field("D").of(word)
            if step.via is not None and (clean or not PresentEntry.A.of(word)):
                refused = below.update_refused(step.via)
                if refused is not None:
                    return refused
        return None

    def page_of(self, steps: tuple[Step, ...]) -> GuestPage:
        """Return what these tables say of a page, as an exit of the second stage may tell it."""
        no_execute = self.controls.nx and lacking(steps, Entry64.NX, 0) is not None
        return GuestPage(is_users(steps), lacking(steps, PresentEntry.RW) is None, no_execute)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        if not steps or not steps[-1].is_leaf:
            return None
        word = steps[-1].entry.word
        memory = self.memory_of(steps[-1])
        own = {level: rights(steps, level.is_user, self.controls) for level in LEVELS}
        second = None if final is None else final.attributes
        if second is not None:
            assert self.below is not None, "it was walked through the stage below"
            assert final is not None, "it has attributes"
            page = second.rights[USER if is_users(steps) else SUPERVISOR]
            own = {level: allowed & page for level, allowed in own.items()}
            memory = self.below.combined(memory, final)
        return Attributes(
            memory=memory,
            shareability="",
            rights=own,
            accessed=bool(PresentEntry.A.of(word)),
            dirty=bool(word.field("D").of(word)),
            is_global=self.global_pages and bool(word.field("G").of(word)),
            contiguous=False,
            device=memory in DEVICE,
        )
