"""VMSAv8-32 once more, apart from gdbtools: the manual's rules on raw bits, and QEMU's where it departs from them.

Source: DDI 0487, chapter G5, and the pseudocode AArch32.S1WalkSD, AArch32.S1WalkLD, AArch32.S1HasPermissionsFault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from tests.guests.arm.departures import Known
from tests.guests.arm.states import AFE, EAE, EE, UWXN, WXN

TRANSLATION_1, TRANSLATION_2 = 0b00101, 0b00111
ACCESS_FLAG = {1: 0b00011, 2: 0b00110}
DOMAIN = {1: 0b01001, 2: 0b01011}
PERMISSION = {1: 0b01101, 2: 0b01111}
MANAGER = 3


class Kind(Enum):
    LOAD = auto()
    STORE = auto()
    FETCH = auto()


@dataclass(frozen=True)
class Touch:
    """One access; `pan` is PSTATE.PAN."""

    va: int
    kind: Kind
    user: bool
    pan: bool


@dataclass(frozen=True)
class Seen:
    """What an access comes to: a fault status in the format of the tables, or the place that was touched."""

    status: int | None = None
    pa: int | None = None

    def __str__(self) -> str:
        if self.status is not None:
            return f"fault status {self.status:#x}"
        return "touches something else" if self.pa is None else f"touches {self.pa:#x}"


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


@dataclass(frozen=True)
class Leaf:
    """What the tables give: who may read and write (bit 1 and bit 0 of each), and never whom to execute."""

    pa: int
    level: int
    privileged: int
    user: int
    never: bool
    privileged_never: bool


R, W = 0b10, 0b01
FULL = {0: (0, 0), 1: (R | W, 0), 2: (R | W, R), 3: (R | W, R | W), 4: (0, 0), 5: (R, 0), 6: (R, R), 7: (R, R)}
SIMPLIFIED = {0: (R | W, 0), 1: (R | W, R | W), 2: (R, 0), 3: (R, R)}


class Rules:
    """The rules under some registers; `departures` are those of QEMU's that apply, and `fired` those that did."""

    def __init__(
        self,
        registers: Mapping[str, int],
        read: Callable[[int, int], bytes],
        departures: frozenset[Known] = frozenset(),
    ) -> None:
        self.registers = registers
        self.sctlr, self.ttbcr, self.dacr = (registers[name] for name in ("SCTLR", "TTBCR", "DACR"))
        self.has_pxn = registers["ID_MMFR0"] & 0xF >= 4
        self.read = read
        self.departures = departures
        self.fired: set[Known] = set()

    def access(self, touch: Touch) -> Seen:
        try:
            return Seen(pa=self._long(touch) if self.ttbcr & EAE else self._short(touch))
        except Refused as refused:
            return Seen(refused.status)

    def _departs(self, known: Known) -> bool:
        if known in self.departures:
            self.fired.add(known)
        return known in self.departures

    def _entry(self, pa: int, size_bytes: int) -> int:
        return int.from_bytes(self.read(pa, size_bytes), "big" if self.sctlr & EE else "little")

    # Short descriptors

    def _short(self, touch: Touch) -> int:
        va, n = touch.va, self.ttbcr & 0b111
        upper = bool(n and va >> 32 - n)
        if self.ttbcr >> (5 if upper else 4) & 1:
            raise Refused(TRANSLATION_1)
        root_bits = 14 if upper else 14 - n
        root = self.registers["TTBR1" if upper else "TTBR0"] & 0xFFFF_FFFF & -(1 << root_bits)
        first = self._entry(root + (va >> 20 & (1 << root_bits - 2) - 1) * 4, 4)
        kind = first & 0b11
        if kind == 0 or (kind == 3 and not self.has_pxn):
            raise Refused(TRANSLATION_1)
        level = 2 if kind == 1 else 1
        is_super = kind != 1 and bool(first >> 18 & 1)
        domain = 0 if is_super else first >> 5 & 0xF
        grant = self.dacr >> 2 * domain & 0b11
        if grant in (0, 2) and level == 2 and self._departs(Known.DOMAIN_FIRST):
            raise Refused(DOMAIN[2])
        second = self._entry((first & -(1 << 10)) + (va >> 12 & 0xFF) * 4, 4) if level == 2 else 0
        if level == 2 and not second & 0b11:
            raise Refused(TRANSLATION_2)
        leaf, flag = self._second(va, first, second) if level == 2 else self._first(va, first, is_super)
        if grant in (0, 2) and not flag and self._departs(Known.DOMAIN_FIRST):
            raise Refused(DOMAIN[level])
        if not flag and not (grant == MANAGER and self._departs(Known.MANAGER_FLAG)):
            never = leaf.never or (leaf.privileged_never and not touch.user)
            if touch.kind is Kind.FETCH and never and grant != MANAGER and self._departs(Known.NEVER_FIRST):
                raise Refused(PERMISSION[level])
            raise Refused(ACCESS_FLAG[level])
        if grant in (0, 2):
            raise Refused(DOMAIN[level])
        if grant != MANAGER and not self._allowed(touch, leaf, is_short=True):
            raise Refused(PERMISSION[level])
        return leaf.pa

    def _first(self, va: int, word: int, is_super: bool) -> tuple[Leaf, bool]:
        ap = word >> 13 & 0b100 | word >> 10 & 0b11
        pa = word & 0xFFF0_0000 | va & 0xF_FFFF
        if is_super:
            pa = (word >> 5 & 0xF) << 36 | (word >> 20 & 0xF) << 32 | word & 0xFF00_0000 | va & 0xFF_FFFF
        return self._leaf(pa, 1, ap, bool(word >> 4 & 1), bool(word & 1))

    def _second(self, va: int, first: int, word: int) -> tuple[Leaf, bool]:
        ap = word >> 7 & 0b100 | word >> 4 & 0b11
        pxn = bool(first >> 2 & 1)
        if word & 0b10:
            return self._leaf(word & 0xFFFF_F000 | va & 0xFFF, 2, ap, bool(word & 1), pxn)
        return self._leaf(word & 0xFFFF_0000 | va & 0xFFFF, 2, ap, bool(word >> 15 & 1), pxn)

    def _leaf(self, pa: int, level: int, ap: int, never: bool, pxn: bool) -> tuple[Leaf, bool]:
        privileged, user = SIMPLIFIED[ap >> 1] if self.sctlr & AFE else FULL[ap]
        leaf = Leaf(pa, level, privileged, user, never, pxn and self.has_pxn)
        return leaf, not self.sctlr & AFE or bool(ap & 1)

    # Long descriptors

    def _long(self, touch: Touch) -> int:
        va, zero, one = touch.va, self.ttbcr & 0b111, self.ttbcr >> 16 & 0b111
        upper = va >> 32 - one == (1 << one) - 1 if one else bool(zero and va >> 32 - zero)
        if not upper and zero and va >> 32 - zero:
            raise Refused(TRANSLATION_1)
        if self.ttbcr >> (23 if upper else 7) & 1:
            raise Refused(TRANSLATION_1)
        bits = 32 - (one if upper else zero)
        level = 1 if bits > 30 else 2
        ttbr = self.registers["TTBR1" if upper else "TTBR0"] & (1 << 48) - 1
        if ttbr >> 40:
            raise Refused(0)
        low = 39 - 9 * level
        table = ttbr & -(8 << bits - low)
        index = va >> low & (1 << bits - low) - 1
        above = 0
        while True:
            entry = self._entry(table + index * 8, 8)
            if not entry & 1 or (level == 3 and not entry & 0b10):
                raise Refused(0b000100 | level)
            if entry >> 40 & 0xFF and not self._departs(Known.WIDE_OUTPUT):
                raise Refused(level)
            if level == 3 or not entry & 0b10:
                break
            above |= entry >> 59
            table, level, low = entry & (1 << 40) - (1 << 12), level + 1, low - 9
            index = va >> low & 0x1FF
        if not entry >> 10 & 1:
            raise Refused(0b001000 | level)
        ap = entry >> 6 & 0b11
        privileged, user = SIMPLIFIED[ap & ~(above >> 2 & 1) | above >> 2 & 0b10]
        never = bool(entry >> 54 & 1 or above >> 1 & 1)
        pa = entry & (1 << 40) - (1 << low) | va & (1 << low) - 1
        leaf = Leaf(pa, level, privileged, user, never, bool(entry >> 53 & 1 or above & 1))
        if not self._allowed(touch, leaf, is_short=False):
            raise Refused(0b001100 | level)
        return pa

    # Both

    def _allowed(self, touch: Touch, leaf: Leaf, is_short: bool) -> bool:
        own = leaf.user if touch.user else leaf.privileged
        if touch.kind is not Kind.FETCH:
            if touch.pan and not touch.user and leaf.user:
                return False
            return bool(own & (W if touch.kind is Kind.STORE else R))
        if leaf.never or not own & R or (leaf.privileged_never and not touch.user):
            return False
        fetch = Known.SHORT_PAN_FETCH if is_short else Known.PAN_FETCH
        if touch.pan and not touch.user and leaf.user and self._departs(fetch):
            return False
        exclusive = self.sctlr & WXN and own & W
        writable_by_user = self.sctlr & UWXN and leaf.user & W and not touch.user
        if not exclusive and not writable_by_user:
            return True
        return is_short and self._departs(Known.SHORT_WXN)
