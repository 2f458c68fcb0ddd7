"""How an address is cut into levels: granules, sizes, where blocks may stand, what is contiguous.

Source: DDI 0487, sections "Translation granules", "Block descriptors" for the levels that may hold one, "The Contiguous
bit", and "Initial lookup level" with "Concatenated translation tables" for stage 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gdbtools.arch.aarch64.tables.descriptors import Layout
from gdbtools.arch.model import Level

GRANULE_BITS: Mapping[str, int] = MappingProxyType({"4KB": 12, "16KB": 14, "64KB": 16})
PHYSICAL_BITS: Mapping[int, int] = MappingProxyType({0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52, 7: 56})
NARROW_BITS, WIDE_BITS = 48, 52
"""The output address size without and with FEAT_LPA or FEAT_LPA2."""
LAST_LEVEL = 3
ENTRY_BITS = 3
"""log2 of a descriptor's 8 bytes."""
# R_GTJBY; the most that is permitted: R_PLCGL.
MINIMUM_TnSZ, MINIMUM_WIDE_TnSZ = 16, 12
MAXIMUM_TnSZ = 39
# FEAT_TTST, "ID_AA64MMFR2_EL1.ST".
MAXIMUM_SMALL_TnSZ: Mapping[int, int] = MappingProxyType({12: 48, 14: 48, 16: 47})

# R_KSBQV for 4KB, AArch64.BlockDescSupported: a wide output address adds one level to each granule's.
_BLOCK_LEVELS = {12: (1, 2), 14: (2,), 16: (2,)}
_WIDE_BLOCK_LEVELS = {12: (0, 1, 2), 14: (1, 2), 16: (1, 2)}
# "The Contiguous bit": how many entries make a run, by granule and level.
CONTIGUOUS_ENTRIES: Mapping[tuple[int, int], int] = MappingProxyType(
    {(12, 1): 16, (12, 2): 16, (12, 3): 16, (14, 2): 32, (14, 3): 128, (16, 2): 32, (16, 3): 32}
)


def block_levels(granule_bits: int, layout: Layout) -> tuple[int, ...]:
    """Return the levels where a block may stand."""
    return (_BLOCK_LEVELS if layout is Layout.BITS_48 else _WIDE_BLOCK_LEVELS)[granule_bits]


def levels_for(granule_bits: int, input_bits: int) -> tuple[Level, ...]:
    """Return the levels that resolve `input_bits` of address, root first.

    They are counted from the last level up, so the root may be smaller than a granule and the starting level falls out.
    """
    stride = granule_bits - ENTRY_BITS
    levels: list[Level] = []
    low = granule_bits
    while low < input_bits:
        levels.insert(0, Level(LAST_LEVEL - len(levels), min(low + stride, input_bits) - 1, low))
        low += stride
    return tuple(levels)


# "VTCR_EL2.SL0": the starting level by {SL2, SL0}, for each granule.
START_LEVELS: Mapping[int, Mapping[tuple[int, int], int]] = MappingProxyType(
    {
        12: {(0, 0): 2, (0, 1): 1, (0, 2): 0, (0, 3): 3, (1, 0): -1},
        14: {(0, 0): 3, (0, 1): 2, (0, 2): 1, (0, 3): 0},
        16: {(0, 0): 3, (0, 1): 2, (0, 2): 1},
    }
)
CONCATENATED_BITS = 4
"""Up to 16 tables side by side make a stage 2 root (R_HRSBS, R_JKZFY)."""


def stage2_levels_for(granule_bits: int, input_bits: int, start: int) -> tuple[Level, ...]:
    """Return the levels of a stage 2 that starts where it is told to; () where `input_bits` cannot start there.

    Between one entry and 16 concatenated tables may resolve what the levels below the start leave.
    """
    stride = granule_bits - ENTRY_BITS
    low = granule_bits + stride * (LAST_LEVEL - start)
    if not low < input_bits <= low + stride + CONCATENATED_BITS:
        return ()
    lower = levels_for(granule_bits, low)
    return Level(start, input_bits - 1, low), *lower
