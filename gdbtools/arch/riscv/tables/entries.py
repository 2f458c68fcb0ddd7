"""From a raw value to an entry, and what refuses it: steps 3 to 5 of the algorithm, the same at every stage.

Source: The RISC-V Privileged Architecture, "Virtual Address Translation Process", Svnapot ("Page table entry encodings
when pte.N=1"), Svpbmt, Svrsw60t59b, "Shadow Stack Memory Protection".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from gdbtools.addresses import PA, Output
from gdbtools.arch.model import Decider, Entry, EntryKind, Fault, FaultKind, Level, Refusal, Step
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.tables.descriptors import (
    INVALID,
    PageEntry,
    WideEntry,
    contiguous_entry,
    leaf_entry,
    table_entry,
)
from gdbtools.arch.riscv.tables.geometry import NAPOT_BITS, PAGE_BITS
from gdbtools.bits import Field

_NOWHERE: Final = PA(0)
_64KB: Final = 1 << NAPOT_BITS - 1
"""What a run of 64 KiB has in the lowest bits of its page number: the only size there is."""
CONTIGUOUS_BYTES: Final = 1 << PAGE_BITS + NAPOT_BITS
_MEMORY_TYPE_RESERVED: Final = 3
_RESERVED: Final = Field((58, 54), doc="reserved", name="Reserved")
_TABLE_AD: Final = (PageEntry.A, PageEntry.D, PageEntry.U)


@dataclass(frozen=True)
class EntryRules:
    """What decides how a stage reads its entries.

    `memory_types` is whether Svpbmt is enabled for it, `shadow_stacks` whether Zicfiss is.
    """

    entry_bytes: int
    memory_types: bool
    shadow_stacks: bool


def decode(value: int, level: Level, rules: EntryRules) -> Entry:
    """Return what an entry is at this level; never refuses."""
    if not PageEntry.V.of(value):
        return Entry(EntryKind.INVALID, INVALID[rules.entry_bytes](value), _NOWHERE, PagedCause.INVALID_ENTRY)
    if not (PageEntry.R.of(value) or PageEntry.W.of(value) or PageEntry.X.of(value)):
        table = table_entry(rules.entry_bytes)(value)
        cause = _of_any(table) or _of_table(table, level)
        if cause is not None:
            return Entry(EntryKind.INVALID, table, _NOWHERE, cause)
        return Entry(EntryKind.TABLE, table, cast(Output, table.field("NextTable").of(table)))
    contiguous = rules.entry_bytes == 8 and not level.number and WideEntry.N.of(value)
    leaf = (contiguous_entry() if contiguous else leaf_entry(rules.entry_bytes, level.low))(value)
    cause = _of_permissions(leaf, rules) or _of_any(leaf) or _of_leaf(leaf, level, rules)
    if cause is not None:
        return Entry(EntryKind.INVALID, leaf, _NOWHERE, cause)
    kind = EntryKind.BLOCK if level.number else EntryKind.PAGE
    span = CONTIGUOUS_BYTES if contiguous else 0
    return Entry(kind, leaf, cast(Output, leaf.field("OutputAddress").of(leaf)), span_bytes=span)


def _of_permissions(leaf: PageEntry, rules: EntryRules) -> PagedCause | None:
    if not leaf.W or leaf.R or (is_shadow_stack(leaf) and rules.shadow_stacks):
        return None
    return PagedCause.WRITE_WITHOUT_READ


def is_shadow_stack(leaf: PageEntry) -> bool:
    """Return whether a leaf has W alone, which Zicfiss gives a meaning."""
    return bool(leaf.W) and not (leaf.R or leaf.X)


def _of_any(entry: PageEntry) -> PagedCause | None:
    if not isinstance(entry, WideEntry):
        return None
    if entry.reserved:
        return PagedCause.RESERVED_BITS
    return PagedCause.RESERVED_60_59 if entry.RSW60 else None


def _of_table(table: PageEntry, level: Level) -> PagedCause | None:
    if isinstance(table, WideEntry):
        if table.N:
            return PagedCause.TABLE_NAPOT
        if table.PBMT:
            return PagedCause.TABLE_MEMORY_TYPE
    if table.A or table.D or table.U:
        return PagedCause.TABLE_AD_BITS
    return None if level.number else PagedCause.TABLE_AT_LAST_LEVEL


def _of_leaf(leaf: PageEntry, level: Level, rules: EntryRules) -> PagedCause | None:
    if isinstance(leaf, WideEntry):
        if leaf.N and level.number:
            return PagedCause.NAPOT_LEVEL
        if leaf.N and leaf.field("SIZE").of(leaf) != _64KB:
            return PagedCause.NAPOT_SIZE
        if leaf.PBMT and not rules.memory_types:
            return PagedCause.MEMORY_TYPES_OFF
        if leaf.PBMT == _MEMORY_TYPE_RESERVED:
            return PagedCause.MEMORY_TYPE_RESERVED
    if level.number and leaf.field("MISALIGNED").of(leaf):
        return PagedCause.MISALIGNED
    return None


_DECIDING: Final[Mapping[PagedCause, Field]] = {
    PagedCause.WRITE_WITHOUT_READ: PageEntry.R,
    PagedCause.RESERVED_BITS: _RESERVED,
    PagedCause.RESERVED_60_59: WideEntry.RSW60,
    PagedCause.TABLE_NAPOT: WideEntry.N,
    PagedCause.TABLE_MEMORY_TYPE: WideEntry.PBMT,
    PagedCause.NAPOT_LEVEL: WideEntry.N,
    PagedCause.MEMORY_TYPES_OFF: WideEntry.PBMT,
    PagedCause.MEMORY_TYPE_RESERVED: WideEntry.PBMT,
    PagedCause.TABLE_AT_LAST_LEVEL: PageEntry.X,
}
"""The bits that decided; those of the other causes depend on the entry."""


def _deciding(cause: PagedCause, word: PageEntry) -> Field:
    if cause is PagedCause.TABLE_AD_BITS:
        return next(field for field in _TABLE_AD if field.of(word))
    if cause is PagedCause.MISALIGNED:
        return word.field("MISALIGNED")
    return word.field("SIZE") if cause is PagedCause.NAPOT_SIZE else _DECIDING[cause]


def refuse_entry(step: Step, stage: int, hardware_updates: bool) -> Refusal | None:
    """Refuse an entry that is none, or, where hardware does not set A, a leaf that is not marked accessed."""
    entry, word = step.entry, step.entry.word
    if entry.kind is EntryKind.INVALID:
        assert isinstance(entry.cause, PagedCause)
        field = PageEntry.V if not isinstance(word, PageEntry) else _deciding(entry.cause, word)
        return refusal(step, stage, FaultKind.TRANSLATION, entry.cause, field)
    if step.is_leaf and not hardware_updates and not PageEntry.A.of(word):
        return refusal(step, stage, FaultKind.ACCESS_FLAG, PagedCause.NOT_ACCESSED, PageEntry.A)
    return None


def refusal(step: Step, stage: int, kind: FaultKind, cause: PagedCause, field: Field) -> Refusal:
    """Return a refusal that a field of an entry decided."""
    level = step.level.number
    decider = Decider(cause, "descriptor", field, field.of(step.entry.word), step.pa, level)
    return Refusal(Fault(kind, stage, level), decider)
