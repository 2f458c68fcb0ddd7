"""Linear addresses as cr3 has them translated.

Source: Intel SDM volume 3, "Paging", "Linear-Address Masking", "Page Attribute Table (PAT)"; volume 1, "Canonical
Addressing".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gdbtools.addresses import PA, VA, Input
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Privilege,
    Refusal,
    Regime,
    Step,
    Walk,
)
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.permissions.checks import AccessControls, refuse, rights
from gdbtools.arch.x86_64.privileges import LEVELS
from gdbtools.arch.x86_64.registers.control import CR4
from gdbtools.arch.x86_64.registers.memory_types import DEVICE, PAT
from gdbtools.arch.x86_64.tables.descriptors import Entry64, PresentEntry
from gdbtools.arch.x86_64.tables.entries import EntryFormat, decode, refuse_entry
from gdbtools.arch.x86_64.tables.geometry import LEVELS_5, MODE_32, PAE, PAGE_BITS, Mode
from gdbtools.arch.x86_64.translation.address_masking import Masking

FULL: Final = (1 << 64) - 1
_RIGHTS: Final = PresentEntry.US.mask | PresentEntry.RW.mask


@dataclass(frozen=True)
class Linear(Regime):
    """Linear addresses through the tables of cr3.

    `upper` is which half of the canonical addresses this range has, None for both: one root translates both, and
    between them is nothing.  `masking` says which upper bits of a data address are no part of it.
    """

    root: PA
    layout: EntryFormat
    controls: AccessControls
    pat: PAT
    global_pages: bool
    upper: bool | None = None
    masking: Masking | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 1

    @property
    def mode(self) -> Mode:
        return self.layout.mode

    @property
    def own_name(self) -> str:
        return f"linear addresses, {self.short_name}"

    @property
    def short_name(self) -> str:
        half = "" if self.upper is None else ", upper half" if self.upper else ", lower half"
        return f"cr3 ({self.mode.name}){half}"

    @property
    def root_register(self) -> str:
        return "cr3"

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return self.mode.levels

    @cached_property
    def entry_bytes(self) -> int:  # type: ignore[override]
        return self.mode.entry_bytes

    @cached_property
    def first(self) -> VA:  # type: ignore[override]
        return VA((1 << 64) - (1 << self.mode.input_bits - 1) if self.upper else 0)

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        if self.upper is False:
            return VA((1 << self.mode.input_bits - 1) - 1)
        return VA(FULL if self.mode.is_long else (1 << self.mode.input_bits) - 1)

    @cached_property
    def output_last(self) -> PA:  # type: ignore[override]
        return PA((1 << self.layout.physical_bits) - 1)

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

    def decode(self, raw: bytes, level: Level) -> Entry:
        return decode(int.from_bytes(raw, "little"), level, self.layout)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.layout)

    def linear_bits(self, level: Level) -> int:
        return (1 << self._address_bits) - level.size_bytes

    def table_bits(self) -> int:
        return (1 << self._address_bits) - (1 << PAGE_BITS)

    @property
    def _address_bits(self) -> int:
        """How many bits of an entry's address stand where they are in the address."""
        return MODE_32.input_bits if self.mode is MODE_32 else self.layout.physical_bits

    def handed_down(self, entry: Entry) -> int:
        # What is withheld, so that bits join by OR.
        return (~entry.word & _RIGHTS) | (entry.word & Entry64.NX.mask)

    def check(self, walk: Walk, kind: AccessKind, privilege: Privilege, suspended: bool) -> Refusal | None:
        """Return what refuses an access to what `walk`, a walk of it, found; `suspended` is eflags.AC."""
        if walk.refusal is not None or walk.leaf is None:
            return walk.refusal
        return refuse(walk.steps, kind, privilege.is_user, self.controls, suspended)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if not steps or not steps[-1].is_leaf:
            return None
        word = steps[-1].entry.word
        memory = self._memory(steps[-1])
        return Attributes(
            memory=memory,
            shareability="",
            rights={level: rights(steps, level.is_user, self.controls) for level in LEVELS},
            accessed=bool(PresentEntry.A.of(word)),
            dirty=bool(word.field("D").of(word)),
            is_global=self.global_pages and bool(word.field("G").of(word)),
            contiguous=False,
            device=memory in DEVICE,
        )

    def _memory(self, leaf: Step) -> str:
        word = leaf.entry.word
        large = word.field("PAT").of(word)
        return self.pat.memory_type(4 * large + 2 * PresentEntry.PCD.of(word) + PresentEntry.PWT.of(word))
