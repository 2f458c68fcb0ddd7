"""What registers make of the permissions of a mapping: SCTLR.{AFE, WXN, UWXN}, and the domains of DACR.

Source: DDI 0487, "Memory access control" of chapter G5: "Access permissions", "Execute-never restrictions on
instruction fetching", "Domains, Short-descriptor format only", "Preventing execution from writable locations".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.registers.processor_state import CPSR
from gdbtools.arch.aarch32.registers.translation import SCTLR32
from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.model import AccessKind, Rights

ALL: Final = Rights(True, True, True)
_ALL: Final = Grant(None, None, None)


@dataclass(frozen=True, slots=True)
class Granted:
    """What a path grants to PL1 and PL0, as the tables and SCTLR have it; nothing is checked of a domain's manager."""

    privileged: Grant
    user: Grant
    is_checked: bool = True

    def check(self, kind: AccessKind, as_user: bool, state: CPSR) -> Limit | None:
        """Return what withholds an access.  Cache maintenance by address needs no right, but one that invalidates."""
        granted = self.user if as_user else self.privileged
        if not self.is_checked:
            return None
        if kind is AccessKind.INVALIDATION:
            return granted.write
        if kind in (AccessKind.MAINTENANCE, AccessKind.CLEAN_INVALIDATION):
            return granted.read if as_user else None
        # What may be written may be read.
        if kind is not AccessKind.EXECUTE and not as_user and state.PAN and self.user.read is None:
            return Limit(VMSA32Cause.PRIVILEGED_ACCESS_NEVER, CPSR.PAN, 1, register="CPSR")
        return granted.of(kind)


UNCHECKED: Final = Granted(_ALL, _ALL, is_checked=False)


def granted(
    privileged: tuple[Limit | None, Limit | None],
    user: tuple[Limit | None, Limit | None],
    never: Limit | None,
    privileged_never: Limit | None,
    sctlr: SCTLR32,
) -> Granted:
    """Return what is granted: reads and writes as given, execution of what may be read and nothing keeps from it.

    `never` and `privileged_never` are XN and PXN where they are set.
    """
    exclusive = Limit(VMSA32Cause.WRITE_IMPLIES_EXECUTE_NEVER, SCTLR32.WXN, 1, register="SCTLR") if sctlr.WXN else None
    writable_by_user = Limit(VMSA32Cause.WRITABLE_BY_USER, SCTLR32.UWXN, 1, register="SCTLR") if sctlr.UWXN else None
    of_user = never or user[0] or (None if user[1] else exclusive)
    of_privileged = (
        never
        or privileged_never
        or privileged[0]
        or (None if privileged[1] else exclusive)
        or (None if user[1] else writable_by_user)
    )
    return Granted(Grant(*privileged, of_privileged), Grant(*user, of_user))
