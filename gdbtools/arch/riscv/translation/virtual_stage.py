"""The stage of virtual addresses: S-mode's by satp, and the VS-stage by vsatp, through the G-stage where there is one.

Source: The RISC-V Privileged Architecture, "Virtual Address Translation Process", Sv39 for canonical addresses,
"Two-Stage Address Translation", Svpbmt for two stages, and "Pointer Masking Extensions".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, cast

from gdbtools.addresses import VA, Input, Output
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Fault,
    FaultKind,
    Level,
    Privilege,
    Refusal,
    Step,
    Walk,
)
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.permissions.checks import SupervisorAccess, refuse, rights
from gdbtools.arch.riscv.permissions.physical import Protection
from gdbtools.arch.riscv.registers.translation import SATP32, SATP64
from gdbtools.arch.riscv.tables.descriptors import MEMORY_TYPES, NC, PMA, PageEntry
from gdbtools.arch.riscv.tables.entries import EntryRules
from gdbtools.arch.riscv.tables.geometry import Scheme
from gdbtools.arch.riscv.translation.guest_stage import GuestStage
from gdbtools.arch.riscv.translation.paged import FULL, PagedStage, memory_type
from gdbtools.arch.riscv.translation.pointer_masking import masked


@dataclass(frozen=True)
class VirtualStage(PagedStage):
    """Virtual addresses as satp or vsatp has them translated.

    `upper` is which half of them this range has, None for both: one root translates both, and between them is nothing.
    `pmlen` is how many upper bits of an address are no part of it.
    """

    holder: str
    satp: SATP64 | SATP32
    scheme: Scheme
    rules: EntryRules
    hardware_updates: bool
    modes: tuple[Privilege, ...]
    """The user's, and the supervisor's."""
    status: SupervisorAccess
    protection: Protection | None
    upper: bool | None = None
    pmlen: int = 0
    byte_order: Literal["little", "big"] = "little"
    below: GuestStage | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 1

    @property
    def own_name(self) -> str:
        return f"{self.modes[-1].label}-mode, {self.short_name}"

    @property
    def regime_name(self) -> str:
        return f"{self.modes[-1].label}-mode, {self.holder} ({self.scheme.name})"

    @property
    def short_name(self) -> str:
        half = "" if self.upper is None else ", upper half" if self.upper else ", lower half"
        return f"{self.holder} ({self.scheme.name}){half}"

    @property
    def root_register(self) -> str:
        return self.holder

    @cached_property
    def root(self) -> Output:  # type: ignore[override]
        return cast(Output, self.satp.root)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return self.scheme.levels

    @cached_property
    def first(self) -> VA:  # type: ignore[override]
        return VA((1 << 64) - (1 << self.scheme.input_bits - 1) if self.upper else 0)

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        if self.upper is False:
            return VA((1 << self.scheme.input_bits - 1) - 1)
        return VA(FULL if self.scheme.is_canonical else (1 << self.scheme.input_bits) - 1)

    def translated(self, address: Input) -> Input:
        return VA(masked(address, self.pmlen, virtual=True))

    def tag_of(self, address: Input) -> int:
        return address & ~(FULL >> self.pmlen) if self.translated(address) != address else 0

    def admit(self, address: Input) -> Refusal | None:
        if self._is_canonical(address):
            return None
        decider = Decider(PagedCause.NOT_CANONICAL, self.holder, type(self.satp).MODE, self.satp.MODE)
        return Refusal(Fault(FaultKind.TRANSLATION, self.stage), decider)

    def _is_canonical(self, address: Input) -> bool:
        if not self.first <= address <= self.last:
            return False
        above = address >> self.scheme.input_bits - 1
        return not self.scheme.is_canonical or above in (0, FULL >> self.scheme.input_bits - 1)

    def fetch_refused(self, via: Walk) -> Refusal | None:
        assert self.below is not None, "there is a stage below to fetch through"
        return self.below.implicit_refused(via)

    def check(self, walk: Walk, kind: AccessKind, mode: Privilege) -> Refusal | None:
        """Return this stage's refusal of an access to what `walk`, a walk of it, found."""
        leaf = walk.leaf
        if leaf is None:
            return walk.refusal
        # What the walk refuses of a leaf is that A is not set: step 9, behind the rights.
        return refuse(leaf, kind, mode.is_user, self.status) or walk.refusal or self.update_refused(leaf, kind)

    def _write_refused(self, leaf: Step) -> Refusal | None:
        refused = None
        if leaf.via is not None:
            assert self.below is not None, "an entry has been fetched through it"
            refused = self.below.implicit_refused(leaf.via, AccessKind.WRITE)
        return refused or super()._write_refused(leaf)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        if not steps or not steps[-1].is_leaf:
            return None
        word = steps[-1].entry.word
        assert isinstance(word, PageEntry)
        own = self._attributes(steps, {mode: rights(word, mode.is_user) for mode in self.modes})
        return own if final is None else attributes_of_both(own, memory_type(word), final)


def attributes_of_both(own: Attributes, memory: int, final: Walk) -> Attributes:
    """Return what both stages grant together: the VS-stage's memory type counts where it says one (Svpbmt)."""
    if final.leaf is None:
        return own
    second = final.attributes
    assert second is not None, "it ended in a leaf"
    granted = {mode: allowed & second.rights[mode] for mode, allowed in own.rights.items()}
    word = final.leaf.entry.word
    assert isinstance(word, PageEntry)
    joined = memory or memory_type(word)
    return replace(
        own,
        memory=MEMORY_TYPES[joined],
        device=joined not in (PMA, NC),
        physical_type=joined == PMA,
        rights=granted,
    )
