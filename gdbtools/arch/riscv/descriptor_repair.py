"""What of an entry may be changed from outside, and what that needs: A and D, and V.

Source: The RISC-V Privileged Architecture, "Virtual Address Translation Process", Svade and Svadu.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.capabilities import DescriptorRepair, DirtyConvention
from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.model import EntryNeed, ReadRegister, optional
from gdbtools.arch.riscv.exceptions.levels import target
from gdbtools.arch.riscv.exceptions.vectors import VECTORS_BYTES, base
from gdbtools.arch.riscv.instructions import SHORTEST_BYTES
from gdbtools.arch.riscv.registers.catalog import whole
from gdbtools.arch.riscv.registers.configuration import HENVCFG, MENVCFG
from gdbtools.arch.riscv.registers.status import PRIV
from gdbtools.arch.riscv.tables import live_change
from gdbtools.arch.riscv.tables.descriptors import PageEntry
from gdbtools.arch.riscv.translation import regimes
from gdbtools.bits import FieldValue, Word
from gdbtools.errors import Refused

FRAME_BYTES: Final = 512
"""How far below its stack pointer a handler saves what it interrupted: all registers are 256 bytes, and more with F."""


class EntryRepair(DescriptorRepair):
    """What of an entry may be changed, where MXLEN is `bits`."""

    flag_control = "menvcfg.ADUE"
    flag_need = Need.INVALIDATION
    flag_need_why = live_change.FLAG_SET

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def set_access_flag(self, leaf: Word, written: bool, convention: DirtyConvention) -> Word:  # noqa: ARG002
        """Set A and, if the access was a store, D: "if the original memory access is a store, also set pte.d to 1"."""
        if not isinstance(leaf, PageEntry) or not _is_leaf(leaf):
            raise Refused("only a leaf has an accessed flag to set; `mmu fault` shows the walk")
        return leaf.with_(A=1, D=1) if written else leaf.with_(A=1)

    def set_dirty_state(self, leaf: Word, convention: DirtyConvention) -> Word | None:
        """Set A and D of a leaf that is writable and clean."""
        if not isinstance(leaf, PageEntry) or not leaf.W or leaf.D:
            return None
        return self.set_access_flag(leaf, True, convention)

    def clear_access_flag(self, leaf: Word) -> Word:
        if not isinstance(leaf, PageEntry) or not _is_leaf(leaf):
            raise Refused("only a leaf has an accessed flag to clear; `mmu walk` shows the walk")
        return leaf.with_(A=0)

    def broken(self, descriptor: Word) -> Word:
        return type(descriptor)(PageEntry.V.into(descriptor, 0))

    def changes(
        self,
        before: Word,
        after: Word,
        cached: bool,
        register: ReadRegister,  # noqa: ARG002
    ) -> Sequence[FieldChange]:
        return live_change.changes(before, after, cached)

    def access_flag_controls(self, register: ReadRegister, regime: str | None) -> Sequence[tuple[str, FieldValue]]:
        """Return ADUE of menvcfg, and for a guest's own tables of henvcfg: none of those that are not known."""
        used = regime or regimes.current(register)
        names = {"henvcfg": HENVCFG.ADUE} if used == regimes.GUEST else {}
        found = []
        for name, field in {**names, "menvcfg": MENVCFG.ADUE}.items():
            value = whole(register, name, self.bits)
            if value is not None:
                found.append((name, FieldValue(field, field.of(value))))
        return found

    def entry_needs(self, register: ReadRegister) -> Sequence[EntryNeed]:
        """Return the vectors and, of a hart that is in its kernel, its code and its stack.

        Where a kernel's stack is while a user runs is in sscratch, or where that leads: that is the kernel's to know.
        """
        level = target(register)
        found = [EntryNeed(base(register, level), VECTORS_BYTES, "the trap vector")]
        mode = optional(register, "priv")
        if mode is not None and PRIV(mode).prv:
            stack = register("sp")
            found.append(EntryNeed(VA(register("pc")), SHORTEST_BYTES, "the code at pc"))
            found.append(EntryNeed(VA(stack - FRAME_BYTES), FRAME_BYTES, "the stack"))
        return found


def _is_leaf(entry: PageEntry) -> bool:
    return bool(entry.R or entry.W or entry.X)
