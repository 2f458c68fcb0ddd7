"""What a byte of MAIR means, what stage 2's MemAttr means, and what becomes of the two together.

A memory type is an 8-bit attribute in MAIR's own encoding throughout, as PAR_EL1.ATTR reports it.  Source: DDI 0487,
"MAIR_EL1", "Stage 2 memory type and Cacheability attributes", "Combining stage 1 and stage 2 memory type attributes"
with and without FEAT_S2FWB, and the pseudocode S2CombineS1MemAttrs, S2ApplyFWBMemAttrs and EffectiveShareability.
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch64.registers.translation import SHAREABILITY
from gdbtools.arch.arm.memory_names import DEVICE, memory_type

DEVICE_nGnRnE: Final = 0x00
NON_CACHEABLE: Final = 0x44
WRITE_BACK: Final = 0xFF
NON_SHAREABLE, OUTER_SHAREABLE, INNER_SHAREABLE = 0b00, 0b10, 0b11

# What the whole encodings are, once the XS attribute and tagging are taken from them.
_PLAIN = {0b0100_0000: 0x44, 0b1010_0000: 0xAA, 0b1111_0000: 0xFF}
_NC, _WT, _WB = 0b0100, 0b1000, 0b1100
_RW_ALLOCATE = 0b0011
TAGGED: Final = 0xF0


_STAGE2 = {0b01: "Non-cacheable", 0b10: "Write-Through", 0b11: "Write-Back"}
_FORCED = {
    0b101: "Normal Non-cacheable unless stage 1 says Device",
    0b110: "Normal Write-Back whatever stage 1 says",
    0b111: "as stage 1 says",
}


def stage2_memory_type(memattr: int, forced: bool | None) -> str:
    """Name what a stage 2 MemAttr says by itself; `forced` is HCR_EL2.FWB, and where that is not known (None), both."""
    if forced is None:
        plain, other = (stage2_memory_type(memattr, each) for each in (False, True))
        return plain if plain == other else f"{plain} (FWB=0) or {other} (FWB=1)"
    outer, inner = memattr >> 2, memattr & 0b11
    if (memattr & 0b0111 if forced else memattr) <= 0b0011:
        return DEVICE[inner]
    if forced:
        return _FORCED.get(memattr & 0b0111, f"reserved ({memattr:#06b})")
    if inner == 0:
        return f"reserved ({memattr:#06b})"
    if inner == outer:
        return f"Normal {_STAGE2[inner]}"
    return f"Normal inner {_STAGE2[inner]}, outer {_STAGE2[outer]}"


def is_device(attr: int) -> bool:
    return attr >> 4 == 0


def is_named_device(attr: int) -> bool:
    """Return whether an attribute is one of the Device types, and no UNPREDICTABLE encoding."""
    return is_device(attr) and attr & 0b11 in (0b00, 0b01)


def is_unshared(attr: int, sh: int) -> bool:
    """Return whether an attribute is of Normal memory, and the shareability less usual than Inner Shareable."""
    normal = not is_device(attr) and (attr in _PLAIN or attr & 0xF != 0)
    return normal and sh != INNER_SHAREABLE


def stage2_is_device(memattr: int, forced: bool | None) -> bool:
    """Return whether a stage 2 MemAttr is a Device type by itself: without FWB, where nobody knows of that."""
    return (memattr & 0b0111 if forced else memattr) <= 0b0011


def stage2_may_be_normal(memattr: int, forced: bool | None) -> bool:
    """Return whether a stage 2 MemAttr may be of Normal memory by itself."""
    if forced is None:
        return any(stage2_may_be_normal(memattr, each) for each in (False, True))
    if forced:
        return memattr & 0b0111 in (0b101, 0b110)
    return memattr > 0b0011 and memattr & 0b11 != 0


def shareability(sh: int) -> str:
    return SHAREABILITY.get(sh, "reserved")


def effective_shareability(attr: int, sh: int) -> int:
    """Return what SH comes to: Device and Non-cacheable memory is Outer Shareable, and so is said to be (R_PYFVQ)."""
    if is_device(attr) or _PLAIN.get(attr, attr) == NON_CACHEABLE:
        return OUTER_SHAREABLE
    return sh


def combined_shareability(first: int, second: int) -> int:
    """Return the wider of two (R_ZNLRJ)."""
    for each in (OUTER_SHAREABLE, INNER_SHAREABLE):
        if each in (first, second):
            return each
    return NON_SHAREABLE


def _stage2_attr(memattr: int, cache_disabled: bool) -> int:
    """Return a stage 2 MemAttr (without FWB: R_HMNDG) as MAIR has it, with no hints but the allocating ones."""
    outer, inner = memattr >> 2, memattr & 0b11
    if outer == 0:
        return inner << 2
    if cache_disabled or inner == 0:
        # An inner attribute of 0 is reserved; Non-cacheable is what is safe to say of it.
        return NON_CACHEABLE
    nibble = {0b01: _NC, 0b10: _WT | _RW_ALLOCATE, 0b11: _WB | _RW_ALLOCATE}
    return nibble[outer] << 4 | nibble[inner]


def _stricter(first: int, second: int) -> int:
    """Return the more restrictive cacheability (R_GQFSF); the hints are stage 1's, and whether it is Transient."""
    if _NC in (first, second):
        return _NC
    if not first & 0b0100:
        return first
    return first if second & 0b0100 else _through(first)


