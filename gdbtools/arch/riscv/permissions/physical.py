"""Physical memory protection: which entry matches an access, and whether it grants it.

Source: The RISC-V Privileged Architecture, "Physical Memory Protection" ("Address Matching", "Locking and Privilege
Mode", "Priority and Matching Logic", "Physical Memory Protection and Paging"), and the truth table of Smepmp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from gdbtools.arch.model import AccessKind, Decider, Fault, FaultKind, ReadRegister, Refusal, optional
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.registers.configuration import MSECCFG
from gdbtools.arch.riscv.registers.protection import (
    ENTRIES,
    NA4,
    NAPOT,
    OFF,
    TOR,
    PmpConfiguration,
    configuration_field,
    holder,
)

# Smepmp, while MML is set: what L, R, W, X grant to M-mode and to the others.
LOCKDOWN: Final[Mapping[tuple[int, int, int, int], tuple[str, str]]] = {
    (0, 0, 0, 0): ("", ""),
    (0, 0, 0, 1): ("", "x"),
    (0, 0, 1, 0): ("rw", "r"),
    (0, 0, 1, 1): ("rw", "rw"),
    (0, 1, 0, 0): ("", "r"),
    (0, 1, 0, 1): ("", "rx"),
    (0, 1, 1, 0): ("", "rw"),
    (0, 1, 1, 1): ("", "rwx"),
    (1, 0, 0, 0): ("", ""),
    (1, 0, 0, 1): ("x", ""),
    (1, 0, 1, 0): ("x", "x"),
    (1, 0, 1, 1): ("rx", "x"),
    (1, 1, 0, 0): ("r", ""),
    (1, 1, 0, 1): ("rx", ""),
    (1, 1, 1, 0): ("rw", ""),
    (1, 1, 1, 1): ("r", "r"),
}
NOWHERE: Final = (0, -1)
"""The first and the last byte of no range."""
_NEEDS: Final = {AccessKind.WRITE: "w", AccessKind.EXECUTE: "x", AccessKind.READ_EXECUTABLE: "rx"}


@dataclass(frozen=True)
class ProtectedRange:
    """An entry that is on: it matches first..last, which is empty where last is before first."""

    number: int
    configuration: PmpConfiguration
    first: int
    last: int


@dataclass(frozen=True)
class Protection:
    """The entries that are on, in their order of priority; `bits` is MXLEN.

    `last` is named where none matches: the last that is on, or the first of all where none is.
    """

    ranges: tuple[ProtectedRange, ...]
    last: ProtectedRange
    bits: int
    lockdown: bool
    """mseccfg.MML."""
    denies_machine: bool
    """mseccfg.MMWP."""

    def refuse(
        self, pa: int, size_bytes: int, kind: AccessKind, machine: bool, stage: int, level: int | None = None
    ) -> Refusal | None:
        """Return what refuses to access some bytes of physical memory, as an access fault."""
        last = pa + size_bytes - 1
        matching = next((each for each in self.ranges if max(each.first, pa) <= min(each.last, last)), None)
        if matching is None:
            return self._unmatched(kind, machine, stage, level)
        if not matching.first <= pa <= last <= matching.last:
            return self._refusal(PagedCause.PARTLY_PROTECTED, matching, stage, level)
        granted = _granted(matching.configuration, machine, self.lockdown)
        if all(letter in granted for letter in _NEEDS.get(kind, "r")):
            return None
        return self._refusal(PagedCause.PROTECTED, matching, stage, level)

    def _unmatched(self, kind: AccessKind, machine: bool, stage: int, level: int | None) -> Refusal | None:
        if not machine:
            return self._refusal(PagedCause.UNPROTECTED, self.last, stage, level)
        if self.denies_machine or (self.lockdown and kind is AccessKind.EXECUTE):
            field = MSECCFG.MMWP if self.denies_machine else MSECCFG.MML
            decider = Decider(PagedCause.UNPROTECTED_MACHINE, "mseccfg", field, 1)
            return Refusal(Fault(FaultKind.ACCESS, stage, level), decider)
        return None

    def _refusal(self, cause: PagedCause, entry: ProtectedRange, stage: int, level: int | None) -> Refusal:
        name, field = holder(entry.number, self.bits)[0], configuration_field(entry.number, self.bits)
        return Refusal(Fault(FaultKind.ACCESS, stage, level), Decider(cause, name, field, int(entry.configuration)))


@cache
def _granted(word: PmpConfiguration, machine: bool, lockdown: bool) -> str:
    """Return what an entry grants: some of `rwx`."""
    if lockdown:
        return LOCKDOWN[word.L, word.R, word.W, word.X][0 if machine else 1]
    if machine and not word.L:
        return "rwx"
    return "r" * word.R + "w" * word.W + "x" * word.X


def protection(register: ReadRegister, bits: int) -> Protection | None:
    """Return what protects physical memory; None where that is not known, as where an address that counts is missing.

    Registers that are all 0 do not tell whether there are entries that are off, and then nobody but M-mode has access,
    or none at all, as a hart may have.
    """
    configured: dict[int, PmpConfiguration] = {}
    held: dict[str, int | None] = {}
    for entry in range(ENTRIES):
        name = holder(entry, bits)[0]
        if name not in held:
            held[name] = optional(register, name)
        value = held[name]
        if value is None:
            break
        configured[entry] = PmpConfiguration(configuration_field(entry, bits).of(value))

    def address_of(entry: int) -> int | None:
        return optional(register, f"pmpaddr{entry}")

    if not any(configured.values()) and not any(address_of(entry) for entry in configured):
        return None
    on = []
    for entry, word in configured.items():
        if word.A == OFF:
            continue
        # An entry's range may begin where the one before it ends; the first one's begins at 0.
        address, before = address_of(entry), address_of(entry - 1) if entry and word.A == TOR else 0
        if address is None or before is None:
            return None
        on.append(ProtectedRange(entry, word, *_range(word.A, address, before)))
    security = MSECCFG(optional(register, "mseccfg") or 0)
    last = on[-1] if on else ProtectedRange(0, configured[0], *NOWHERE)
    return Protection(tuple(on), last, bits, bool(security.MML), bool(security.MMWP))


def _range(matching: int, address: int, before: int) -> tuple[int, int]:
    """Return what an address register matches, from first to last byte; `before` is the register in front of it."""
    assert matching in (TOR, NA4, NAPOT)
    if matching == TOR:
        return before << 2, (address << 2) - 1
    if matching == NA4:
        return address << 2, (address << 2) + 3
    size = (address ^ address + 1) + 1 << 2
    first = (address << 2) & -size
    return first, first + size - 1
