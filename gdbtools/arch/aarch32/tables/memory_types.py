"""The memory type of a mapping, as MAIR has it in a byte, whichever format it comes from.

Source: DDI 0487, "Memory region attributes" for the short descriptors without and with TEX remap, and the pseudocode
AArch32.DefaultTEXDecode, AArch32.RemappedTEXDecode, ShortDescAttr.
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch32.registers.translation import NMRR, PRRR
from gdbtools.arch.aarch32.tables.short_descriptors import ShortLeaf
from gdbtools.arch.arm.memory_names import memory_type

DEVICE_nGnRnE, DEVICE_nGnRE = 0x00, 0x04
NON_CACHEABLE, WRITE_BACK = 0x44, 0xFF
NON_SHAREABLE, OUTER_SHAREABLE, INNER_SHAREABLE = 0b00, 0b10, 0b11
SHAREABILITY: Final = {
    NON_SHAREABLE: "Non-shareable",
    OUTER_SHAREABLE: "Outer Shareable",
    INNER_SHAREABLE: "Inner Shareable",
}
_CACHEABILITY: Final = {0b00: 0b0100, 0b01: 0b1111, 0b10: 0b1010, 0b11: 0b1110}
"""What two bits say of one cache: Non-cacheable, Write-Back with and without allocating writes, Write-Through."""
IMPLEMENTATION_DEFINED: Final = "IMPLEMENTATION DEFINED"
RESERVED: Final = "reserved"
UNKNOWN: Final = "as PRRR and NMRR have it"
_NORMAL: Final = 2
_DEVICES: Final = {0: DEVICE_nGnRnE, 1: DEVICE_nGnRE}
# TEX, C, B without remap, where bit 2 of TEX is 0.
_DEFAULT: Final = {
    0b00000: DEVICE_nGnRnE,
    0b00001: DEVICE_nGnRE,
    0b00010: 0xAA,
    0b00011: 0xEE,
    0b00100: NON_CACHEABLE,
    0b00111: WRITE_BACK,
    0b01000: DEVICE_nGnRE,
}
_IMPLEMENTATION_DEFINED: Final = 0b00110
_CACHED: Final = 0b10000
"""TEX[2]: the two other bits of TEX are the outer cacheability, C and B the inner one."""
NAMES: Final = frozenset(
    (*(memory_type(attr) for attr in range(256)), IMPLEMENTATION_DEFINED, RESERVED, UNKNOWN,
     *(f"MAIR Attr{index}" for index in range(8)))
)  # fmt: skip
"""Every memory type that an answer may name; where MAIR0 or MAIR1 is not known, the number of the attribute."""


def is_device(attr: int) -> bool:
    return attr >> 4 == 0


def default(leaf: ShortLeaf) -> int | str:
    """Return the memory type of a short descriptor without TEX remap; in words where there is no attribute for it."""
    chosen = leaf.field("TEX").of(leaf) << 2 | leaf.C << 1 | leaf.B
    if chosen & _CACHED:
        return _CACHEABILITY[chosen >> 2 & 0b11] << 4 | _CACHEABILITY[chosen & 0b11]
    if chosen == _IMPLEMENTATION_DEFINED:
        return IMPLEMENTATION_DEFINED
    return _DEFAULT.get(chosen, RESERVED)


def region(leaf: ShortLeaf) -> int:
    """Return which of the remapped types a short descriptor chooses."""
    return leaf.field("TEX0").of(leaf) << 2 | leaf.C << 1 | leaf.B


def remapped(leaf: ShortLeaf, prrr: PRRR, nmrr: NMRR) -> int | str:
    """Return the memory type of a short descriptor under TEX remap."""
    number = region(leaf)
    kind = prrr.field(f"TR{number}").of(prrr)
    if kind != _NORMAL:
        return _DEVICES.get(kind, RESERVED)
    outer, inner = (nmrr.field(f"{name}{number}").of(nmrr) for name in ("OR", "IR"))
    return _CACHEABILITY[outer] << 4 | _CACHEABILITY[inner]


def default_shareability(leaf: ShortLeaf, attr: int | str) -> int:
    """Return the shareability without TEX remap: what is shareable is Outer Shareable."""
    return OUTER_SHAREABLE if leaf.S or attr == NON_CACHEABLE or _is_shared(attr) else NON_SHAREABLE


def remapped_shareability(leaf: ShortLeaf, prrr: PRRR, attr: int | str) -> int:
    """Return the shareability under TEX remap: PRRR says what S stands for."""
    if attr == NON_CACHEABLE or _is_shared(attr):
        return OUTER_SHAREABLE
    if not (prrr.NS1 if leaf.S else prrr.NS0):
        return NON_SHAREABLE
    return INNER_SHAREABLE if prrr.field(f"NOS{region(leaf)}").of(prrr) else OUTER_SHAREABLE


def _is_shared(attr: int | str) -> bool:
    """Return whether it is Device memory, which all share whatever the descriptor says."""
    return isinstance(attr, int) and is_device(attr)


def effective_shareability(attr: int, sh: int) -> int:
    """Return what SH of a long descriptor comes to: Device and Non-cacheable memory is Outer Shareable."""
    return OUTER_SHAREABLE if is_device(attr) or attr == NON_CACHEABLE else sh


def named(attr: int | str) -> str:
    """Return what a memory type is called."""
    return attr if isinstance(attr, str) else memory_type(attr)
