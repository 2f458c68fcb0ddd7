"""From a base permission to what is left of it: overlays (POR_ELx), and write-xor-execute.

Source: DDI 0487, "Stage 1 Overlay Permissions", SCTLR_ELx.WXN, rules R_QXXPC and R_NPBXC, and the pseudocode
AArch64.S1OverlayPermissions.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.model import Rights

# R_WDCGP: what each encoding leaves; the others leave nothing.
OVERLAY = {
    0b0001: Rights(True, False, False),
    0b0010: Rights(False, False, True),
    0b0011: Rights(True, False, True),
    0b0100: Rights(False, True, False),
    0b0101: Rights(True, True, False),
    0b0110: Rights(False, True, True),
    0b0111: Rights(True, True, True),
}
NOTHING = Rights(False, False, False)


@dataclass(frozen=True, slots=True)
class Base:
    """One level's base permission, whether an overlay counts for it, and what makes it writable or executable alone.

    `exclusive` is SCTLR_ELx.WXN, or the encoding 0b0110 of a PIR_ELx; None without it.
    """

    grant: Grant
    overlay_counts: bool
    exclusive: Limit | None


def overlaid(base: Base, overlay: Limit | None) -> Grant:
    """Apply an overlay, given as the field of POR_ELx for the leaf's index, to one level's base permission.

    Without one, what is writable is not executable; an overlay that leaves execution takes the right to write.
    """
    grant = base.grant
    both = base.exclusive is not None and grant.write is None and grant.execute is None
    if overlay is None or not base.overlay_counts:  # R_QXXPC, R_NPBXC without an overlay: execution goes
        return Grant(grant.read, None, base.exclusive, grant.shadow_stack) if both else grant
    allowed = OVERLAY.get(overlay.value, NOTHING)
    # The overlay is looked at first: where both refuse, ESR_ELx.Overlay is set (R_RPXZR).
    write = grant.write if allowed.write else overlay
    if both and allowed.write and allowed.execute:  # the same rules with one: the right to write goes
        write = base.exclusive
    read = grant.read if allowed.read else overlay
    execute = grant.execute if allowed.execute else overlay
    return Grant(read, write, execute, grant.shadow_stack)
