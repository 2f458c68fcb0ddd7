"""The software dirty state: the first write to a leaf that is writable but clean, as DBM=1 with AP[2]=1 says.

A TLB may hold the read-only entry that the guest's handler would have invalidated; a CPU that uses it faults once more,
and QEMU walks again before it does.
"""

from __future__ import annotations

from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import AccessKind, FaultKind
from gdbtools.errors import Refused
from gdbtools.machine.model import PhysicalMemory
from gdbtools.repair.access_flag import AccessFlagPlan
from gdbtools.repair.change import Change


def plan_dirty_state(
    diagnosis: Diagnosis,
    architecture: Architecture,
    convention: DirtyConvention,
    memory: PhysicalMemory,  # noqa: ARG001
) -> AccessFlagPlan:
    """Plan to make a clean leaf writable after a write to it was refused; anything else raises `Refused`."""
    found, refused, access = diagnosis.walk, diagnosis.predicted, diagnosis.access
    if (
        diagnosis.verdict is not Verdict.TABLES_AGREE
        or refused is None
        or refused.fault.kind is not FaultKind.PERMISSION
        or access is None
        or access.kind is not AccessKind.WRITE
        or found is None
        or found.leaf is None
        or refused.decider.pa != found.leaf.pa
    ):
        raise Refused("nothing to repair: this is not a write that a leaf refuses; `mmu fault` says what it is")
    word = found.leaf.entry.word
    after = architecture.repair.set_dirty_state(word, convention)
    if after is None:
        raise Refused(f"nothing to repair: the leaf at PA {found.leaf.pa:#x} is read-only, not clean")
    change = Change(found.leaf.pa, word, after, found.regime.entry_bytes, found.regime.byte_order)
    return AccessFlagPlan(change, found.leaf.level, access, convention, False)
