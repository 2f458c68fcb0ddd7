"""From a raw value to an entry of a table of short descriptors, and what refuses it.

Source: DDI 0487, "Short-descriptor translation table format descriptors", "The Access flag", and the pseudocode
AArch32.S1WalkSD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from gdbtools.addresses import PA, Output
from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.tables.refusal import refusal
from gdbtools.arch.aarch32.tables.short_descriptors import (
    INVALID,
    KIND,
    SECTION_OR_PAGE_NEVER,
    SIZE_BITS,
    TABLE_OR_LARGE,
    InvalidShort,
    Shape,
    ShortTable,
    shape_of,
    short_leaf,
)
from gdbtools.arch.model import Entry, EntryKind, FaultKind, Level, Refusal, Step

_NOWHERE: Final = PA(0)
REPEATING: Final = (Shape.SUPERSECTION, Shape.LARGE_PAGE)


@dataclass(frozen=True)
class ShortRules:
    """What decides how short descriptors are read.

    `flag` is SCTLR.AFE, `remap` SCTLR.TRE, and `never` whether there is PXN.
    """

    flag: bool
    remap: bool
    never: bool


def decode(value: int, level: Level, rules: ShortRules) -> Entry:
    """Return what a descriptor is at this level; never refuses."""
    kind = KIND.of(value)
    if kind == INVALID:
        return Entry(EntryKind.INVALID, InvalidShort(value), _NOWHERE, VMSA32Cause.INVALID_ENTRY)
    if level.number == 1:
        if kind == TABLE_OR_LARGE:
            table = ShortTable(value)
            return Entry(EntryKind.TABLE, table, cast(Output, table.NextTable))
        if kind == SECTION_OR_PAGE_NEVER and not rules.never:
            return Entry(EntryKind.INVALID, InvalidShort(value), _NOWHERE, VMSA32Cause.RESERVED_WITHOUT_PXN)
    shape = shape_of(value, level.number)
    leaf = short_leaf(shape, rules.flag, rules.remap)(value)
    span = 1 << SIZE_BITS[shape] if shape in REPEATING else 0
    address = leaf.field("OutputAddress").of(leaf)
    return Entry(EntryKind.PAGE if shape.is_page else EntryKind.BLOCK, leaf, cast(Output, address), span_bytes=span)


def refuse_entry(step: Step, stage: int) -> Refusal | None:
    """Refuse what is no entry, or, where there is such a flag, a leaf that is not marked accessed."""
    entry, word = step.entry, step.entry.word
    if entry.kind is EntryKind.INVALID:
        assert entry.cause is not None
        return refusal(step, stage, FaultKind.TRANSLATION, entry.cause, KIND)
    flags = [each for each in type(word).fields() if each.name == "AF"]
    if flags and not flags[0].of(word):
        return refusal(step, stage, FaultKind.ACCESS_FLAG, VMSA32Cause.NOT_ACCESSED, flags[0])
    return None
