"""From a raw value to an entry, and what refuses it: present, and no reserved bit set.

Source: Intel SDM volume 3, "Reserved Bits" of "4-Level Paging and 5-Level Paging", the formats of entries, and "Page-
Fault Exceptions"; "PSE-36 Mechanism" for pages of 4 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from gdbtools.addresses import PA, Output
from gdbtools.arch.model import Decider, Entry, EntryKind, Fault, FaultKind, Level, Refusal, Shown, Step
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.registers.catalog import MAXPHYADDR
from gdbtools.arch.x86_64.tables.descriptors import (
    ABSENT,
    Entry64,
    MappingEntry,
    PointerEntry,
    PresentEntry,
    is_pointer,
    page_entry,
    table_entry,
)
from gdbtools.arch.x86_64.tables.geometry import PAGE_BITS, PHYSICAL_BITS, POINTERS, PSE36_BITS, Mode
from gdbtools.bits import Field, Word

LEAST_PHYSICAL_BITS: Final = 36
"""How wide physical addresses are at least, where there is long mode."""
_NOWHERE: Final = PA(0)
# Bit 5 is reserved as well, but by the time that anybody looks QEMU has set it: that refused nothing.
_POINTER_RESERVED: Final = ((8, 6), (2, 1))


@dataclass(frozen=True)
class EntryFormat:
    """What decides how entries are read.

    `physical_bits` is MAXPHYADDR, `nx` EFER.NXE; `large_pages` is cr4.PSE, which only 32-bit paging asks.
    """

    mode: Mode
    physical_bits: int
    nx: bool
    large_pages: bool


@dataclass(frozen=True)
class _Reserved:
    """Bits that have to be 0, and the rule that wants it."""

    cause: PagingCause
    high: int
    low: int

    def highest(self, value: int) -> Field | None:
        """Return the highest of these bits that is set, as a field of its own; None where none is."""
        found = value & ((2 << self.high) - (1 << self.low))
        return Field(found.bit_length() - 1, doc="reserved", name="Reserved") if found else None


def decode(value: int, level: Level, layout: EntryFormat) -> Entry:
    """Return what an entry is at this level; never refuses."""
    mode = layout.mode
    if not PresentEntry.P.of(value):
        return Entry(EntryKind.INVALID, ABSENT[mode.entry_bytes](value), _NOWHERE, PagingCause.NOT_PRESENT)
    word, kind = _word(value, level, layout)
    broken = _broken(word, level, layout)
    if broken is not None:
        return Entry(EntryKind.INVALID, word, _NOWHERE, broken[0])
    name = "NextTable" if kind is EntryKind.TABLE else "OutputAddress"
    return Entry(kind, word, cast(Output, word.field(name).of(word)))


def _word(value: int, level: Level, layout: EntryFormat) -> tuple[Word, EntryKind]:
    mode = layout.mode
    if is_pointer(mode, level.number):
        return PointerEntry(value), EntryKind.TABLE
    if level.number == 1:
        return page_entry(mode, level.low)(value), EntryKind.PAGE
    table = table_entry(mode)(value)
    if level.number <= POINTERS and table.field("PS").of(table) and (mode.entry_bytes == 8 or layout.large_pages):
        return page_entry(mode, level.low)(value), EntryKind.BLOCK
    return table, EntryKind.TABLE


def _reserved(word: Word, level: Level, layout: EntryFormat) -> Iterator[_Reserved]:
    """Yield the bits that must be 0 in an entry that is present."""
    mode, width = layout.mode, layout.physical_bits
    is_page = level.number > 1 and isinstance(word, MappingEntry)
    if mode.entry_bytes == 4:
        if is_page:
            yield _Reserved(PagingCause.ADDRESS_WIDTH, 20, max(13, min(width, PSE36_BITS) - 19))
            yield _Reserved(PagingCause.MISALIGNED, 21, 21)
        return
    if width < PHYSICAL_BITS:
        yield _Reserved(PagingCause.ADDRESS_WIDTH, PHYSICAL_BITS - 1, width)
    if isinstance(word, PointerEntry):
        yield _Reserved(PagingCause.RESERVED_BIT, 63, PHYSICAL_BITS)
        for high, low in _POINTER_RESERVED:
            yield _Reserved(PagingCause.RESERVED_BIT, high, low)
        return
    if not mode.is_long:
        yield _Reserved(PagingCause.RESERVED_BIT, 62, PHYSICAL_BITS)
    if not layout.nx:
        yield _Reserved(PagingCause.NX_OFF, 63, 63)
    if level.number > POINTERS:
        yield _Reserved(PagingCause.PAGE_SIZE, 7, 7)
    if is_page:
        yield _Reserved(PagingCause.MISALIGNED, level.low - 1, PAGE_BITS + 1)


def _broken(word: Word, level: Level, layout: EntryFormat) -> tuple[PagingCause, Field] | None:
    """Return the first rule that a reserved bit breaks, and that bit; None where all are 0."""
    met = ((each.cause, each.highest(word)) for each in _reserved(word, level, layout))
    return next(((cause, field) for cause, field in met if field is not None), None)


def refuse_entry(step: Step, layout: EntryFormat, stage: int) -> Refusal | None:
    """Refuse an entry that is not present, or has a reserved bit set."""
    entry = step.entry
    if entry.kind is not EntryKind.INVALID:
        return None
    if entry.cause is PagingCause.NOT_PRESENT:
        return refusal(step, FaultKind.TRANSLATION, PagingCause.NOT_PRESENT, PresentEntry.P, stage)
    broken = _broken(entry.word, step.level, layout)
    assert broken is not None, "an entry that is present is refused by a reserved bit"
    cause, field = broken
    return refusal(step, FaultKind.RESERVED_BIT, cause, Entry64.NX if cause is PagingCause.NX_OFF else field, stage)


def beyond_width(steps: Sequence[Step]) -> Shown | None:
    """Return what a refusal by a reserved bit shows of MAXPHYADDR: an address bit that is set is beyond it.

    Of several that may be it is the highest; None where no entry has any that a processor may lack.
    """
    found: tuple[int, Step] | None = None
    for step in steps:
        address = step.entry.word & (1 << PHYSICAL_BITS) - (1 << LEAST_PHYSICAL_BITS)
        if address and (found is None or address.bit_length() > found[0]):
            found = address.bit_length(), step
    if found is None:
        return None
    bits, step = found
    field = Field(bits - 1, doc="reserved", name="Reserved")
    return Shown(
        refusal=refusal(step, FaultKind.RESERVED_BIT, PagingCause.ADDRESS_WIDTH, field),
        register="maxphyaddr",
        field=MAXPHYADDR.BITS,
        values=tuple(range(LEAST_PHYSICAL_BITS, bits)),
        about="maxphyaddr",
        said=f"not known here: that a reserved bit is set shows that it is at most {bits - 1}",
    )


def refusal(step: Step, kind: FaultKind, cause: PagingCause, field: Field, stage: int = 1) -> Refusal:
    """Return a refusal that a field of an entry decided."""
    level = step.level.number
    decider = Decider(cause, "descriptor", field, field.of(step.entry.word), step.pa, level)
    return Refusal(Fault(kind, stage, level), decider)
