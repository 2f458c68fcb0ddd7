"""EPT paging-structure entries: what they say, and which of them are misconfigured.

Source: Intel SDM volume 3, "EPT Translation Mechanism" with its formats of entries, "EPT Misconfigurations", "EPT
Violations".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

from gdbtools.addresses import PA, Output
from gdbtools.arch.model import Entry, EntryKind, FaultKind, Level, Refusal, Step
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.registers.second_stage import EPT_TYPES
from gdbtools.arch.x86_64.tables.entries import refusal
from gdbtools.arch.x86_64.tables.geometry import PAGE_BITS, PHYSICAL_BITS, POINTERS
from gdbtools.bits import NO_YES, Field, Word

_NOWHERE: Final = PA(0)
STAGE: Final = 2


class ExtendedEntry(Word):
    """What every entry has; UX counts with mode-based execute control, A where EPTP turns it on."""

    VE = Field(63, doc="suppress #VE (of a last entry)", values=NO_YES)
    UX = Field(10, doc="executable for user-mode addresses, with mode-based execute control", values=NO_YES)
    A = Field(8, doc="accessed, where EPTP turns it on", values=NO_YES)
    X = Field(2, doc="executable; of supervisor-mode addresses alone with mode-based execute control", values=NO_YES)
    W = Field(1, doc="writable", values=NO_YES)
    R = Field(0, doc="readable", values=NO_YES)


class ExtendedTable(ExtendedEntry):
    """An entry that leads to a further table."""

    NextTable = Field((PHYSICAL_BITS - 1, PAGE_BITS), doc="next table's address", scale=1 << PAGE_BITS)
    SOFTWARE = Field((62, PHYSICAL_BITS), 11, 9, doc="ignored by hardware")
    PS = Field(7, doc="maps a page", values=NO_YES)


class ExtendedPage(ExtendedEntry):
    """An entry that maps a page."""

    SPP = Field(61, doc="sub-page write permissions", values=NO_YES)
    SSS = Field(60, doc="a supervisor shadow-stack page, where EPTP turns it on", values=NO_YES)
    PW = Field(58, doc="paging-write access, with that control", values=NO_YES)
    VGP = Field(57, doc="verify guest paging, with that control", values=NO_YES)
    D = Field(9, doc="dirty, where EPTP turns it on", values=NO_YES)
    IPAT = Field(6, doc="the guest's PAT is ignored", values=NO_YES)
    MT = Field((5, 3), doc="memory type", values=EPT_TYPES)


class AbsentExtended(Word):
    """An entry that grants nothing: all else of it is software's."""

    SOFTWARE = Field((63, 3), doc="ignored by hardware")
    X = ExtendedEntry.X
    W = ExtendedEntry.W
    R = ExtendedEntry.R


@dataclass(frozen=True)
class ExtendedFormat:
    """What decides how entries are read: MAXPHYADDR, the controls of the VMCS, and what the processor has."""

    physical_bits: int
    mode_based: bool
    execute_only: bool
    large_1g: bool = True


@cache
def page_entry(low: int) -> type[ExtendedPage]:
    """Return the class of an entry that maps a page of 2^low bytes."""
    fields = {"OutputAddress": Field((PHYSICAL_BITS - 1, low), doc="output address", scale=1 << low)}
    if low > PAGE_BITS:
        fields["PS"] = Field(7, doc="maps a page", values=NO_YES)
        fields["MISALIGNED"] = Field((low - 1, PAGE_BITS), doc="address below the page's size: 0")
        fields["SOFTWARE"] = Field(62, 59, (56, PHYSICAL_BITS), 11, doc="ignored by hardware")
    else:
        fields["SOFTWARE"] = Field(62, 59, (56, PHYSICAL_BITS), 11, 7, doc="ignored by hardware")
    return type("ExtendedPage", (ExtendedPage,), {"__doc__": f"An entry that maps 2^{low} bytes.", **fields})


def granting(layout: ExtendedFormat) -> int:
    """Return the bits of which an entry that is present has at least one."""
    always = ExtendedEntry.R.mask | ExtendedEntry.W.mask | ExtendedEntry.X.mask
    return always | ExtendedEntry.UX.mask if layout.mode_based else always


def decode(value: int, level: Level, layout: ExtendedFormat) -> Entry:
    """Return what an entry is at this level; never refuses."""
    if not value & granting(layout):
        return Entry(EntryKind.INVALID, AbsentExtended(value), _NOWHERE, PagingCause.EPT_NOT_PRESENT)
    word, kind = _word(value, level)
    broken = next(_broken(word, level, layout), None)
    if broken is not None:
        return Entry(EntryKind.INVALID, word, _NOWHERE, broken[0])
    name = "NextTable" if kind is EntryKind.TABLE else "OutputAddress"
    return Entry(kind, word, cast(Output, word.field(name).of(word)))


def _word(value: int, level: Level) -> tuple[ExtendedEntry, EntryKind]:
    if level.number == 1:
        return page_entry(level.low)(value), EntryKind.PAGE
    if level.number <= POINTERS and ExtendedTable.PS.of(value):
        return page_entry(level.low)(value), EntryKind.BLOCK
    return ExtendedTable(value), EntryKind.TABLE


def _broken(word: ExtendedEntry, level: Level, layout: ExtendedFormat) -> Iterator[tuple[PagingCause, Field]]:
    """Yield the rules that an entry which is present breaks, each with the bit that decides."""
    if not word.R and word.W:
        yield PagingCause.EPT_WRITE_ONLY, ExtendedEntry.R
    if not word.R and not layout.execute_only:
        yield PagingCause.EPT_EXECUTE_ONLY, ExtendedEntry.R
    for cause, high, low in _reserved(word, level, layout):
        found = word & ((2 << high) - (1 << low))
        if found:
            yield cause, Field(found.bit_length() - 1, doc="reserved", name="Reserved")
    if isinstance(word, ExtendedPage) and word.MT not in EPT_TYPES:
        yield PagingCause.EPT_MEMORY_TYPE, ExtendedPage.MT


def _reserved(word: ExtendedEntry, level: Level, layout: ExtendedFormat) -> Iterator[tuple[PagingCause, int, int]]:
    """Yield ranges of bits that are to be 0, each with its highest and its lowest bit: none where that is above."""
    yield PagingCause.ADDRESS_WIDTH, PHYSICAL_BITS - 1, layout.physical_bits
    if level.number > POINTERS or (level.number == POINTERS and not layout.large_1g):
        yield PagingCause.PAGE_SIZE, 7, 7
    if not isinstance(word, ExtendedPage):
        yield PagingCause.RESERVED_BIT, 6, 3
    else:
        yield PagingCause.MISALIGNED, level.low - 1, PAGE_BITS


def refuse_entry(step: Step, layout: ExtendedFormat) -> Refusal | None:
    """Refuse an entry that is not present, which is a violation, or that is misconfigured."""
    entry = step.entry
    if entry.kind is not EntryKind.INVALID:
        return None
    if entry.cause is PagingCause.EPT_NOT_PRESENT:
        return refusal(step, FaultKind.TRANSLATION, PagingCause.EPT_NOT_PRESENT, ExtendedEntry.R, STAGE)
    assert isinstance(entry.word, ExtendedEntry), "an entry that is present has rights"
    cause, field = next(_broken(entry.word, step.level, layout))
    return refusal(step, FaultKind.RESERVED_BIT, cause, field, STAGE)
