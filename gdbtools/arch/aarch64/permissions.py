"""May this access happen: the EL1&0 stage 1 permission check.

"Translates" and "may I" are two questions; this one takes a walk, an access and the processor state.  Source: DDI 0487,
"Memory access control": "Data accesses", "Instruction execution", "Hierarchical control of data access permissions",
"Privileged access never", and SCTLR_EL1.WXN.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.arch.aarch64.descriptors import AP_EL0, AP_READ_ONLY, LeafDescriptor, TableDescriptor
from gdbtools.arch.aarch64.registers import SCTLR_EL1, SPSR
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Attributes,
    Cause,
    Decider,
    Fault,
    FaultKind,
    Refusal,
    Rights,
    Step,
    Walk,
)
from gdbtools.bits import Field

_ALL = Rights(True, True, True)
UNTRANSLATED = Attributes(
    memory="Device-nGnRnE for data; instruction fetches as SCTLR_EL1.I says",
    shareability="Outer Shareable",
    rights={0: _ALL, 1: _ALL},
    accessed=True,
    dirty=None,
    is_global=True,
    contiguous=False,
)
"""What an MMU that is off gives (DDI 0487, "Behavior when stage 1 address translation is disabled")."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A restriction, and the descriptor or the register that imposes it."""

    cause: Cause
    field: Field
    value: int
    step: Step | None = None
    register: str = ""

    def refuse(self, stage: int, level: int) -> Refusal:
        fault = Fault(FaultKind.PERMISSION, stage, level)
        if self.step is None:
            return Refusal(fault, Decider(self.cause, self.register, self.field, self.value))
        where = self.step.pa, self.step.level.number
        return Refusal(fault, Decider(self.cause, "descriptor", self.field, self.value, *where))


@dataclass(frozen=True, slots=True)
class Effective:
    """What the path grants, each right either granted (None) or withheld by a named limit.

    `pan_covers_execution` says that PAN also protects what EL0 may only execute (SCTLR_EL1.EPAN).
    """

    user_access: Limit | None
    write: Limit | None
    user_execute: Limit | None
    privileged_execute: Limit | None
    pan_covers_execution: bool

    @property
    def user(self) -> Rights:
        return Rights(self.user_access is None, self._user_write, self.user_execute is None)

    @property
    def privileged(self) -> Rights:
        return Rights(True, self.write is None, self.privileged_execute is None)

    @property
    def _user_write(self) -> bool:
        return self.user_access is None and self.write is None


def effective(
    steps: tuple[Step, ...], hierarchical: bool, wxn: bool, hardware_dirty: bool, pan_covers_execution: bool
) -> Effective:
    """Give what a path ending in a leaf grants, its tables' limits included.

    `hardware_dirty` makes a leaf with DBM=1 writable although AP[2] says read-only: the first write clears AP[2].
    """
    step = steps[-1]
    leaf = step.entry.word
    assert isinstance(leaf, LeafDescriptor)
    tables = (
        [(s, s.entry.word) for s in steps[:-1] if isinstance(s.entry.word, TableDescriptor)] if hierarchical else []
    )

    def first(leaf_limit: Limit | None, cause: Cause, field: Field, bit: int) -> Limit | None:
        table_limits = (Limit(cause, field, field.of(w), s) for s, w in tables if field.of(w) & bit)
        return leaf_limit or next(table_limits, None)

    def on_leaf(denied: int | bool, cause: Cause, field: Field) -> Limit | None:
        return Limit(cause, field, field.of(leaf), step) if denied else None

    # APTable[0] forbids EL0 as AP[1]=0 does; APTable[1] forbids writes as AP[2]=1 does.
    user_access = first(
        on_leaf(not leaf.AP & AP_EL0, Cause.PRIVILEGED_ONLY, LeafDescriptor.AP),
        Cause.PRIVILEGED_ONLY,
        TableDescriptor.APTable,
        0b01,
    )
    read_only = leaf.AP & AP_READ_ONLY and not (hardware_dirty and leaf.DBM)
    write = first(
        on_leaf(read_only, Cause.READ_ONLY, LeafDescriptor.AP), Cause.READ_ONLY, TableDescriptor.APTable, 0b10
    )
    user_execute = first(
        on_leaf(leaf.UXN, Cause.EXECUTE_NEVER, LeafDescriptor.UXN),
        Cause.EXECUTE_NEVER,
        TableDescriptor.UXNTable,
        1,
    )
    privileged_execute = first(
        on_leaf(leaf.PXN, Cause.EXECUTE_NEVER, LeafDescriptor.PXN),
        Cause.EXECUTE_NEVER,
        TableDescriptor.PXNTable,
        1,
    )
    user_writes = user_access is None and write is None
    # What EL0 can write EL1 must not execute: "Instruction execution", for regimes with two privilege levels.
    privileged_execute = privileged_execute or on_leaf(user_writes, Cause.WRITABLE_BY_USER, LeafDescriptor.AP)
    if wxn:
        limit = Limit(Cause.WRITE_IMPLIES_EXECUTE_NEVER, SCTLR_EL1.WXN, 1, register="SCTLR_EL1")
        user_execute = user_execute or (limit if user_writes else None)
        privileged_execute = privileged_execute or (limit if write is None else None)
    return Effective(user_access, write, user_execute, privileged_execute, pan_covers_execution)


def check(walk: Walk, access: Access, pstate: int, granted: Effective | None) -> Refusal | None:
    """Say what refuses `access`, None if nothing does: the walk's own refusal comes first, as in the hardware.

    `pstate` is the PSTATE of the access, as SPSR has it; only PAN matters here.  `granted` is None with the MMU off.
    """
    if walk.refusal is not None or granted is None or walk.leaf is None:
        return walk.refusal
    limit = _limit(access, SPSR(pstate), granted)
    return limit.refuse(walk.regime.stage, walk.leaf.level.number) if limit else None


def _limit(access: Access, pstate: SPSR, granted: Effective) -> Limit | None:
    user = access.el == 0
    if access.kind is AccessKind.EXECUTE:
        return granted.user_execute if user else granted.privileged_execute
    if access.kind is AccessKind.MAINTENANCE:
        # "The data cache maintenance instruction (DC)": by VA to PoC or PoU needs read permission at EL0, none at EL1.
        return granted.user_access if user else None
    if user and granted.user_access is not None:
        return granted.user_access
    if not user and pstate.PAN and granted.user_access is None:
        return Limit(Cause.PRIVILEGED_ACCESS_NEVER, SPSR.PAN, 1, register="PSTATE")
    if not user and pstate.PAN and granted.pan_covers_execution and granted.user_execute is None:
        return Limit(Cause.PRIVILEGED_ACCESS_NEVER, SCTLR_EL1.EPAN, 1, register="SCTLR_EL1")
    return granted.write if access.kind is AccessKind.WRITE else None
