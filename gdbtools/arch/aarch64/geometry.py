"""How an address is cut into levels: granules, sizes, and where blocks may stand.

Source: DDI 0487, section "Translation granules", and "Block descriptors" for the levels that may hold one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gdbtools.arch.model import Level

GRANULE_BITS = {"4KB": 12, "16KB": 14, "64KB": 16}
# "Block descriptors": without FEAT_LPA and FEAT_LPA2 a block may stand only here.
BLOCK_LEVELS = {12: (1, 2), 14: (2,), 16: (2,)}
PHYSICAL_BITS = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52, 7: 56}
LAST_LEVEL = 3
ENTRY_BITS = 3
"""log2 of a descriptor's 8 bytes."""
MINIMUM_TnSZ = 16
MAXIMUM_TnSZ = 39
# FEAT_TTST, "ID_AA64MMFR2_EL1.ST".
MAXIMUM_SMALL_TnSZ: Mapping[int, int] = MappingProxyType({12: 48, 14: 48, 16: 47})


def levels_for(granule_bits: int, input_bits: int) -> tuple[Level, ...]:
    """Give the levels that resolve `input_bits` of address, root first.

    They are counted from the last level up, so the root may be smaller than a granule and the starting level falls out.
    """
    stride = granule_bits - ENTRY_BITS
    levels: list[Level] = []
    low = granule_bits
    while low < input_bits:
        levels.insert(0, Level(LAST_LEVEL - len(levels), min(low + stride, input_bits) - 1, low))
        low += stride
    return tuple(levels)
