"""What Linux on x86-64 keeps in an entry of a process that is not present, and in the bits that hardware leaves to it.

An entry that is not 0 has its address, or its offset, inverted, so that a processor that goes on as if it were present
(L1TF) finds no memory there.  Source: Linux 6.1 to 6.19, `arch/x86/include/asm/pgtable_64.h` ("Encode and de-code a
swap entry"), `pgtable_types.h`, `pgtable-invert.h`, `include/linux/swap.h`, `include/linux/swapops.h`.
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.x86_64.tables.descriptors import MappingEntry, PresentEntry
from gdbtools.bits import NO_YES, Field, Word
from gdbtools.systems.linux.swap_kinds import kind

_ALL: Final = (1 << 64) - 1
_HALVES: Final = 1 << 63
_LARGEST: Final = 3
"""The highest level whose entries may be of a page."""


class SwapEntry(Word):
    """An entry that is not present and not PROT_NONE."""

    TYPE = Field((63, 59), doc="swap area, or what else it is")
    OFFSET = Field((58, 9), doc="page of the area, inverted")
    PROTNONE = Field(8, doc="PROT_NONE", values=NO_YES)
    EXCLUSIVE = Field(3, doc="no other process has the page", values=NO_YES)
    UFFD_WP = Field(2, doc="userfaultfd write-protects it", values=NO_YES)
    SOFT_DIRTY = Field(1, doc="written since somebody asked", values=NO_YES)
    P = PresentEntry.P


_ADDRESS: Final = Field((51, 12), scale=1 << 12)
_PS: Final = Field(7)
_UNUSED: Final = PresentEntry.A.mask | MappingEntry.D.mask
"""What an erratum has a processor set in an entry that is not present."""
UFFD_WP: Final = Field(10, doc="userfaultfd write-protects it")


def absent(address: VA, entry: int, level: int) -> str:
    """Return what an entry of a process that is not present is, in a clause; empty where no convention says so."""
    if address >= _HALVES or level > _LARGEST:
        return ""
    word = SwapEntry(entry & _ALL)
    if not word & ~_UNUSED:
        return ""
    if level > 1 and _PS.of(word) and not word.PROTNONE:
        return f"a huge page that is being split or changed, at PA {_place(word, level):#x}, inverted in the entry"
    if word.PROTNONE:
        said = f"PROT_NONE, or NUMA balancing waits for it: bit 8 is set; the page is at PA {_place(word, level):#x}"
        return f"{said}, inverted in the entry"
    offset = SwapEntry(~word & _ALL).OFFSET
    flags = [field.doc for field in (SwapEntry.EXCLUSIVE, SwapEntry.UFFD_WP, SwapEntry.SOFT_DIRTY) if field.of(word)]
    return "; ".join([kind(word.TYPE, offset), *flags])


def _place(word: int, level: int) -> int:
    return _ADDRESS.of(~word & _ALL) & -(1 << 12 + 9 * (level - 1))


def withheld(address: VA, entry: int) -> str:
    """Return what withholds the right to write of a process's page, where the entry's own bits say so."""
    return UFFD_WP.doc if address < _HALVES and UFFD_WP.of(entry) and not PresentEntry.RW.of(entry) else ""
