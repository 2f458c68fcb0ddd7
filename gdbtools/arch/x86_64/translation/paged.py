"""Tables in the format of paging: what linear addresses and AMD's nested tables have in common.

Source: Intel SDM volume 3, "Paging"; AMD64 APM volume 2, "Nested Paging".
"""

from __future__ import annotations

from functools import cached_property

from gdbtools.addresses import PA
from gdbtools.arch.model import Entry, Level, Refusal, Regime, Step
from gdbtools.arch.x86_64.registers.memory_types import PAT
from gdbtools.arch.x86_64.tables.descriptors import Entry64, PresentEntry
from gdbtools.arch.x86_64.tables.entries import EntryFormat, decode, refuse_entry
from gdbtools.arch.x86_64.tables.geometry import MODE_32, PAGE_BITS, Mode


class PagingTables(Regime):
    """A stage whose entries are those of paging, in the mode that `layout` says."""

    layout: EntryFormat
    pat: PAT

    @property
    def mode(self) -> Mode:
        return self.layout.mode

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return self.mode.levels

    @cached_property
    def entry_bytes(self) -> int:  # type: ignore[override]
        return self.mode.entry_bytes

    @cached_property
    def output_last(self) -> PA:  # type: ignore[override]
        return PA((1 << self.layout.physical_bits) - 1)

    def decode(self, raw: bytes, level: Level) -> Entry:
        return decode(int.from_bytes(raw, "little"), level, self.layout)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.layout, self.stage)

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
        withheld = PresentEntry.US.mask | PresentEntry.RW.mask
        return (~entry.word & withheld) | (entry.word & Entry64.NX.mask)

    def memory_of(self, leaf: Step) -> str:
        """Return the memory type that an entry which maps a page chooses."""
        word = leaf.entry.word
        large = word.field("PAT").of(word)
        return self.pat.memory_type(4 * large + 2 * PresentEntry.PCD.of(word) + PresentEntry.PWT.of(word))
