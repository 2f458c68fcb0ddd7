"""Page table entries, of four bytes and of eight, as tables, as leaves, and as what hardware does not use.

Source: The RISC-V Privileged Architecture, "Sv32 page table entry", "Sv39 page table entry", Svnapot, Svpbmt,
Svrsw60t59b.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from gdbtools.arch.riscv.tables.geometry import NAPOT_BITS, PAGE_BITS
from gdbtools.bits import NO_YES, Field, Word

_PPN: Final = 10
"""Where an entry has its page number."""
PMA, NC, IO = range(3)
MEMORY_TYPES: Final = {PMA: "PMA", NC: "NC", IO: "IO"}
"""PBMT: as the physical memory attributes have it, non-cacheable memory, and I/O."""
ENTRY_BITS: Final = {8: 53, 4: 31}
"""By an entry's bytes: the highest bit of its page number."""


class PageEntry(Word):
    """What every entry has that is valid."""

    RSW = Field((9, 8), doc="software's own")
    D = Field(7, doc="dirty", values={0: "not written", 1: "written"})
    A = Field(6, doc="accessed", values={0: "not accessed", 1: "accessed"})
    G = Field(5, doc="global: in all address spaces", values=NO_YES)
    U = Field(4, doc="user mode may access", values=NO_YES)
    X = Field(3, doc="executable", values=NO_YES)
    W = Field(2, doc="writable", values=NO_YES)
    R = Field(1, doc="readable", values=NO_YES)
    V = Field(0, doc="valid", values=NO_YES)


class WideEntry(PageEntry):
    """An entry of eight bytes: Sv39, Sv48, Sv57."""

    N = Field(63, doc="contiguous: one of 64KB (Svnapot)", values=NO_YES)
    PBMT = Field((62, 61), doc="memory type (Svpbmt)", values={**MEMORY_TYPES, 3: "reserved"})
    RSW60 = Field((60, 59), doc="software's own with Svrsw60t59b, else reserved")


class InvalidEntry4(Word):
    """An entry of four bytes that hardware ignores."""

    width = 32
    SOFTWARE = Field((31, 1), doc="ignored by hardware")
    V = PageEntry.V


class InvalidEntry8(Word):
    """An entry of eight bytes that hardware ignores."""

    SOFTWARE = Field((63, 1), doc="ignored by hardware")
    V = PageEntry.V


INVALID: Final[dict[int, type[Word]]] = {4: InvalidEntry4, 8: InvalidEntry8}


@cache
def table_entry(entry_bytes: int) -> type[PageEntry]:
    """Return the class of an entry that leads to a table."""
    address = Field((ENTRY_BITS[entry_bytes], _PPN), doc="next table's address", scale=1 << PAGE_BITS)
    return _entry("TableEntry", "An entry that leads to a further table.", entry_bytes, {"NextTable": address})


@cache
def leaf_entry(entry_bytes: int, low: int) -> type[PageEntry]:
    """Return the class of a leaf that maps 2^low bytes: what is below that of its page number has to be 0."""
    shift = low - PAGE_BITS
    fields = {"OutputAddress": Field((ENTRY_BITS[entry_bytes], _PPN + shift), doc="output address", scale=1 << low)}
    if shift:
        fields["MISALIGNED"] = Field((_PPN + shift - 1, _PPN), doc="page number below the page's size: 0")
    return _entry("LeafEntry", f"A leaf of 2^{low} bytes.", entry_bytes, fields)


@cache
def contiguous_entry() -> type[PageEntry]:
    """Return the class of a leaf with N: the lowest bits of its page number say how large its run is."""
    size = Field((_PPN + NAPOT_BITS - 1, _PPN), doc="size of the run", values={1 << NAPOT_BITS - 1: "64KB"})
    low = PAGE_BITS + NAPOT_BITS
    address = Field((ENTRY_BITS[8], _PPN + NAPOT_BITS), doc="output address of the run", scale=1 << low)
    return _entry("ContiguousEntry", "A leaf of a contiguous run.", 8, {"OutputAddress": address, "SIZE": size})


def _entry(name: str, doc: str, entry_bytes: int, fields: dict[str, Field]) -> type[PageEntry]:
    base: type[PageEntry] = WideEntry if entry_bytes == 8 else PageEntry
    return type(f"{name}{entry_bytes}", (base,), {"__doc__": doc, "width": 8 * entry_bytes, **fields})
