"""From a raw value to an entry of a table of long descriptors, and what refuses it.

Source: DDI 0487, "VMSAv8-32 Long-descriptor translation table format descriptors", "Address size fault", "The Access
flag", and the pseudocode AArch32.S1WalkLD.
"""

from __future__ import annotations

from typing import Final, cast

from gdbtools.addresses import PA, Output
from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.registers.translation import OUTPUT_BITS
from gdbtools.arch.aarch32.tables.geometry import LAST_LONG_LEVEL
from gdbtools.arch.aarch32.tables.long_descriptors import (
    BLOCK,
    LONG_KIND,
    VALID,
    InvalidLong,
    LongLeaf,
    LongTable,
    long_leaf,
)
from gdbtools.arch.aarch32.tables.refusal import refusal
from gdbtools.arch.model import Entry, EntryKind, FaultKind, Level, Refusal, Step

_NOWHERE: Final = PA(0)


def decode(value: int, level: Level) -> Entry:
    """Return what a descriptor is at this level; never refuses."""
    if not VALID.of(value):
        return Entry(EntryKind.INVALID, InvalidLong(value), _NOWHERE, VMSA32Cause.INVALID_ENTRY)
    is_last, is_block = level.number == LAST_LONG_LEVEL, LONG_KIND.of(value) == BLOCK
    if is_last and is_block:
        return Entry(EntryKind.INVALID, InvalidLong(value), _NOWHERE, VMSA32Cause.RESERVED_ENTRY)
    if is_last or is_block:
        leaf = long_leaf(level.low)(value)
        kind = EntryKind.PAGE if is_last else EntryKind.BLOCK
        return Entry(kind, leaf, cast(Output, leaf.field("OutputAddress").of(leaf)))
    table = LongTable(value)
    return Entry(EntryKind.TABLE, table, cast(Output, table.NextTable))


def refuse_entry(step: Step, stage: int) -> Refusal | None:
    """Refuse in the manual's order: translation, address size, access flag."""
    entry, word = step.entry, step.entry.word
    if entry.kind is EntryKind.INVALID:
        assert entry.cause is not None
        field = VALID if entry.cause is VMSA32Cause.INVALID_ENTRY else LONG_KIND
        return refusal(step, stage, FaultKind.TRANSLATION, entry.cause, field)
    if entry.address >> OUTPUT_BITS:
        cause = VMSA32Cause.OUTPUT_TOO_LARGE if step.is_leaf else VMSA32Cause.TABLE_TOO_LARGE
        field = word.field("OutputAddress" if step.is_leaf else "NextTable")
        return refusal(step, stage, FaultKind.ADDRESS_SIZE, cause, field)
    if isinstance(word, LongLeaf) and not word.AF:
        return refusal(step, stage, FaultKind.ACCESS_FLAG, VMSA32Cause.NOT_ACCESSED, LongLeaf.AF)
    return None
