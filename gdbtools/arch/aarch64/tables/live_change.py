"""Which changes of a descriptor are safe while TLBs may hold it, and which need break-before-make.

Source: DDI 0487, "Using break-before-make when updating translation table entries", and rule R_SQBCS in "Translation
Lookaside Buffers".  Where the manual leaves room (shareability, page-based hardware attributes, bits that nobody
claims) the stricter reading counts, as in Linux's `pgattr_change_is_safe` (arch/arm64/mm/mmu.c).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gdbtools.arch.aarch64.registers.identification import ID_AA64MMFR2_EL1
from gdbtools.arch.aarch64.tables.descriptors import VALID
from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.bits import Word

_PERMISSION = (Need.INVALIDATION, "a permission: TLBs may go on with the old one")
_LIMIT = (Need.INVALIDATION, "a limit on what is below: TLBs may go on with the old one")
_OWN = (Need.NOTHING, "software's own: hardware ignores it")
_TYPE = (Need.BREAK, "the memory type or its cacheability")
_SPACE = (Need.BREAK, "the physical address space of the output")
_FIELDS: Final[Mapping[str, tuple[Need, str]]] = {
    **dict.fromkeys(("IGNORED", "IGNORED_LOW", "SOFTWARE"), _OWN),
    **dict.fromkeys(("AP", "S2AP", "UXN", "PXN", "XN", "PIIndex", "POIndex"), _PERMISSION),
    **dict.fromkeys(("APTable", "UXNTable", "PXNTable", "XNTable"), _LIMIT),
    "AF": (Need.INVALIDATION, "accesses through a TLB do not set it again"),
    "DBM": (Need.INVALIDATION, "TLBs may go on with what it was"),
    "nDirty": (Need.INVALIDATION, "writes through a TLB do not record themselves again"),
    "Dirty": (Need.INVALIDATION, "writes through a TLB do not record themselves again"),
    "GP": (Need.INVALIDATION, "TLBs may go on with what it was"),
    "FnXS": (Need.INVALIDATION, "TLBs may go on with what it was"),
    "nT": (Need.INVALIDATION, "it is made for live entries (FEAT_BBM)"),
    "OutputAddress": (Need.BREAK, "the output address"),
    "NextTable": (Need.BREAK, "the table that everything below comes from"),
    **dict.fromkeys(("AttrIndx", "MemAttr"), _TYPE),
    "SH": (Need.BREAK, "the shareability, which has to be the same in all TLBs"),
    **dict.fromkeys(("NS", "NSE", "NSTable"), _SPACE),
    "PBHA": (Need.BREAK, "IMPLEMENTATION DEFINED attributes"),
    "TYPE": (Need.BREAK, "the size of what it maps"),
    "Contiguous": (Need.BREAK, "the size of what a TLB entry maps"),
}
_NOT_CACHED: Final = (Need.NOTHING, "an entry that faults is in no TLB")
_GONE: Final = (Need.INVALIDATION, "TLBs may go on with the old one")
_FREE_SIZE: Final = (Need.INVALIDATION, "the size of what a TLB entry maps; ID_AA64MMFR2_EL1.BBM is 2")
_GLOBAL: Final = (Need.BREAK, "a global entry, where non-global ones may be in a TLB")
_NOT_GLOBAL: Final = (Need.INVALIDATION, "TLBs may keep it for every ASID")
_BBM_LEVEL_2: Final = 2


def changes(before: Word, after: Word, cached: bool, register: ReadRegister) -> Sequence[FieldChange]:
    """Return every field in which two descriptors differ, by the layout of the one that is valid, and what it needs.

    `cached` says whether a TLB may hold `before`.
    """
    return tuple(_changes(before, after, cached, register))


def _changes(before: Word, after: Word, cached: bool, register: ReadRegister) -> Iterator[FieldChange]:
    layout = type(before) if VALID.of(before) else type(after)
    for field in layout.fields():
        old, new = field.of(before), field.of(after)
        if old != new:
            yield FieldChange(field.name, old, new, field.width, *_need(field.name, before, after, cached, register))
    left = (before ^ after) & layout.reserved_mask()
    if left:
        need = (Need.BREAK, "bits that no field claims") if cached else _NOT_CACHED
        yield FieldChange("reserved", before & left, after & left, 64, *need)


def _need(name: str, before: Word, after: Word, cached: bool, register: ReadRegister) -> tuple[Need, str]:
    if _FIELDS.get(name) == _OWN:
        return _OWN
    if not cached or not VALID.of(before):
        return _NOT_CACHED
    if not VALID.of(after):
        return _GONE
    if name == "nG":
        return _NOT_GLOBAL if type(before).field(name).of(after) else _GLOBAL
    if name == "AF" and not type(before).field(name).of(before):
        return _NOT_CACHED
    if name == "Contiguous" and _size_changes_freely(register):
        return _FREE_SIZE
    return _FIELDS[name]


def _size_changes_freely(register: ReadRegister) -> bool:
    mmfr2 = optional(register, "ID_AA64MMFR2_EL1")
    return mmfr2 is not None and ID_AA64MMFR2_EL1(mmfr2).BBM >= _BBM_LEVEL_2
