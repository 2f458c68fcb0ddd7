"""What a byte of MAIR means, in words.

Source: DDI 0487, "MAIR_EL1, Memory Attribute Indirection Register (EL1)".
"""

from __future__ import annotations

from typing import Final

DEVICE: Final = {0b00: "Device-nGnRnE", 0b01: "Device-nGnRE", 0b10: "Device-nGRE", 0b11: "Device-GRE"}
# Whole encodings that the nibble rules do not give.
_SPECIAL = {
    0b0100_0000: "Normal Non-cacheable, XS=0",
    0b1010_0000: "Normal Write-Through, XS=0",
    0b1111_0000: "Normal Write-Back, Tagged",
}
# One nibble of a Normal encoding: the policy; the allocation hints are its two low bits.
_POLICY = {0b00: "Write-Through Transient", 0b01: "Write-Back Transient", 0b10: "Write-Through", 0b11: "Write-Back"}
_HINTS = {0b00: "no allocate", 0b01: "W-allocate", 0b10: "R-allocate", 0b11: "RW-allocate"}
_NON_CACHEABLE = 0b0100


def _cacheability(nibble: int) -> str:
    if nibble == _NON_CACHEABLE:
        return "Non-cacheable"
    return f"{_POLICY[nibble >> 2]} {_HINTS[nibble & 0b11]}"


def memory_type(attr: int) -> str:
    """Return the memory type of one 8-bit MAIR attribute; UNPREDICTABLE encodings say so."""
    outer, inner = attr >> 4, attr & 0xF
    if attr in _SPECIAL:
        return _SPECIAL[attr]
    if outer == 0:
        name = DEVICE[inner >> 2]
        return {0b00: name, 0b01: f"{name}, XS=0"}.get(inner & 0b11, f"UNPREDICTABLE ({attr:#04x})")
    if inner == 0:
        return f"UNPREDICTABLE ({attr:#04x})"
    if outer == inner:
        return f"Normal {_cacheability(inner)}"
    return f"Normal inner {_cacheability(inner)}, outer {_cacheability(outer)}"
