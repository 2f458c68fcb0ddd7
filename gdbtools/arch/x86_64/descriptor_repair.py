"""What of an entry may be changed from outside, and what that needs: A and D, which hardware sets, and P.

Source: Intel SDM volume 3, "Accessed and Dirty Flags".
"""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.capabilities import DescriptorRepair, DirtyConvention
from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.model import EntryNeed, ReadRegister
from gdbtools.arch.x86_64.tables import live_change
from gdbtools.arch.x86_64.tables.descriptors import MappingEntry, PresentEntry
from gdbtools.bits import FieldValue, Word
from gdbtools.errors import Refused


class PageRepair(DescriptorRepair):
    """What of an entry may be changed."""

    flag_control = "as on every x86-64"
    flag_need = Need.NOTHING
    flag_need_why = "a walk that meets it clear sets it"
    flags_never_fault = "x86-64's hardware sets A and D"

    def set_access_flag(self, leaf: Word, written: bool, convention: DirtyConvention) -> Word:  # noqa: ARG002
        if not isinstance(leaf, MappingEntry):
            raise Refused("only a page's entry has flags to set; `mmu fault` shows the walk")
        return leaf.with_(A=1, D=1) if written else leaf.with_(A=1)

    def set_dirty_state(self, leaf: Word, convention: DirtyConvention) -> Word | None:
        if not isinstance(leaf, MappingEntry) or not leaf.RW or leaf.D:
            return None
        return self.set_access_flag(leaf, True, convention)

    def clear_access_flag(self, leaf: Word) -> Word:
        if not isinstance(leaf, MappingEntry):
            raise Refused("only a page's entry has an accessed flag to clear; `mmu walk` shows the walk")
        return leaf.with_(A=0)

    def broken(self, descriptor: Word) -> Word:
        return type(descriptor)(PresentEntry.P.into(descriptor, 0))

    def changes(self, before: Word, after: Word, cached: bool, register: ReadRegister) -> Sequence[FieldChange]:
        return live_change.changes(before, after, cached, register)

    def access_flag_controls(self, register: ReadRegister, regime: str | None) -> Sequence[tuple[str, FieldValue]]:  # noqa: ARG002
        """Nothing decides: hardware always does."""
        return ()

    def entry_needs(self, register: ReadRegister) -> Sequence[EntryNeed]:  # noqa: ARG002
        """Nothing that an exception needs can fault for a flag."""
        return ()
