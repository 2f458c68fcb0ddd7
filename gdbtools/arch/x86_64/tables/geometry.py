"""How a linear address is cut into levels: one mode of paging for each.

A level has the number that the field gives it: 1 is the page table, 2 the page directory, 3 the
page-directory-pointer table, 4 and 5 the PML4 and PML5 tables.

Source: Intel SDM volume 3, "Paging Modes and Control Bits", "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level
Paging".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gdbtools.arch.model import Level

PAGE_BITS: Final = 12
ENTRY_BYTES: Final = 8
"""Of an entry, in every mode but 32-bit paging."""
POINTERS: Final = 3
"""The level of page-directory-pointer tables."""
PHYSICAL_BITS: Final = 52
"""The most that MAXPHYADDR may be."""
PSE36_BITS: Final = 40
"""The most bits that a page of 32-bit paging may have in its address."""


@dataclass(frozen=True)
class Mode:
    """One mode of paging: its levels, and the bytes of an entry."""

    name: str
    levels: tuple[Level, ...]
    entry_bytes: int

    @property
    def is_long(self) -> bool:
        """Whether it is a mode of long mode, with linear addresses of 64 bits and canonical ones among them."""
        return len(self.levels) > POINTERS

    @property
    def input_bits(self) -> int:
        return self.levels[0].high + 1


def _levels(count: int) -> tuple[Level, ...]:
    return tuple(Level(number, 12 + 9 * number - 1, 3 + 9 * number) for number in range(count, 0, -1))


MODE_32: Final = Mode("32-bit paging", (Level(2, 31, 22), Level(1, 21, 12)), 4)
PAE: Final = Mode("PAE paging", (Level(POINTERS, 31, 30), *_levels(2)), 8)
LEVELS_4: Final = Mode("4-level paging", _levels(4), 8)
LEVELS_5: Final = Mode("5-level paging", _levels(5), 8)
