"""The manuals' rules of paging in every mode, through nested tables or not, apart from the project's code.

Source: Intel SDM volume 3, "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging"; AMD64 APM volume 2,
"Nested Paging".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.guests.x86.rules import Raised, Rules, Touch

TABLE, FINAL = 1 << 33, 1 << 32


@dataclass(frozen=True)
class NestedFault(Exception):
    """A nested page fault: EXITINFO1, and the guest physical address, which is EXITINFO2."""

    info: int
    gpa: int


class Nested:
    """What nested tables make of a guest physical address: all accesses are a user's, and those to tables writes."""

    def __init__(self, registers: Mapping[str, int], read: Callable[[int], int], physical_bits: int) -> None:
        self.root, self.nxe = registers["ncr3"], registers["hefer"] >> 11 & 1
        self.levels = 5 if registers["hcr4"] >> 12 & 1 else 4
        self.read, self.physical_bits = read, physical_bits

    def table(self, gpa: int) -> int:
        return self._translate(gpa, Touch(gpa, True, False, True, False), TABLE)

    def final(self, gpa: int, touch: Touch) -> int:
        return self._translate(gpa, touch, FINAL)

    def _translate(self, gpa: int, touch: Touch, which: int) -> int:
        about = which | 4 | touch.write << 1 | (0x10 if touch.fetch and self.nxe else 0)
        table, rights = self.root, 0b110
        for level in range(self.levels, 0, -1):
            entry = self.read(table + 8 * (gpa >> 9 * level + 3 & 511))
            if not entry & 1:
                raise NestedFault(about, gpa)
            is_page = level == 1 or (level < 4 and entry >> 7 & 1)
            wrong = (1 << 52) - (1 << self.physical_bits) | (0 if self.nxe else 1 << 63)
            wrong |= 1 << 7 if level > 3 else 0
            wrong |= (1 << 9 * level + 3) - (1 << 13) if is_page and level > 1 else 0
            if entry & wrong:
                raise NestedFault(about | 0b1001, gpa)
            rights = rights & entry & 0b110 | (rights | entry) & 1 << 63
            if is_page:
                break
            table = entry >> 12 << 12 & (1 << 52) - 1
        if not rights & 4 or (touch.write and not rights & 2) or (touch.fetch and rights >> 63):
            raise NestedFault(about | 1, gpa)
        size = 1 << 9 * level + 3
        return (entry & (1 << 52) - 1) // size * size | gpa % size


class GuestRules(Rules):
    """What the manuals make of a guest's access, in whichever mode its registers say.

    With `lax`, the low reserved bits of PAE's first level count for nothing.
    """

    def __init__(
        self,
        registers: Mapping[str, int],
        read: Callable[[int], int],
        physical_bits: int,
        nested: Nested | None,
        lax: bool = False,
    ) -> None:
        super().__init__(registers, self._entry, physical_bits)
        self.memory, self.nested = read, nested
        # Of a pointer's low bits 5 says nothing: QEMU sets it, where hardware has read the entry long before.
        self.pointer_bits = 0 if lax else 0x1C6
        self.wide = bool(self.cr4 >> 5 & 1)
        self.long = bool(self.efer >> 10 & 1)
        if not self.wide:
            self.efer &= ~(1 << 11)

    def access(self, touch: Touch) -> int:
        gpa = super().access(touch)
        return gpa if self.nested is None else self.nested.final(gpa, touch)

    def _entry(self, gpa: int) -> int:
        pa = gpa if self.nested is None else self.nested.table(gpa)
        return self.memory(pa) if self.wide else self.memory(pa & ~7) >> 8 * (pa & 4) & 0xFFFFFFFF

    def _canonical(self, touch: Touch) -> None:
        if self.long:
            super()._canonical(touch)

    def _walk(self, touch: Touch) -> tuple[list[int], int]:
        if self.long:
            return super()._walk(touch)
        return self._pae(touch) if self.wide else self._narrow(touch)

    def _pae(self, touch: Touch) -> tuple[list[int], int]:
        wrong = (1 << 63) - (1 << self.physical_bits) | (0 if self.efer >> 11 & 1 else 1 << 63)
        pointer = self._entry((self.cr3 & 0xFFFFFFE0) + 8 * (touch.va >> 30))
        if not pointer & 1:
            raise self._fault(touch, 0)
        if pointer & ((1 << 64) - (1 << self.physical_bits) | self.pointer_bits):
            raise self._fault(touch, 9)
        directory = self._entry((pointer & (1 << 52) - 4096) + 8 * (touch.va >> 21 & 511))
        if not directory & 1:
            raise self._fault(touch, 0)
        if directory & (wrong | (0x1FE000 if directory & 0x80 else 0)):
            raise self._fault(touch, 9)
        if directory & 0x80:
            return [directory], 21
        page = self._entry((directory & (1 << 52) - 4096) + 8 * (touch.va >> 12 & 511))
        if not page & 1:
            raise self._fault(touch, 0)
        if page & wrong:
            raise self._fault(touch, 9)
        return [directory, page], 12

    def _narrow(self, touch: Touch) -> tuple[list[int], int]:
        directory = self._entry((self.cr3 & 0xFFFFF000) + 4 * (touch.va >> 22))
        if not directory & 1:
            raise self._fault(touch, 0)
        if directory & 0x80 and self.cr4 >> 4 & 1:
            above = min(self.physical_bits, 40) - 32
            if directory & ((1 << 22) - (1 << 13 + above)):
                raise self._fault(touch, 9)
            # As if its address were in one piece, which is how the others have theirs.
            return [directory & 0xFFC00FFF | (directory >> 13 & (1 << above) - 1) << 32], 22
        page = self._entry((directory & 0xFFFFF000) + 4 * (touch.va >> 12 & 1023))
        if not page & 1:
            raise self._fault(touch, 0)
        return [directory, page], 12

    def _keys(self, touch: Touch, path: list[int]) -> None:
        """No test of a guest turns keys on."""

    def _rights(self, touch: Touch, path: list[int]) -> None:
        if self.wide:
            super()._rights(touch, path)
            return
        # Bits from 32 on are the address's in 32-bit paging, and none of them is NX.
        super()._rights(touch, [entry & 0xFFFFFFFF for entry in path])


__all__ = ["GuestRules", "Nested", "NestedFault", "Raised"]
