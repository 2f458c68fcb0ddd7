"""What a change of an entry needs while TLBs may hold it: an invalidation on every hart, and never a break.

"Supervisor Memory-Management Fence Instruction": an implementation may use the entry as it was, or as it is, until the
fence; it may hold an entry that was invalid too.  Of two entries of different sizes it may use either, so that a change
of size needs no more.  What is set in A and D alone costs a further fault at worst, where a hart still has it clear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.riscv.tables.descriptors import PageEntry
from gdbtools.bits import Word

OWN: Final = (Need.NOTHING, "software's own: hardware ignores it")
FLAG_SET: Final = "a TLB may hold the entry as it was, clear, and fault once more"
_FIELDS: Final[Mapping[str, str]] = {
    "V": "a TLB may hold the entry as it was, an invalid one too",
    "A": "accesses through a TLB do not set it again",
    "D": "stores through a TLB do not set it again",
    "G": "a TLB may go on with it in its own address spaces alone, or in all",
    "OutputAddress": "TLBs may go on with the old output address",
    "NextTable": "TLBs may go on with the table that everything below comes from",
}
_PERMISSION: Final = "a permission: TLBs may go on with the old one"
_OTHERS: Final = "TLBs may go on with what it was"


def changes(before: Word, after: Word, cached: bool) -> Sequence[FieldChange]:
    """Return every field in which two entries differ, by the layout of the one that is valid, and what it needs.

    `cached` says whether a TLB may hold `before`.
    """
    return tuple(_changes(before, after, cached))


def _changes(before: Word, after: Word, cached: bool) -> Iterator[FieldChange]:
    layout = type(before) if PageEntry.V.of(before) else type(after)
    for field in layout.fields():
        old, new = field.of(before), field.of(after)
        if old != new:
            yield FieldChange(field.name, old, new, field.width, *_need(field.name, new, cached))
    left = (before ^ after) & layout.reserved_mask()
    if left:
        yield FieldChange("reserved", before & left, after & left, layout.width, *_need("reserved", left, cached))


def _need(name: str, new: int, cached: bool) -> tuple[Need, str]:
    if name in ("RSW", "SOFTWARE"):
        return OWN
    if not cached:
        return Need.NOTHING, "no TLB holds it"
    if name in ("A", "D") and new:
        return Need.INVALIDATION, FLAG_SET
    return Need.INVALIDATION, _FIELDS.get(name, _PERMISSION if name in ("R", "W", "X", "U") else _OTHERS)
