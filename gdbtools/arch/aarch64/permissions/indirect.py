"""Permission indirection: the leaf holds an index, PIR_ELx and PIRE0_ELx hold the permissions.

Source: DDI 0487, "Stage 1 Base Permissions" (rules R_LLZDZ, R_HJYGR, R_VFPJF), and the pseudocode
AArch64.S1IndirectBasePermissions.
"""

from __future__ import annotations

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.permissions.overlay import NOTHING, Base
from gdbtools.arch.aarch64.tables.descriptors import IndirectLeaf
from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.model import Rights, Step
from gdbtools.bits import Word

# R_LLZDZ: what each encoding grants; the reserved ones grant nothing.
BASE = {
    0b0001: Rights(True, False, False),
    0b0010: Rights(False, False, True),
    0b0011: Rights(True, False, True),
    0b0101: Rights(True, True, False),
    0b0110: Rights(True, True, True),
    0b0111: Rights(True, True, True),
    0b1000: Rights(True, False, False),
    0b1001: Rights(True, False, False, shadow_stack=True),
    0b1010: Rights(True, False, True),
    0b1100: Rights(True, True, False),
    0b1110: Rights(True, True, True),
}
WRITE_XOR_EXECUTE = 0b0110  # R_HJYGR
WITHOUT_OVERLAY = 0b1000  # R_GDVJK, R_DPZHF


def indirect(
    step: Step, privileged: tuple[str, Word], user: tuple[str, Word] | Limit | None, hardware_dirty: bool
) -> tuple[Base, Base | None]:
    """Return the base permissions of a leaf, from PIR_ELx and, where EL0 is in the regime, PIRE0_ELx: (name, value)
    each.

    In place of PIRE0_ELx may stand what withholds everything from EL0.

    A page that EL0 may write and the privileged level may execute grants nothing to either (R_VFPJF); a Guarded Control
    Stack counts as both.
    """
    above = _encoded(step, privileged)
    if user is None:
        return _base(step, above, hardware_dirty), None
    if isinstance(user, Limit):
        return _base(step, above, hardware_dirty), withheld(user)
    below = _encoded(step, user)
    runs, written = _rights(above), _rights(below)
    if (runs.execute or runs.shadow_stack) and (written.write or written.shadow_stack):
        nothing = withheld(Limit(VMSACause.WRITABLE_BY_USER, below.field, below.value, register=below.register))
        return nothing, nothing
    return _base(step, above, hardware_dirty), _base(step, below, hardware_dirty)


def withheld(limit: Limit) -> Base:
    """Return a base permission that grants nothing, for one reason."""
    return Base(Grant(limit, limit, limit), False, None)


def _encoded(step: Step, register: tuple[str, Word]) -> Limit:
    """Return the field of PIR_ELx that the leaf's index chooses."""
    leaf = step.entry.word
    assert isinstance(leaf, IndirectLeaf)
    name, permissions = register
    field = permissions.field(f"Perm{leaf.PIIndex}")  # R_BCPGD
    return Limit(VMSACause.BASE_PERMISSION, field, field.of(permissions), register=name)


def _rights(encoded: Limit) -> Rights:
    return BASE.get(encoded.value, NOTHING)


def _base(step: Step, encoded: Limit, hardware_dirty: bool) -> Base:
    """Return one level's base permission; a leaf that is not dirty is writable only if hardware records the write."""
    leaf = step.entry.word
    assert isinstance(leaf, IndirectLeaf)
    rights = _rights(encoded)
    write = None if rights.write else encoded
    if leaf.nDirty and not hardware_dirty:  # R_QXCRT, R_PPGMC: clean, and software marks it dirty
        write = write or Limit(VMSACause.NOT_DIRTY, IndirectLeaf.nDirty, 1, step)
    grant = Grant(None if rights.read else encoded, write, None if rights.execute else encoded, rights.shadow_stack)
    exclusive = None
    if encoded.value == WRITE_XOR_EXECUTE:
        exclusive = Limit(
            VMSACause.WRITE_IMPLIES_EXECUTE_NEVER, encoded.field, encoded.value, register=encoded.register
        )
    return Base(grant, not encoded.value & WITHOUT_OVERLAY, exclusive)
