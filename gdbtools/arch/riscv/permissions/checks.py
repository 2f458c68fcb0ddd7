"""What a leaf grants: U, R, W and X, and what SUM and MXR make of them.

Source: The RISC-V Privileged Architecture, "Virtual Address Translation Process", steps 6 to 8, "Memory Privilege in
sstatus Register", "Two-Stage Address Translation" for MXR, "Hypervisor Virtual-Machine Load and Store Instructions" for
HLVX, "Shadow Stack Memory Protection".
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.arch.model import AccessKind, Decider, Fault, FaultKind, Refusal, Rights, Step
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.tables.descriptors import PageEntry
from gdbtools.arch.riscv.tables.entries import is_shadow_stack, refusal
from gdbtools.bits import Field

NOTHING = Rights(False, False, False)


@dataclass(frozen=True)
class SupervisorAccess:
    """SUM and MXR as they count at one stage; `holder` is the register that has SUM."""

    holder: str
    SUM: Field
    may_access_user: bool
    reads_executable: bool


def rights(leaf: PageEntry, as_user: bool) -> Rights:
    """Return what a leaf grants, before SUM and MXR have a say."""
    if as_user and not leaf.U:
        return NOTHING
    if is_shadow_stack(leaf):
        return Rights(True, False, False, shadow_stack=True)
    return Rights(bool(leaf.R), bool(leaf.W), bool(leaf.X) and (as_user or not leaf.U))


def guest_rights(leaf: PageEntry) -> Rights:
    """Return what a leaf of the G-stage grants: every access counts as user mode's."""
    return rights(leaf, True)


def refuse(step: Step, kind: AccessKind, as_user: bool, status: SupervisorAccess) -> Refusal | None:
    """Return what refuses an access to a leaf of a single stage, or of the VS-stage; steps 6 to 8."""
    leaf = step.entry.word
    assert isinstance(leaf, PageEntry)
    if as_user and not leaf.U:
        return refusal(step, 1, FaultKind.PERMISSION, PagedCause.SUPERVISOR_ONLY, PageEntry.U)
    if leaf.U and not as_user:
        if kind is AccessKind.EXECUTE:
            return refusal(step, 1, FaultKind.PERMISSION, PagedCause.USER_CODE, PageEntry.U)
        if not status.may_access_user:
            fault = Fault(FaultKind.PERMISSION, 1, step.level.number)
            return Refusal(fault, Decider(PagedCause.USER_PAGE, status.holder, status.SUM, 0))
    if is_shadow_stack(leaf) and kind in (AccessKind.WRITE, AccessKind.EXECUTE):
        return refusal(step, 1, FaultKind.ACCESS, PagedCause.SHADOW_STACK, PageEntry.R)
    return _refuse_by_kind(step, 1, kind, status.reads_executable)


def refuse_guest(step: Step, kind: AccessKind, reads_executable: bool) -> Refusal | None:
    """Return what refuses an access to a leaf of the G-stage."""
    if not PageEntry.U.of(step.entry.word):
        return refusal(step, 2, FaultKind.PERMISSION, PagedCause.NOT_A_GUESTS, PageEntry.U)
    return _refuse_by_kind(step, 2, kind, reads_executable)


def _refuse_by_kind(step: Step, stage: int, kind: AccessKind, reads_executable: bool) -> Refusal | None:
    leaf = step.entry.word
    assert isinstance(leaf, PageEntry)
    if kind in (AccessKind.EXECUTE, AccessKind.READ_EXECUTABLE):
        cause, field = PagedCause.NOT_EXECUTABLE, PageEntry.X
        granted = leaf.X
    elif kind is AccessKind.WRITE:
        cause, field = PagedCause.NOT_WRITABLE, PageEntry.W
        granted = leaf.W
    else:
        cause, field = PagedCause.NOT_READABLE, PageEntry.R
        granted = leaf.R or is_shadow_stack(leaf) or (reads_executable and leaf.X)
    return None if granted else refusal(step, stage, FaultKind.PERMISSION, cause, field)


def is_update_needed(leaf: PageEntry, kind: AccessKind) -> bool:
    """Return whether an access has to set A, or D for a write, in its leaf."""
    return not leaf.A or (kind is AccessKind.WRITE and not leaf.D)
