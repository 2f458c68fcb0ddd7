"""Random states of x86-64's paging: registers, tables in the oracle's RAM, and addresses worth asking about.

A state is drawn from one number, so that the number repeats it.  It is biased to edges: bits that are reserved at one
level and not at another, large pages that are misaligned, addresses just outside, rights that only one level withholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.guests.x86.oracle import (
    AC,
    DATA,
    DATA_BYTES,
    INTO_SLOT,
    PGE,
    PKE,
    PKS,
    SLOT_BYTES,
    SMAP,
    SMEP,
    STUB,
    TABLES,
    TABLES_BYTES,
    WINDOW,
    Abilities,
    Operation,
    Request,
)

PAGE = 4096
P, RW, US, PS, NX = 1, 2, 4, 1 << 7, 1 << 63
WP, LA57, PAE, NXE = 1 << 16, 1 << 12, 1 << 5, 1 << 11
HOME_BITS = 40
"""Addresses of no more bits are those that every table maps: the window's, and in their second half the stub's."""
STUB_VA = 1 << HOME_BITS - 1


@dataclass
class State:
    """Registers, the pages of the tables, and what is asked."""

    registers: dict[str, int]
    pages: dict[int, bytearray]
    requests: list[Request]


class Drawing:
    """Draws one state."""

    def __init__(self, levels: int, number: int, abilities: Abilities) -> None:
        self.random = Random(number)
        self.levels = levels
        self.abilities = abilities
        self.physical_bits = abilities.physical_bits
        self.pages: dict[int, bytearray] = {}
        self._next = TABLES

    def draw(self) -> State:
        random = self.random
        self.tight = random.choice((4, 12, 40))
        """How rarely things are odd."""
        root = self._page()
        self._home(root)
        addresses: list[int] = []
        for _ in range(random.randrange(3, 9)):
            addresses += self._mapping(root)
        # Key 0 is the window's, and pkrs has a say about that.
        registers = {
            "cr0": 0x8000_0031 | random.choice((0, WP, WP)),
            "cr3": root | random.choice((0, 0, 0x18)),
            "cr4": PAE | (LA57 if self.levels == 5 else 0) | self._controls(),
            "efer": 0x500 | random.choice((0, NXE, NXE, NXE)),
            "pkru": random.getrandbits(32),
            "pkrs": random.getrandbits(32) & ~3,
        }
        requests = [request for va in addresses for request in self._requests(va)]
        return State(registers, self.pages, requests)

    def _controls(self) -> int:
        drawn = sum(bit for bit in (SMEP, SMAP, PKE, PKS, PGE) if self.random.randrange(2))
        return drawn & self.abilities.controls

    def _page(self) -> int:
        pa = self._next
        self._next += PAGE
        assert self._next <= TABLES + TABLES_BYTES
        self.pages[pa] = bytearray(PAGE)
        return pa

    def _get(self, table: int, index: int) -> int:
        return int.from_bytes(self.pages[table][8 * index : 8 * index + 8], "little")

    def _set(self, table: int, index: int, entry: int) -> None:
        self.pages[table][8 * index : 8 * index + 8] = entry.to_bytes(8, "little")

    def _home(self, root: int) -> None:
        """Map the window and the stub."""
        if self.levels == 5:
            upper = self._page()
            self._set(root, 0, upper | P | RW | US)
            root = upper
        for slot, (last, entry) in enumerate(((2, WINDOW | P | RW | PS), (1, STUB | P | US))):
            table = root
            for level in range(4, last, -1):
                below = self._page()
                self._set(table, slot if level == 4 else 0, below | P | RW | US)
                table = below
            self._set(table, WINDOW >> 21 if last == 2 else 0, entry)

    def _mapping(self, root: int) -> list[int]:
        """Map one page, or something like it, and return addresses in it and about it."""
        random = self.random
        top = 1 << 9 * self.levels + 12
        low = random.randrange(1 << HOME_BITS, top // 2)
        va = random.choice((low, top - 1 - low, random.choice((top // 2 - 1, top // 2, 1 << HOME_BITS))))
        va = va >> 12 << 12
        page_level = min(random.choice((1, 1, 1, 1, 2, 2, 3)), 3 if self.abilities.pages_1g else 2)
        target = DATA + random.randrange(0, DATA_BYTES, PAGE)
        user = random.randrange(3) > 0
        table = root
        for level in range(self.levels, page_level, -1):
            index = va >> 9 * level + 3 & 511
            entry = self._get(table, index)
            if entry & P and not self._is_page(entry, level) and entry & (1 << 52) - PAGE in self.pages:
                table = entry & (1 << self.physical_bits) - PAGE
                continue
            below = self._page()
            self._set(table, index, self._odd(below | P | RW | (US if user else 0), level, False))
            table = below
        index = va >> 9 * page_level + 3 & 511
        size = 1 << 9 * page_level + 3
        large = PS if page_level > 1 else 0
        flags = random.choice((0, RW, RW)) | (US if user else 0) | large | random.getrandbits(4) << 59
        flags |= random.choice((0, 0, 0, NX)) | random.choice((0, 1 << 8, 3 << 5, 7 << 9, 1 << 52))
        self._set(table, index, self._odd(target // size * size | P | flags, page_level, True))
        inside = va // size * size + target % size
        if inside >= top // 2:
            inside |= (1 << 64) - top
        near = [inside, inside + random.randrange(0, PAGE, SLOT_BYTES)]
        if not random.randrange(4):
            near.append(inside ^ 1 << random.randrange(12, 64))
        if not random.randrange(6):
            near.append(random.choice((top // 2, (1 << 64) - top // 2 - PAGE)))
        return [each for each in near if each >> HOME_BITS]

    @staticmethod
    def _is_page(entry: int, level: int) -> bool:
        return level < 4 and bool(entry & PS)

    def _odd(self, entry: int, level: int, is_page: bool) -> int:
        """Make an entry odd, or leave it: what is withheld, reserved, or somebody's own."""
        random = self.random
        # A root's entry leads to much: it is seldom broken.
        if random.randrange(self.tight) or (level == self.levels and random.randrange(4)):
            return entry
        size_bits = 9 * level + 3
        return random.choice(
            (
                entry & ~P,
                entry & ~RW,
                entry & ~US,
                entry | NX,
                entry | NX,
                entry ^ (PS if level != 3 or self.abilities.pages_1g else 0),
                entry | 1 << random.randrange(self.physical_bits, 52),
                entry | 1 << random.randrange(52, 59),
                entry | random.getrandbits(4) << 59,
                entry | random.choice((1 << 5, 1 << 6, 1 << 8, 1 << 9, 1 << 11, 1 << 12, 0x18)),
                entry | (1 << random.randrange(13, size_bits) if is_page and level > 1 else 0),
                random.getrandbits(64) & ~((1 << 52) - (1 << 27)) & ~1,
            )
        )

    def _requests(self, va: int) -> list[Request]:
        chosen = self.random.sample(list(Operation), self.random.randrange(2, 5))
        return [
            Request(va // SLOT_BYTES * SLOT_BYTES + INTO_SLOT[each & 3], each, 2 | self.random.choice((0, AC)))
            for each in chosen
        ]
