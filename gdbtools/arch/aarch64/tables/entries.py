"""From a base register to a root, from a raw value to an entry, and what refuses it: the same rules at both stages.

Source: DDI 0487, "VMSAv8-64 translation table format descriptors", "MMU fault types", "MMU fault prioritization".
"""

from __future__ import annotations

from typing import Final, cast

from gdbtools.addresses import PA, Output
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.translation import TableBase
from gdbtools.arch.aarch64.tables.descriptors import (
    KIND,
    TYPE_BLOCK,
    VALID,
    EntryRole,
    InvalidDescriptor,
    Layout,
    LeafDescriptor,
    leaf_descriptor,
    table_descriptor,
)
from gdbtools.arch.aarch64.tables.geometry import LAST_LEVEL, block_levels
from gdbtools.arch.model import Cause, Decider, Entry, EntryKind, Fault, FaultKind, Level, Refusal, Regime, Step
from gdbtools.bits import Field

_NOWHERE: Final = PA(0)


def aligned_root(ttbr: TableBase, wide: bool, levels: tuple[Level, ...]) -> Output:
    """Return where a root table is: what is below its size is ignored.

    R_KBLCR, R_VCLZN for concatenated ones; AArch64.S1TTBaseAddress, AArch64.S2TTBaseAddress.
    """
    root_bytes = levels[0].entries * Regime.entry_bytes if levels else 1
    return cast(Output, ttbr.base(wide) & -max(64 if wide else 1, root_bytes))


def decode(
    value: int, level: Level, granule_bits: int, role: EntryRole, layout: Layout, overlays: bool = False
) -> Entry:
    """Return what a descriptor is at this level; never refuses.  R_KHVQT: bit 0; R_RWMFF: bit 1."""
    if not VALID.of(value):
        return Entry(EntryKind.INVALID, InvalidDescriptor(value), _NOWHERE, VMSACause.INVALID_ENTRY)
    if level.number == LAST_LEVEL:
        if KIND.of(value) == TYPE_BLOCK:
            return Entry(EntryKind.INVALID, InvalidDescriptor(value), _NOWHERE, VMSACause.RESERVED_ENTRY)
        page = leaf_descriptor(level.low, False, role, layout, overlays)(value)
        return Entry(EntryKind.PAGE, page, cast(Output, page.OutputAddress))
    if KIND.of(value) == TYPE_BLOCK:
        block = leaf_descriptor(level.low, True, role, layout, overlays)(value)
        if level.number not in block_levels(granule_bits, layout):  # AArch64.BlockDescSupported
            return Entry(EntryKind.INVALID, block, _NOWHERE, VMSACause.BLOCK_NOT_ALLOWED)
        return Entry(EntryKind.BLOCK, block, cast(Output, block.OutputAddress))
    table = table_descriptor(granule_bits, role, layout)(value)
    return Entry(EntryKind.TABLE, table, cast(Output, table.NextTable))


def soft_invalid(
    value: int, level: Level, granule_bits: int, role: EntryRole, layout: Layout, output_bits: int
) -> Entry:
    """Return an entry whose valid bit is clear as SOFT_INVALID if it is whole apart from that, else as INVALID.

    Whole: with the bit set it would be a table or a leaf of this level, sets no reserved bit, leads to an address that
    there is, and, a leaf, is marked accessed.  Xen leaves entries so to be told of the next access
    (`p2m_invalidate_root` and `p2m_resolve_translation_fault` of its arch/arm/p2m.c).  What KVM keeps in invalid
    ones has neither an address nor a type: an owner in bits [9:2], or the access flag alone for a lock (Linux,
    arch/arm64/kvm/hyp/pgtable.c).
    """
    plain = decode(value, level, granule_bits, role, layout)
    if VALID.of(value) or not value:
        return plain
    whole = decode(VALID.into(value, 1), level, granule_bits, role, layout)
    word = type(whole.word)(value)
    if whole.kind is EntryKind.INVALID or whole.word.reserved or whole.address >> output_bits:
        return plain
    if isinstance(word, LeafDescriptor):
        if not word.AF or not word.with_(AF=0):
            return plain
    elif not whole.address:
        return plain
    kept = Entry(whole.kind, word, whole.address, VMSACause.SOFT_INVALID)
    return Entry(EntryKind.SOFT_INVALID, word, _NOWHERE, VMSACause.SOFT_INVALID, kept)


def refuse_entry(step: Step, stage: int, output_bits: int, hardware_access_flag: bool) -> Refusal | None:
    """Refuse in the manual's order: translation, address size, access flag ("MMU fault prioritization")."""
    entry, word = step.entry, step.entry.word
    if not entry.kind.is_used:
        assert entry.cause is not None
        field = VALID if entry.cause in (VMSACause.INVALID_ENTRY, VMSACause.SOFT_INVALID) else KIND
        return _refuse(step, stage, FaultKind.TRANSLATION, entry.cause, field)
    if entry.address >> output_bits:  # I_HGDWP: at the level that gave the address
        cause = VMSACause.OUTPUT_TOO_LARGE if step.is_leaf else VMSACause.TABLE_TOO_LARGE
        field = type(word).field("OutputAddress" if step.is_leaf else "NextTable")
        return _refuse(step, stage, FaultKind.ADDRESS_SIZE, cause, field)
    # R_SWTYY; R_HDHQG where hardware sets the flag.
    if isinstance(word, LeafDescriptor) and not word.AF and not hardware_access_flag:
        return _refuse(step, stage, FaultKind.ACCESS_FLAG, VMSACause.NOT_ACCESSED, LeafDescriptor.AF)
    return None


def _refuse(step: Step, stage: int, kind: FaultKind, cause: Cause, field: Field) -> Refusal:
    level = step.level.number
    decider = Decider(cause, "descriptor", field, field.of(step.entry.word), step.pa, level)
    return Refusal(Fault(kind, stage, level), decider)
