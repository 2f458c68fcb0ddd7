"""May this access happen: U/S, R/W and NX of the whole path, WP, SMEP, SMAP, protection keys, and shadow stacks.

Source: Intel SDM volume 3, "Determination of Access Rights" and "Protection Keys".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.model import AccessKind, Decider, Fault, FaultKind, Refusal, Rights, Step
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.registers.control import CR4
from gdbtools.arch.x86_64.registers.protection_keys import no_access, no_write
from gdbtools.arch.x86_64.tables.descriptors import Entry64, PointerEntry, PresentEntry
from gdbtools.arch.x86_64.tables.entries import refusal
from gdbtools.bits import Field

NOTHING = Rights(False, False, False)


@dataclass(frozen=True)
class AccessControls:
    """What registers make of an entry's rights; `user_keys` and `supervisor_keys` are None where they are off."""

    write_protect: bool
    smep: bool
    smap: bool
    nx: bool
    shadow_stacks: bool
    user_keys: int | None
    supervisor_keys: int | None


def restricting(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps whose entries have rights: those of PAE's first level have none."""
    return tuple(step for step in steps if not isinstance(step.entry.word, PointerEntry))


def lacking(steps: Sequence[Step], field: Field, granted: int = 1) -> Step | None:
    """Return the first step whose entry does not have `field` as a right needs it."""
    return next((step for step in restricting(steps) if field.of(step.entry.word) != granted), None)


def is_users(steps: Sequence[Step]) -> bool:
    """Return whether it is a user-mode address: U/S is 1 in every entry that controls it."""
    return lacking(steps, PresentEntry.US) is None


def is_shadow_stack(steps: Sequence[Step]) -> bool:
    """Return whether a path leads to a shadow-stack page: dirty, and read-only by its last entry alone."""
    leaf = steps[-1].entry.word
    return (
        not PresentEntry.RW.of(leaf) and bool(leaf.field("D").of(leaf)) and lacking(steps[:-1], PresentEntry.RW) is None
    )


def rights(steps: Sequence[Step], as_user: bool, controls: AccessControls) -> Rights:
    """Return what a path that ends in a page grants, before SMAP and protection keys have a say."""
    users = is_users(steps)
    if as_user and not users:
        return NOTHING
    writable = lacking(steps, PresentEntry.RW) is None
    # Where there is no NX its bit is reserved, and the path ends in no page.
    executable = lacking(steps, Entry64.NX, 0) is None
    return Rights(
        read=True,
        write=writable or not (as_user or controls.write_protect),
        execute=executable and not (users and not as_user and controls.smep),
        shadow_stack=controls.shadow_stacks and is_shadow_stack(steps),
    )


def refuse(
    steps: Sequence[Step], kind: AccessKind, as_user: bool, controls: AccessControls, suspended: bool
) -> Refusal | None:
    """Return what refuses an access to a page; `suspended` is eflags.AC, with which SMAP does not count."""
    users = is_users(steps)
    if as_user and not users:
        return _by(lacking(steps, PresentEntry.US), PagingCause.SUPERVISOR_ONLY, PresentEntry.US)
    level = steps[-1].level.number
    if kind.is_shadow_stack and users and not as_user:
        decider = Decider(PagingCause.USER_SHADOW_STACK, "descriptor", PresentEntry.US, 1, steps[-1].pa, level)
        return Refusal(Fault(FaultKind.PERMISSION, 1, level), decider)
    if kind.is_data:
        # A key counts first: the error code says so whatever else refuses.
        denied = _denied(steps, kind, as_user, users, controls)
        if denied is not None:
            return denied
        if kind.is_shadow_stack:
            return _no_shadow_stack(steps)
        if users and not as_user and controls.smap and not suspended:
            return Refusal(Fault(FaultKind.PERMISSION, 1, level), Decider(PagingCause.SMAP, "cr4", CR4.SMAP, 1))
        if kind is AccessKind.READ or not (as_user or controls.write_protect):
            return None
        return _by(lacking(steps, PresentEntry.RW), PagingCause.READ_ONLY, PresentEntry.RW)
    if users and not as_user and controls.smep:
        return Refusal(Fault(FaultKind.PERMISSION, 1, level), Decider(PagingCause.SMEP, "cr4", CR4.SMEP, 1))
    return _by(lacking(steps, Entry64.NX, 0), PagingCause.NO_EXECUTE, Entry64.NX)


def _no_shadow_stack(steps: Sequence[Step]) -> Refusal | None:
    """Return what makes a page no shadow stack: its last entry writable or clean, or another that is read-only."""
    *upper, leaf = steps
    cause, word = PagingCause.NOT_SHADOW_STACK, leaf.entry.word
    if PresentEntry.RW.of(word):
        return _by(leaf, cause, PresentEntry.RW)
    return _by(lacking(upper, PresentEntry.RW), cause, PresentEntry.RW) or (
        None if word.field("D").of(word) else _by(leaf, cause, word.field("D"))
    )


def _by(step: Step | None, cause: PagingCause, field: Field) -> Refusal | None:
    return None if step is None else refusal(step, FaultKind.PERMISSION, cause, field)


def _denied(
    steps: Sequence[Step], kind: AccessKind, as_user: bool, users: bool, controls: AccessControls
) -> Refusal | None:
    """Return what the protection key of a page denies: a user-mode address has pkru's, every other pkrs's."""
    denials = controls.user_keys if users else controls.supervisor_keys
    if denials is None:
        return None
    leaf, holder = steps[-1].entry.word, "pkru" if users else "pkrs"
    key, fault = leaf.field("KEY").of(leaf), Fault(FaultKind.PROTECTION_KEY, 1, steps[-1].level.number)
    if no_access(key).of(denials):
        return Refusal(fault, Decider(PagingCause.KEY_NO_ACCESS, holder, no_access(key), 1))
    heeds = as_user or controls.write_protect
    if kind.is_write and heeds and no_write(key).of(denials):
        return Refusal(fault, Decider(PagingCause.KEY_NO_WRITE, holder, no_write(key), 1))
    return None
