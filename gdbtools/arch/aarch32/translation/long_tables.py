"""What every stage 1 of long descriptors has in common, whichever level of privilege it is for.

Source: DDI 0487, "The VMSAv8-32 Long-descriptor translation table format".
"""

from __future__ import annotations

from functools import cached_property
from typing import cast

from gdbtools.addresses import PA, Output
from gdbtools.arch.aarch32.registers.hypervisor import HTTBR
from gdbtools.arch.aarch32.registers.translation import OUTPUT_BITS, TTBR_LONG
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.long_descriptors import LongLeaf, LongTable, long_leaf
from gdbtools.arch.aarch32.tables.long_entries import decode, refuse_entry
from gdbtools.arch.aarch32.translation.stage import CONTIGUOUS_ENTRIES
from gdbtools.arch.model import Entry, Level, Refusal, Regime, Step


class LongTables(Regime):
    """Tables of long descriptors: `base` is the register that they hang from, `mair` None where a half is not known."""

    base: TTBR_LONG | HTTBR
    mair: int | None

    stage = 1
    entry_bytes = 8
    output_last = PA((1 << OUTPUT_BITS) - 1)

    @cached_property
    def root(self) -> Output:  # type: ignore[override]
        """Where the table is: what is below its size is ignored."""
        return cast(Output, self.base.BADDR & -(self.levels[0].entries * self.entry_bytes))

    def decode(self, raw: bytes, level: Level) -> Entry:
        return decode(int.from_bytes(raw, self.byte_order), level)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.stage)

    def linear_bits(self, level: Level) -> int:
        return long_leaf(level.low).field("OutputAddress").mask

    def table_bits(self) -> int:
        return LongTable.NextTable.mask

    def contiguous_entries(self, level: Level) -> int:  # noqa: ARG002
        return CONTIGUOUS_ENTRIES

    def memory(self, leaf: LongLeaf) -> tuple[int | None, int]:
        """Return the attribute (None: its half of MAIR is not known) and the shareability of a leaf."""
        if self.mair is None:
            return None, leaf.SH
        attr = self.mair >> 8 * leaf.AttrIndx & 0xFF
        return attr, memory_types.effective_shareability(attr, leaf.SH)