def _through(nibble: int) -> int:
    """Return a Write-Back nibble as Write-Through, Transient or not."""
    return nibble & ~0b0100


def combined(first: int, memattr: int, forced: bool, cache_disabled: bool) -> int:
    """Return the memory type of both stages: stage 1's MAIR attribute and stage 2's MemAttr.

    `forced` is HCR_EL2.FWB, `cache_disabled` HCR_EL2.CD (for data).
    """
    if forced:
        joined = _forced(first, memattr & 0b0111)
        return NON_CACHEABLE if cache_disabled and not is_device(joined) else joined
    second = _stage2_attr(memattr, cache_disabled)
    plain = _PLAIN.get(first, first)
    if is_device(plain) or is_device(second):
        return _stricter_device(plain, second)
    joined = _stricter(plain >> 4, second >> 4) << 4 | _stricter(plain & 0xF, second & 0xF)
    # Tagged memory stays so only while it is Write-Back all through.
    return first if first == TAGGED and joined == plain else joined


def _stricter_device(first: int, second: int) -> int:
    """Return the stricter Device type (R_TNHFM): it is the smaller number, and Normal memory is none."""
    return min(each for each in (first, second) if is_device(each)) & 0b1100


def _forced(first: int, memattr: int) -> int:
    """Return what MemAttr makes of stage 1's under FWB: R_VRJSW and R_GSDKZ for Device, R_RHWZM for the rest."""
    if not memattr & 0b100:
        second = (memattr & 0b11) << 2
        return _stricter_device(first, second) if is_device(first) else second
    if memattr == 0b101:
        return first if is_device(first) else NON_CACHEABLE
    if memattr == 0b110:
        if is_device(first):
            return WRITE_BACK
        if first == TAGGED:
            return first
        plain = _PLAIN.get(first, first)
        return _written_back(plain >> 4) << 4 | _written_back(plain & 0xF)
    # 0b111 is stage 1's; 0b100 is reserved, and stage 1's is what it changes least.
    return first


def _written_back(nibble: int) -> int:
    """Return a nibble as Write-Back, its hints kept where it had any (R_THYXB, R_TBQKG)."""
    return _WB | _RW_ALLOCATE if nibble == _NC else nibble | 0b0100


UNTRANSLATED_DEVICE: Final = f"{memory_type(DEVICE_nGnRnE)} for data; instruction fetches as SCTLR.I says"
"""What memory is while stage 1 is off and nothing makes it cacheable."""
NAMES: Final = frozenset(
    (
        *(memory_type(attr) for attr in range(256)),
        *(stage2_memory_type(memattr, forced) for memattr in range(16) for forced in (False, True, None)),
        *(f"MAIR Attr{index}" for index in range(16)),
        UNTRANSLATED_DEVICE,
    )
)
"""Every memory type that an answer may name; where MAIR is not known, stage 1's is the number of its attribute."""
