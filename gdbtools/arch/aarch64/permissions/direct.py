"""Direct permissions of stage 1: AP, UXN, PXN and XN in the leaf, and the limits of the tables above it.

Source: DDI 0487, "Direct permissions", "Hierarchical permissions", "Instruction execution", SCTLR_ELx.WXN, and the
pseudocode AArch64.S1DirectBasePermissions.
"""

from __future__ import annotations

from collections.abc import Callable

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.tables.descriptors import (
    AP_EL0,
    AP_READ_ONLY,
    NestedLeaf,
    NestedTable,
    OneLevelLeaf,
    OneLevelTable,
    TwoLevelLeaf,
    TwoLevelTable,
)
from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.model import Cause, Step
from gdbtools.bits import Field, Word

WithLimits = TwoLevelTable | OneLevelTable | NestedTable


def direct(steps: tuple[Step, ...], hierarchical: bool, hardware_dirty: bool) -> tuple[Grant, Grant | None]:
    """Return what a path ending in a leaf grants to the privileged level and, if it is in the regime, to EL0.

    `hardware_dirty` makes a leaf with DBM=1 writable although AP[2] says read-only: the first write clears AP[2].
    """
    step = steps[-1]
    leaf = step.entry.word
    assert isinstance(leaf, TwoLevelLeaf | OneLevelLeaf | NestedLeaf)
    above = steps[:-1] if hierarchical else ()
    tables = [(each, each.entry.word) for each in above if isinstance(each.entry.word, WithLimits)]

    def from_tables(cause: Cause, field: Field, bit: int) -> Limit | None:
        return next((Limit(cause, field, field.of(word), each) for each, word in tables if field.of(word) & bit), None)

    def on_leaf(cause: Cause, field: Field) -> Limit:
        return Limit(cause, field, field.of(leaf), step)

    ap_table = tables[0][1].field("APTable") if tables else TwoLevelTable.APTable
    # R_CBNKR for one level, R_RNGJG for two; clean is no reason to refuse while hardware marks it (R_XZFQH, R_TYCNM).
    write: Limit | None = None
    if leaf.AP & AP_READ_ONLY and not (hardware_dirty and leaf.DBM):
        write = on_leaf(VMSACause.READ_ONLY, type(leaf).AP)
    write = write or from_tables(VMSACause.READ_ONLY, ap_table, AP_READ_ONLY)  # R_YTXKB
    if isinstance(leaf, OneLevelLeaf):  # R_TRZVM, R_RLQFP
        never = on_leaf(VMSACause.EXECUTE_NEVER, OneLevelLeaf.XN) if leaf.XN else None
        return Grant(None, write, never or from_tables(VMSACause.EXECUTE_NEVER, OneLevelTable.XNTable, 1)), None
    if isinstance(leaf, NestedLeaf):  # I_ZRMQJ: AP[1] counts as 0
        never = on_leaf(VMSACause.EXECUTE_NEVER, NestedLeaf.PXN) if leaf.PXN else None
        privileged = Grant(None, write, never or from_tables(VMSACause.EXECUTE_NEVER, NestedTable.PXNTable, 1))
        nobody = on_leaf(VMSACause.PRIVILEGED_ONLY, NestedLeaf.AP)
        return privileged, Grant(nobody, nobody, None)
    return _two_levels(leaf, on_leaf, from_tables, write)


def _two_levels(
    leaf: TwoLevelLeaf,
    on_leaf: Callable[[Cause, Field], Limit],
    from_tables: Callable[[Cause, Field, int], Limit | None],
    write: Limit | None,
) -> tuple[Grant, Grant]:
    # R_RNGJG; APTable[0] forbids EL0 as AP[1]=0 does (R_YTXKB).
    no_user = None if leaf.AP & AP_EL0 else on_leaf(VMSACause.PRIVILEGED_ONLY, TwoLevelLeaf.AP)
    no_user = no_user or from_tables(VMSACause.PRIVILEGED_ONLY, TwoLevelTable.APTable, AP_EL0)
    # R_RBDFT, R_LWPVL; "Hierarchical control of instruction execution for Direct permissions".
    user_never = on_leaf(VMSACause.EXECUTE_NEVER, TwoLevelLeaf.UXN) if leaf.UXN else None
    user_never = user_never or from_tables(VMSACause.EXECUTE_NEVER, TwoLevelTable.UXNTable, 1)
    never = on_leaf(VMSACause.EXECUTE_NEVER, TwoLevelLeaf.PXN) if leaf.PXN else None
    never = never or from_tables(VMSACause.EXECUTE_NEVER, TwoLevelTable.PXNTable, 1)
    user = Grant(no_user, no_user or write, user_never)
    if user.write is None:
        # R_VWLLR: what EL0 can write must not be executed above it.
        never = never or on_leaf(VMSACause.WRITABLE_BY_USER, TwoLevelLeaf.AP)
    return Grant(None, write, never), user


def is_read_only(leaf: Word) -> bool:
    """Return whether a leaf's own AP refuses every write."""
    assert isinstance(leaf, TwoLevelLeaf | OneLevelLeaf | NestedLeaf)
    return bool(leaf.AP & AP_READ_ONLY)


def is_dirty(leaf: Word) -> bool | None:
    """Return whether a leaf has been written: DBM with AP[2] clear (R_BRFGY); None where it keeps no dirty state."""
    assert isinstance(leaf, TwoLevelLeaf | OneLevelLeaf | NestedLeaf)
    return not leaf.AP & AP_READ_ONLY if leaf.DBM else None
