"""A stage that translates by tables: what a single stage, the VS-stage and the G-stage have in common.

Source: The RISC-V Privileged Architecture, "Virtual Address Translation Process", Svnapot, Svadu.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Entry,
    FaultKind,
    Level,
    Privilege,
    Refusal,
    Regime,
    Rights,
    Step,
)
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.permissions.checks import is_update_needed
from gdbtools.arch.riscv.permissions.physical import Protection
from gdbtools.arch.riscv.tables.descriptors import ENTRY_BITS, MEMORY_TYPES, NC, PMA, PageEntry, WideEntry
from gdbtools.arch.riscv.tables.entries import EntryRules, decode, refusal, refuse_entry
from gdbtools.arch.riscv.tables.geometry import NAPOT_BITS, PAGE_BITS, Scheme

PPN_SHIFT: Final = 2
"""An entry has its page number at bit 10, two below where an address has it."""
FULL: Final = (1 << 64) - 1


class PagedStage(Regime):
    """A stage with tables; `rules` say how it reads entries, `hardware_updates` whether hardware sets A and D.

    `protection` is physical memory protection, None where it is not known.
    """

    scheme: Scheme
    rules: EntryRules
    hardware_updates: bool
    protection: Protection | None

    @cached_property
    def entry_bytes(self) -> int:  # type: ignore[override]
        return self.scheme.entry_bytes

    @cached_property
    def output_last(self) -> int:  # type: ignore[override]
        return (1 << self.scheme.physical_bits) - 1

    def decode(self, raw: bytes, level: Level) -> Entry:
        return decode(int.from_bytes(raw, self.byte_order), level, self.rules)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.stage, self.hardware_updates)

    def read_refused(self, pa: PA, size_bytes: int, level: Level) -> Refusal | None:
        if self.protection is None:
            return None
        # Implicit accesses are a supervisor's: "Physical Memory Protection and Paging".
        return self.protection.refuse(pa, size_bytes, AccessKind.READ, False, self.stage, level.number)

    def stride(self, level: Level) -> int:
        return level.size_bytes >> PPN_SHIFT

    def linear_bits(self, level: Level) -> int:
        return (2 << ENTRY_BITS[self.entry_bytes]) - (level.size_bytes >> PPN_SHIFT)

    def table_bits(self) -> int:
        return (2 << ENTRY_BITS[self.entry_bytes]) - (1 << PAGE_BITS - PPN_SHIFT)

    @property
    def table_scale(self) -> int:
        return 1 << PPN_SHIFT

    def handed_down(self, entry: Entry) -> int:
        return PageEntry.G.mask & entry.word

    def contiguous_entries(self, level: Level) -> int:
        return 1 << NAPOT_BITS if self.entry_bytes == 8 and not level.number else 1

    def update_refused(self, leaf: Step, kind: AccessKind) -> Refusal | None:
        """Return what keeps hardware from setting A or D in this stage's own leaf where an access needs that."""
        word = leaf.entry.word
        assert isinstance(word, PageEntry)
        if not is_update_needed(word, kind):
            return None
        if not self.hardware_updates:
            return refusal(leaf, self.stage, FaultKind.ACCESS_FLAG, PagedCause.NOT_DIRTY, PageEntry.D)
        return self._write_refused(leaf)

    def _write_refused(self, leaf: Step) -> Refusal | None:
        """Return what refuses hardware to write an entry."""
        if self.protection is None:
            return None
        return self.protection.refuse(leaf.pa, self.entry_bytes, AccessKind.WRITE, False, self.stage, leaf.level.number)

    def _attributes(self, steps: tuple[Step, ...], rights: Mapping[Privilege, Rights]) -> Attributes:
        """Return what a path that ends in a leaf gives by itself."""
        word = steps[-1].entry.word
        assert isinstance(word, PageEntry)
        memory = memory_type(word)
        return Attributes(
            memory=MEMORY_TYPES[memory],
            shareability="",
            rights=rights,
            accessed=bool(word.A),
            dirty=bool(word.D),
            is_global=any(PageEntry.G.of(step.entry.word) for step in steps),
            contiguous=bool(steps[-1].entry.span_bytes),
            device=memory not in (PMA, NC),
            physical_type=memory == PMA,
        )


def memory_type(leaf: PageEntry) -> int:
    """Return PBMT of a leaf: that of the physical memory attributes where entries have none."""
    return leaf.PBMT if isinstance(leaf, WideEntry) else PMA
