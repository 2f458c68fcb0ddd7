"""What a path of short descriptors grants: AP, XN and PXN, and what its domain makes of them.

Source: DDI 0487, "Access permissions", "AP[2:0] access permissions control, Short-descriptor format only", "Domains,
Short-descriptor format only", and the pseudocode AArch32.S1HasPermissionsFault, AArch32.CheckDomain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.permissions.controls import UNCHECKED, Granted, granted
from gdbtools.arch.aarch32.registers.translation import (
    CLIENT,
    DACR,
    MANAGER,
    NO_ACCESS,
    RESERVED_ACCESS,
    SCTLR32,
    domain_field,
)
from gdbtools.arch.aarch32.tables.short_descriptors import AP_READ_ONLY, AP_USER, ShortLeaf
from gdbtools.arch.arm.grants import Limit
from gdbtools.arch.model import Decider, Fault, FaultKind, Refusal, Step

_RESERVED: Final = 0b100
_CAUSES: Final = {
    NO_ACCESS: VMSA32Cause.DOMAIN_NO_ACCESS,
    RESERVED_ACCESS: VMSA32Cause.DOMAIN_RESERVED,
}
# AP[2:0]: who may read and write, PL1 and then PL0.
_FULL: Final = {
    0b000: ("", ""),
    0b001: ("rw", ""),
    0b010: ("rw", "r"),
    0b011: ("rw", "rw"),
    _RESERVED: ("", ""),
    0b101: ("r", ""),
    0b110: ("r", "r"),
    0b111: ("r", "r"),
}


@dataclass(frozen=True)
class ShortPath:
    """What counts of a path that ends in a leaf, whichever of its two entries has it."""

    leaf: Step
    word: ShortLeaf
    table: Step | None

    @classmethod
    def of(cls, steps: tuple[Step, ...]) -> ShortPath:
        """Return the path of these steps."""
        word = steps[-1].entry.word
        assert isinstance(word, ShortLeaf), "it ends in a leaf"
        return cls(steps[-1], word, steps[0] if len(steps) > 1 else None)

    @property
    def domain(self) -> int:
        """The domain; a supersection is of domain 0."""
        return self._held("Domain")

    @property
    def non_secure(self) -> bool:
        return bool(self._held("NS"))

    @property
    def privileged_never(self) -> Limit | None:
        """PXN where it is set, with the entry that has it."""
        if not self._held("PXN"):
            return None
        return Limit(VMSA32Cause.PRIVILEGED_EXECUTE_NEVER, self._holder.entry.word.field("PXN"), 1, self._holder)

    @property
    def _holder(self) -> Step:
        """The entry with the domain, NS and PXN: a table has those of its pages, a section its own."""
        return self.leaf if self.table is None else self.table

    def _held(self, name: str) -> int:
        """Return a field of the holder; 0 where it has none, as a page has whose table nobody knows."""
        word = self._holder.entry.word
        return next((field.of(word) for field in type(word).fields() if field.name == name), 0)


def domain_refused(path: ShortPath, dacr: DACR) -> Refusal | None:
    """Return the Domain fault of a path: at the level of its leaf, decided by its domain's field of DACR."""
    access = dacr.domain(path.domain)
    if access in (CLIENT, MANAGER):
        return None
    fault = Fault(FaultKind.DOMAIN, 1, path.leaf.level.number)
    return Refusal(fault, Decider(_CAUSES[access], "DACR", domain_field(path.domain), access))


def short_granted(path: ShortPath, dacr: DACR, sctlr: SCTLR32, never: bool) -> Granted:
    """Return what a path grants within its domain, where that grants anything.

    A manager's accesses are not checked: neither AP nor XN counts.  `never` is whether there is PXN.
    """
    if dacr.domain(path.domain) == MANAGER:
        return UNCHECKED
    word = path.word
    execute_never = word.field("XN")
    xn = Limit(VMSA32Cause.EXECUTE_NEVER, execute_never, 1, path.leaf) if execute_never.of(word) else None
    pxn = path.privileged_never if never else None
    privileged, user = _simplified(path) if sctlr.AFE else _full(path)
    return granted(privileged, user, xn, pxn, sctlr)


_Pair = tuple["Limit | None", "Limit | None"]


def _simplified(path: ShortPath) -> tuple[_Pair, _Pair]:
    return simplified(path.leaf, path.leaf)


def simplified(user_from: Step, read_only_from: Step) -> tuple[_Pair, _Pair]:
    """Return what withholds reads and writes from PL1 and from PL0 by AP[2:1] of a leaf; None where nothing does."""
    field = user_from.entry.word.field("AP")
    value = field.of(user_from.entry.word)
    read_only = Limit(VMSA32Cause.READ_ONLY, field, value, read_only_from) if value & AP_READ_ONLY else None
    private = None if value & AP_USER else Limit(VMSA32Cause.PRIVILEGED_ONLY, field, value, user_from)
    return (None, read_only), (private, private or read_only)


def _full(path: ShortPath) -> tuple[_Pair, _Pair]:
    field = path.word.field("AP")
    value = field.of(path.word)
    upper, lower = _FULL[value]

    def limit(cause: VMSA32Cause) -> Limit:
        return Limit(cause, field, value, path.leaf)

    if not upper:
        nobody = limit(VMSA32Cause.PERMISSION_RESERVED if value == _RESERVED else VMSA32Cause.NO_ACCESS)
        return (nobody, nobody), (nobody, nobody)
    read_only = None if "w" in upper else limit(VMSA32Cause.READ_ONLY)
    if not lower:
        private = limit(VMSA32Cause.PRIVILEGED_ONLY)
        return (None, read_only), (private, private)
    if "w" in lower:
        return (None, None), (None, None)
    return (None, read_only), (None, read_only or limit(VMSA32Cause.USER_READ_ONLY))
