"""What a path of long descriptors grants to Hyp mode, which alone goes by it: AP[2], XN, and what tables limit.

Source: DDI 0487, "AP[2:1] access permissions control", "Execute-never restrictions on instruction fetching", for the
Non-secure PL2 stage 1, and the pseudocode AArch32.S1HasPermissionsFault.
"""

from __future__ import annotations

from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.permissions.long import NO_WRITE_BELOW, by_table
from gdbtools.arch.aarch32.registers.hypervisor import HSCTLR
from gdbtools.arch.aarch32.tables.long_descriptors import LongLeaf, LongTable
from gdbtools.arch.aarch32.tables.short_descriptors import AP_READ_ONLY
from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.model import Step


def hyp_granted(steps: tuple[Step, ...], hsctlr: HSCTLR) -> Grant:
    """Return what a path that ends in a leaf grants; it may always be read."""
    leaf = steps[-1]
    word = leaf.entry.word
    assert isinstance(word, LongLeaf), "it ends in a leaf"
    read_only = by_table(steps, LongTable.APTable, NO_WRITE_BELOW, VMSA32Cause.READ_ONLY)
    if read_only is None and word.AP & AP_READ_ONLY:
        read_only = Limit(VMSA32Cause.READ_ONLY, LongLeaf.AP, word.AP, leaf)
    never = by_table(steps, LongTable.XNTable, 1, VMSA32Cause.EXECUTE_NEVER)
    if never is None and word.XN:
        never = Limit(VMSA32Cause.EXECUTE_NEVER, LongLeaf.XN, 1, leaf)
    if never is None and read_only is None and hsctlr.WXN:
        never = Limit(VMSA32Cause.WRITE_IMPLIES_EXECUTE_NEVER, HSCTLR.WXN, 1, register="HSCTLR")
    return Grant(None, read_only, never)
