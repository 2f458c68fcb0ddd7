"""What a path of long descriptors grants: AP, XN and PXN of the leaf, and what the tables above limit.

Source: DDI 0487, "AP[2:1] access permissions control", "Hierarchical control of access permissions, Long-descriptor
format", "Execute-never restrictions on instruction fetching", and the pseudocode AArch32.S1HasPermissionsFault.
"""

from __future__ import annotations

from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.permissions.controls import Granted, granted
from gdbtools.arch.aarch32.registers.translation import SCTLR32
from gdbtools.arch.aarch32.tables.long_descriptors import LongLeaf, LongTable
from gdbtools.arch.aarch32.tables.short_descriptors import AP_READ_ONLY, AP_USER
from gdbtools.arch.arm.grants import Limit
from gdbtools.arch.model import Step
from gdbtools.bits import Field

NO_USER_BELOW, NO_WRITE_BELOW = 0b01, 0b10
"""APTable[0] and APTable[1]."""


def long_granted(steps: tuple[Step, ...], sctlr: SCTLR32) -> Granted:
    """Return what a path that ends in a leaf grants; where a table limits it, that is what withholds."""
    leaf = steps[-1]
    word = leaf.entry.word
    assert isinstance(word, LongLeaf), "it ends in a leaf"
    read_only = by_table(steps, LongTable.APTable, NO_WRITE_BELOW, VMSA32Cause.READ_ONLY)
    private = by_table(steps, LongTable.APTable, NO_USER_BELOW, VMSA32Cause.PRIVILEGED_ONLY)
    if read_only is None and word.AP & AP_READ_ONLY:
        read_only = Limit(VMSA32Cause.READ_ONLY, LongLeaf.AP, word.AP, leaf)
    if private is None and not word.AP & AP_USER:
        private = Limit(VMSA32Cause.PRIVILEGED_ONLY, LongLeaf.AP, word.AP, leaf)
    never = by_table(steps, LongTable.XNTable, 1, VMSA32Cause.EXECUTE_NEVER)
    if never is None and word.XN:
        never = Limit(VMSA32Cause.EXECUTE_NEVER, LongLeaf.XN, 1, leaf)
    privileged_never = by_table(steps, LongTable.PXNTable, 1, VMSA32Cause.PRIVILEGED_EXECUTE_NEVER)
    if privileged_never is None and word.PXN:
        privileged_never = Limit(VMSA32Cause.PRIVILEGED_EXECUTE_NEVER, LongLeaf.PXN, 1, leaf)
    return granted((None, read_only), (private, private or read_only), never, privileged_never, sctlr)


def is_non_secure(steps: tuple[Step, ...]) -> bool:
    """Return whether a leaf says that it is Non-secure memory, or a table above it says so of everything below."""
    return bool(LongLeaf.NS.of(steps[-1].entry.word)) or any(
        LongTable.NSTable.of(step.entry.word) for step in steps[:-1]
    )


def by_table(steps: tuple[Step, ...], field: Field, bit: int, cause: VMSA32Cause) -> Limit | None:
    """Return the limit that the first table with one of these bits imposes."""
    for step in steps[:-1]:
        value = field.of(step.entry.word)
        if value & bit:
            return Limit(cause, field, value, step)
    return None
