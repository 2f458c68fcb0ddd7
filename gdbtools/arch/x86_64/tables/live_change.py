"""What a change of an entry needs while TLBs may hold it.

An entry that is not present, or has a reserved bit set, is held by none.  One of two sizes may be met as either:
"Details of TLB Use" has software clear P and invalidate before it changes a page's size with anything else.  What is
permitted more costs one fault at most, which invalidates as it is taken ("Optional Invalidation"): but what is made the
user's, and what is no longer a shadow stack's, may be taken from somebody, by what cr4 has enabled.

Source: Intel SDM volume 3, "Caching Translation Information"; "Accessed and Dirty Flags".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.arch.x86_64.registers.control import CR4
from gdbtools.arch.x86_64.tables.descriptors import MappingEntry, PresentEntry
from gdbtools.bits import Field, Word

_OWN: Final = (Need.NOTHING, "software's own: hardware ignores it")
_SIZE: Final = "the page's size: a TLB may hold both"
_FIELDS: Final[Mapping[str, str]] = {
    "P": "TLBs may go on with it",
    "A": "accesses through a TLB do not set it again",
    "D": "stores through a TLB do not set it again",
    "G": "a TLB may go on with it in its own address space alone, or in all",
    "RW": "a permission: TLBs may go on with the old one",
    "US": "a permission: TLBs may go on with the old one",
    "NX": "a permission: TLBs may go on with the old one",
    "KEY": "TLBs may go on with the old protection key",
    "OutputAddress": "TLBs may go on with the old output address",
    "NextTable": "paging-structure caches may go on with the table that everything below comes from",
    "PCD": "TLBs may go on with the old memory type",
    "PWT": "TLBs may go on with the old memory type",
    "PAT": "TLBs may go on with the old memory type",
}
_MORE: Final[Mapping[str, int]] = {"RW": 1, "US": 1, "NX": 0}
"""What each permission is when it permits more."""
_RAISED: Final = "a permission raised: a TLB that holds it as it was has one access fault, and forgets it then"
_FLAG_SET: Final = "what a TLB does not know of it, no access needs"
_OTHERS: Final = "TLBs may go on with what it was"
_SOFTWARE: Final = frozenset(("AVL", "SOFTWARE", "IGNORED"))


_TAKES: Final[Mapping[str, tuple[Field, ...]]] = {
    "US": (CR4.SMEP, CR4.SMAP, CR4.PKE, CR4.PKS, CR4.CET),
    "RW": (CR4.CET,),
}
"""With which bits of cr4 raising a permission takes another: from supervisor mode, by keys, or of a shadow stack."""


def changes(before: Word, after: Word, cached: bool, register: ReadRegister) -> Sequence[FieldChange]:
    """Return every field in which two entries differ, by the layout of the one that is present, and what it needs.

    `cached` says whether a TLB may hold `before`.
    """
    return tuple(_changes(before, after, cached, register))


def _changes(before: Word, after: Word, cached: bool, register: ReadRegister) -> Iterator[FieldChange]:
    layout = type(before) if PresentEntry.P.of(before) else type(after)
    for field in layout.fields():
        old, new = field.of(before), field.of(after)
        if old != new:
            need = _need(field.name, new, cached)
            if need == (Need.NOTHING, _RAISED) and (taken := _taken(field.name, before, register)):
                need = (Need.INVALIDATION, taken)
            yield FieldChange(field.name, old, new, field.width, *need)
    left = (before ^ after) & layout.reserved_mask()
    if left:
        yield FieldChange("reserved", before & left, after & left, layout.width, *_need("reserved", left, cached))


def _taken(name: str, before: Word, register: ReadRegister) -> str:
    """Return what a permission that is raised takes from somebody, empty if nothing: a TLB goes on with granting it."""
    if name == "RW" and not (isinstance(before, MappingEntry) and before.D):
        # Read-only and dirty is what a shadow stack's page is.
        return ""
    value = optional(register, "cr4")
    wanted = _TAKES.get(name, ())
    found = [each.name for each in wanted if value is None or each.of(value)]
    if not found:
        return ""
    by = "cr4 is not known" if value is None else ", ".join(f"cr4.{each}=1" for each in found)
    what = "what is the user's may be refused to the supervisor" if name == "US" else "it is a shadow stack's no more"
    return f"{what} ({by}): TLBs may go on with the old one"


def _need(name: str, new: int, cached: bool) -> tuple[Need, str]:
    if name in _SOFTWARE:
        return _OWN
    if not cached:
        return Need.NOTHING, "no TLB holds it"
    if name == "PS":
        return Need.BREAK, _SIZE
    if name in ("A", "D") and new:
        return Need.NOTHING, _FLAG_SET
    if _MORE.get(name) == new:
        return Need.NOTHING, _RAISED
    return Need.INVALIDATION, _FIELDS.get(name, _OTHERS)
