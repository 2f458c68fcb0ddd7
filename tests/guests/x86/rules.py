"""The manual's rules of paging on x86-64, written apart from the project's code: bits are numbers here.

Source: Intel SDM volume 3, "4-Level Paging and 5-Level Paging", "Access Rights", "Protection Keys", "Page-Fault
Exceptions"; volume 1, "Canonical Addressing".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

PF, GP = 14, 13


@dataclass(frozen=True)
class Raised(Exception):
    """An exception instead of an access: #PF with its error code, or #GP."""

    vector: int
    error: int


@dataclass(frozen=True)
class Touch:
    """An access: whose, of which kind, and with EFLAGS.AC or without."""

    va: int
    write: bool
    fetch: bool
    user: bool
    ac: bool


class Rules:
    """What the manual makes of an access in a state: registers, memory, and MAXPHYADDR."""

    def __init__(self, registers: Mapping[str, int], read: Callable[[int], int], physical_bits: int) -> None:
        self.cr0, self.cr3, self.cr4, self.efer, self.pkru, self.pkrs = (
            registers.get(name, 0) for name in ("cr0", "cr3", "cr4", "efer", "pkru", "pkrs")
        )
        self.read = read
        self.physical_bits = physical_bits
        self.levels = 5 if self.cr4 >> 12 & 1 else 4

    def access(self, touch: Touch) -> int:
        """Return where an access goes, or raise what it raises."""
        self._canonical(touch)
        path, page_bits = self._walk(touch)
        self._keys(touch, path)
        self._rights(touch, path)
        leaf = path[-1] & (1 << 52) - 1
        return leaf >> page_bits << page_bits | touch.va & (1 << page_bits) - 1

    def _canonical(self, touch: Touch) -> None:
        top = touch.va >> 9 * self.levels + 11
        if top not in (0, (1 << 64 - (9 * self.levels + 11)) - 1):
            raise Raised(GP, 0)

    def _walk(self, touch: Touch) -> tuple[list[int], int]:
        table, path = self.cr3 >> 12 << 12 & (1 << 52) - 1, []
        for level in range(self.levels, 0, -1):
            entry = self.read(table + 8 * (touch.va >> 9 * level + 3 & 511))
            if entry & 1 == 0:
                raise self._fault(touch, 0)
            path.append(entry)
            is_page = level == 1 or (level < 4 and entry >> 7 & 1 == 1)
            if self._is_reserved(entry, level, is_page):
                raise self._fault(touch, 0b1001)
            if is_page:
                return path, 9 * level + 3
            table = entry >> 12 << 12 & (1 << 52) - 1
        raise AssertionError("the last level has pages only")

    def _is_reserved(self, entry: int, level: int, is_page: bool) -> bool:
        wrong = (1 << 52) - (1 << self.physical_bits)
        if not self.efer >> 11 & 1:
            wrong |= 1 << 63
        if level > 3:
            wrong |= 1 << 7
        if is_page and level > 1:
            wrong |= (1 << 9 * level + 3) - (1 << 13)
        return entry & wrong != 0

    def _keys(self, touch: Touch, path: list[int]) -> None:
        users = all(entry >> 2 & 1 for entry in path)
        enabled, denied = (self.cr4 >> 22 & 1, self.pkru) if users else (self.cr4 >> 24 & 1, self.pkrs)
        # A user-mode access to a supervisor-mode address is refused by U/S.  Whether its key is told as well, the
        # manual does not say; QEMU does not tell it.
        if not enabled or touch.fetch or (touch.user and not users):
            return
        key = path[-1] >> 59 & 15
        no_access, no_write = denied >> 2 * key & 1, denied >> 2 * key + 1 & 1
        heeds = touch.user or self.cr0 >> 16 & 1
        if no_access or (no_write and touch.write and heeds):
            raise self._fault(touch, 0b100001)

    def _rights(self, touch: Touch, path: list[int]) -> None:
        users = all(entry >> 2 & 1 for entry in path)
        writable = all(entry >> 1 & 1 for entry in path)
        if touch.user and not users:
            raise self._fault(touch, 1)
        if touch.fetch:
            never = any(entry >> 63 for entry in path)
            if never or (users and not touch.user and self.cr4 >> 20 & 1):
                raise self._fault(touch, 1)
            return
        if users and not touch.user and self.cr4 >> 21 & 1 and not touch.ac:
            raise self._fault(touch, 1)
        if touch.write and not writable and (touch.user or self.cr0 >> 16 & 1):
            raise self._fault(touch, 1)

    def _fault(self, touch: Touch, bits: int) -> Raised:
        tells = self.efer >> 11 & 1 or self.cr4 >> 20 & 1
        fetch = 0x10 if touch.fetch and tells else 0
        return Raised(PF, bits | touch.write << 1 | touch.user << 2 | fetch)
