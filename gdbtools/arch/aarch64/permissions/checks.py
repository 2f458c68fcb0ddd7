"""May this access happen: rights, what withholds them, and the check.

"Translates" and "may I" are two questions; this one takes a walk, an access and the processor state.  What a path
grants comes from `direct`, `indirect` or `stage2`.  Source: DDI 0487, "Memory access control": "Data accesses",
"Privileged access never", and the pseudocode AArch64.S1CheckPermissions and AArch64.S2CheckPermissions.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.translation import SCTLR
from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.model import Access, AccessKind, Rights

ALL = Rights(True, True, True)


@dataclass(frozen=True, slots=True)
class Effective:
    """What a stage 1 path grants; `user` is None where EL0 does not run in the regime.

    `user_base` is what EL0 has before its overlay, by which Privileged Access Never goes; `execution_counts` is what
    has it cover also what EL0 may only execute, `maintenance_writes` that EL0 needs the right to write for cache
    maintenance that invalidates, and `sctlr` names the register that says so.
    """

    privileged: Grant
    user: Grant | None
    user_base: Grant | None
    execution_counts: Limit | None
    maintenance_writes: bool
    sctlr: str

    def check(self, kind: AccessKind, as_user: bool, pstate: SPSR) -> Limit | None:
        """Return what withholds an access.

        Cache maintenance by VA needs to read at EL0, and above it nothing, but DC IVAC to write; DC CIVAC, its kin and
        IC IVAU need to write at EL0 where SCTLR_ELx.CMOW says so.
        """
        granted = self.user if as_user else self.privileged
        assert granted is not None, "the regime has this level"
        if kind is AccessKind.INVALIDATION:
            return granted.write
        if kind is AccessKind.MAINTENANCE or (kind is AccessKind.CLEAN_INVALIDATION and not as_user):
            return granted.read if as_user else None
        if kind is AccessKind.CLEAN_INVALIDATION:
            denied = granted.write is not None and self.maintenance_writes
            cmow = Limit(VMSACause.MAINTENANCE_WITHOUT_WRITE, SCTLR.CMOW, 1, register=self.sctlr)
            return granted.read or (cmow if denied else None)
        # R_PMTWB: neither fetches nor cache maintenance, which was dealt with above.
        if not as_user and kind is not AccessKind.EXECUTE and (never := self._access_never(pstate)):
            return never
        return granted.of(kind)

    def _access_never(self, pstate: SPSR) -> Limit | None:
        """Apply PSTATE.PAN: a privileged access to what EL0 may access is refused (R_XTSQH; indirect: R_TBKKB)."""
        user = self.user_base
        if not pstate.PAN or user is None:  # R_TBYDZ: one level of privilege has no PAN
            return None
        if user.read is None or user.write is None or user.shadow_stack:
            return Limit(VMSACause.PRIVILEGED_ACCESS_NEVER, SPSR.PAN, 1, register="PSTATE")
        return self.execution_counts if user.execute is None else None  # FEAT_PAN3, "PSTATE.PAN"


def as_user(access: Access, pstate: SPSR, unprivileged_counts: bool) -> bool:
    """Return whether an access is checked as EL0's.

    LDTR, STTR and their like (R_ZVNJS) are where `unprivileged_counts` (AArch64.IsUnprivAccessPriv), unless PSTATE.UAO
    overrides it.
    """
    return access.privilege == LEVELS[0] or (access.unprivileged and unprivileged_counts and not pstate.UAO)
