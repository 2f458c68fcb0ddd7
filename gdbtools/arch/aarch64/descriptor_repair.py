"""What of a VMSAv8-64 descriptor may be changed from outside, and what that needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.arch.aarch64.exceptions.entry_needs import entry_needs
from gdbtools.arch.aarch64.registers import (
    hypervisor,
    identification,
)
from gdbtools.arch.aarch64.tables import live_change
from gdbtools.arch.aarch64.tables.descriptors import (
    AP_READ_ONLY,
    VALID,
    IndirectLeaf,
    InvalidDescriptor,
    LeafDescriptor,
    NestedLeaf,
    OneLevelLeaf,
    TableDescriptor,
    TwoLevelLeaf,
    software_bit,
)
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.aarch64.translation.controls import of_regime
from gdbtools.arch.capabilities import DescriptorRepair, DirtyConvention
from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.model import (
    EntryNeed,
    ReadRegister,
    optional,
)
from gdbtools.bits import FieldValue, Word
from gdbtools.errors import Refused

_STAGE2: Final = ("stage2", "secure-stage2")


class A64Repair(DescriptorRepair):
    """What of a VMSAv8-64 descriptor may be changed, and how.

    No TLB maintenance belongs to setting the access flag.  Only an entry that causes no Access flag fault may be held
    in a TLB (DDI 0487, rule R_SQBCS in "Translation Lookaside Buffers"), so no TLB can keep the old one.
    """

    flag_control = "TCR_ELx.HA"
    flag_need = Need.NOTHING
    flag_need_why = "an entry whose access flag is clear is never cached"

    def set_access_flag(self, leaf: Word, written: bool, convention: DirtyConvention) -> Word:
        """Set AF and, if the access was a write, record it by the guest's convention.

        The DBM rule is the hardware's own under TCR_EL1.HD: a write to a leaf with DBM=1 clears AP[2] (section
        "Hardware management of the dirty state").
        """
        if not isinstance(leaf, LeafDescriptor):
            raise Refused("only a block or a page descriptor has an access flag to set; `mmu fault` shows the walk")
        accessed = leaf.with_(AF=1)
        if not written or convention is DirtyConvention.NONE:
            return accessed
        if convention.bit is not None:
            return type(leaf)(software_bit(convention.bit).into(accessed, 1))
        if isinstance(accessed, IndirectLeaf):
            return accessed.with_(nDirty=0)
        if isinstance(accessed, TwoLevelLeaf | OneLevelLeaf | NestedLeaf) and accessed.DBM:
            return accessed.with_(AP=accessed.AP & ~AP_READ_ONLY)
        return accessed

    def set_dirty_state(self, leaf: Word, convention: DirtyConvention) -> Word | None:
        """Clear AP[2] of a leaf with DBM=1, and record the write in the guest's software bit if it has one."""
        if not isinstance(leaf, TwoLevelLeaf | OneLevelLeaf | NestedLeaf) or not (leaf.DBM and leaf.AP & AP_READ_ONLY):
            return None
        written = self.set_access_flag(leaf, True, DirtyConvention.DBM)
        return self.set_access_flag(written, True, convention)

    def clear_access_flag(self, leaf: Word) -> Word:
        if not isinstance(leaf, LeafDescriptor):
            raise Refused("only a block or a page descriptor has an access flag to clear; `mmu walk` shows the walk")
        return leaf.with_(AF=0)

    def broken(self, descriptor: Word) -> Word:
        return type(descriptor)(VALID.into(descriptor, 0))

    def changes(self, before: Word, after: Word, cached: bool, register: ReadRegister) -> Sequence[FieldChange]:
        if not isinstance(before, LeafDescriptor | TableDescriptor | InvalidDescriptor):
            raise Refused("this is a table of an EL1 in AArch32 state: what its entries need when changed is not known")
        return live_change.changes(before, after, cached, register)

    def access_flag_controls(self, register: ReadRegister, regime: str | None) -> Sequence[tuple[str, FieldValue]]:
        used = regime or regimes.current(register)
        controls = of_regime(used)
        name, flag = controls.register("TCR"), controls.HA
        if used in _STAGE2:
            name, flag = "VTCR_EL2", hypervisor.VTCR_EL2.HA
        given = [(name, FieldValue(flag, flag.of(register(name))))]
        if (mmfr1 := optional(register, "ID_AA64MMFR1_EL1")) is not None:
            hafdbs = identification.ID_AA64MMFR1_EL1.HAFDBS
            given.append(("ID_AA64MMFR1_EL1", FieldValue(hafdbs, hafdbs.of(mmfr1))))
        return given

    def entry_needs(self, register: ReadRegister) -> Sequence[EntryNeed]:
        return entry_needs(register)
