"""Paging-structure entries, of four bytes and of eight, as tables, as pages, and as what hardware does not use.

Source: Intel SDM volume 3, "Formats of CR3 and Paging-Structure Entries with 32-Bit Paging", "[...] with PAE Paging",
"[...] with 4-Level Paging and 5-Level Paging"; NX is what the AMD64 APM calls XD.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from gdbtools.arch.x86_64.tables.geometry import PAGE_BITS, PHYSICAL_BITS, POINTERS, PSE36_BITS, Mode
from gdbtools.bits import NO_YES, Field, Word

_LARGE_PAT: Final = 12
"""Where a large page has its PAT bit; a small one has it where a large one says that it is one."""


class PresentEntry(Word):
    """What every entry has that is present, but for those of PAE's first level."""

    AVL = Field((11, 9), doc="software's own")
    A = Field(5, doc="accessed", values={0: "not accessed", 1: "accessed"})
    PCD = Field(4, doc="cache disable: chooses the memory type")
    PWT = Field(3, doc="write-through: chooses the memory type")
    US = Field(2, doc="U/S: user mode may access", values={0: "supervisor", 1: "user"})
    RW = Field(1, doc="R/W: writable", values={0: "read-only", 1: "writable"})
    P = Field(0, doc="present", values=NO_YES)


class Entry64(PresentEntry):
    """An entry of eight bytes."""

    NX = Field(63, doc="not executable (XD)", values=NO_YES)


class MappingEntry(PresentEntry):
    """What an entry has that maps a page; `large` ones say so by PS."""

    G = Field(8, doc="global", values=NO_YES)
    D = Field(6, doc="dirty", values={0: "not written", 1: "written"})


class AbsentEntry(Word):
    """An entry that is not present: all else of it is software's."""

    SOFTWARE = Field((63, 1), doc="ignored by hardware")
    P = PresentEntry.P


class AbsentEntry4(Word):
    """The same of four bytes."""

    width = 32
    SOFTWARE = Field((31, 1), doc="ignored by hardware")
    P = PresentEntry.P


class PointerEntry(Word):
    """An entry of PAE's first level, which is a register: it has no rights of its own."""

    NextTable = Field((PHYSICAL_BITS - 1, PAGE_BITS), doc="next table's address", scale=1 << PAGE_BITS)
    AVL = PresentEntry.AVL
    A = Field(5, doc="reserved, and 0 when it was loaded; QEMU sets it as an accessed flag", values=NO_YES)
    PCD = PresentEntry.PCD
    PWT = PresentEntry.PWT
    P = PresentEntry.P


ABSENT: Final[dict[int, type[Word]]] = {4: AbsentEntry4, 8: AbsentEntry}


@cache
def table_entry(mode: Mode) -> type[PresentEntry]:
    """Return the class of an entry that leads to a table."""
    high = PHYSICAL_BITS - 1 if mode.entry_bytes == 8 else 31
    fields = {
        "NextTable": Field((high, PAGE_BITS), doc="next table's address", scale=1 << PAGE_BITS),
        "PS": Field(7, doc="maps a page", values=NO_YES),
        "IGNORED": Field(8, 6, doc="ignored by hardware"),
    }
    if mode.is_long:
        fields["SOFTWARE"] = Field((62, PHYSICAL_BITS), doc="software's own")
    return _entry("TableEntry", "An entry that leads to a further table.", mode, (), fields)


@cache
def page_entry(mode: Mode, low: int) -> type[MappingEntry]:
    """Return the class of an entry that maps a page of 2^low bytes."""
    large = low > PAGE_BITS
    fields = {"PAT": Field(_LARGE_PAT if large else 7, doc="chooses the memory type")}
    if large:
        fields["PS"] = Field(7, doc="maps a page", values=NO_YES)
    if mode.entry_bytes == 8:
        fields["OutputAddress"] = Field((PHYSICAL_BITS - 1, low), doc="output address", scale=1 << low)
        if large:
            fields["MISALIGNED"] = Field((low - 1, _LARGE_PAT + 1), doc="address below the page's size: 0")
    elif large:
        # PSE-36: what does not fit above stands below.
        above = PSE36_BITS - 32
        fields["OutputAddress"] = Field((12 + above, 13), (31, low), doc="output address", scale=1 << low)
        fields["MISALIGNED"] = Field((low - 1, 13 + above), doc="0")
    else:
        fields["OutputAddress"] = Field((31, low), doc="output address", scale=1 << low)
    if mode.is_long:
        fields["KEY"] = Field((62, 59), doc="protection key")
        fields["SOFTWARE"] = Field((58, PHYSICAL_BITS), doc="software's own")
    return _entry("MappingEntry", f"An entry that maps 2^{low} bytes.", mode, (MappingEntry,), fields)


def _entry(name: str, doc: str, mode: Mode, bases: tuple[type[Word], ...], fields: dict[str, Field]) -> type:
    wide: tuple[type[Word], ...] = (Entry64,) if mode.entry_bytes == 8 else ()
    members = {"__doc__": doc, "width": 8 * mode.entry_bytes, **fields}
    return type(name, (*bases, *wide) or (PresentEntry,), members)


def is_pointer(mode: Mode, level: int) -> bool:
    """Return whether entries of a level are those that PAE paging loads with cr3."""
    return not mode.is_long and level == POINTERS
