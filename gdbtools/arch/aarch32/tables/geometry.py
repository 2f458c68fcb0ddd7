"""How an address is cut into levels: the two formats of translation tables.

Source: DDI 0487, "The VMSAv8-32 Short-descriptor translation table format" with "Selecting between TTBR0 and TTBR1",
"The VMSAv8-32 Long-descriptor translation table format" with "Determining the required initial lookup level".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.model import Level

INPUT_BITS: Final = 32
INPUT_LAST: Final = (1 << INPUT_BITS) - 1
SECTION_BITS: Final = 20
SUPERSECTION_BITS: Final = 24
LARGE_PAGE_BITS: Final = 16
PAGE_BITS: Final = 12
SHORT_TABLE_BITS: Final = 10
"""log2 of the bytes of a second-level table of short descriptors."""
LONG_INDEX_BITS: Final = 9
LAST_LONG_LEVEL: Final = 3


def short_levels(range_bits: int) -> tuple[Level, ...]:
    """Return the levels of short descriptors below a root that translates 2^range_bits bytes."""
    return Level(1, range_bits - 1, SECTION_BITS), Level(2, SECTION_BITS - 1, PAGE_BITS)


def long_levels(range_bits: int) -> tuple[Level, ...]:
    """Return the levels of long descriptors below a root that translates 2^range_bits bytes, the root's first.

    They are counted from the last one up: a small range begins at level 2.
    """
    found: list[Level] = []
    low = PAGE_BITS
    while low < range_bits:
        high = min(low + LONG_INDEX_BITS, range_bits) - 1
        found.insert(0, Level(LAST_LONG_LEVEL - len(found), high, low))
        low += LONG_INDEX_BITS
    return tuple(found)
