"""Random states of a guest in each mode of paging: its registers, its tables, and the nested tables below them.

A state is drawn from one number, so that the number repeats it.  With nested tables every page of the guest's own has a
guest physical address that says nothing of where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.guests.x86.oracle import (
    AC,
    DATA,
    DATA_BYTES,
    INTO_SLOT,
    SLOT_BYTES,
    STUB,
    TABLES,
    TABLES_BYTES,
    Operation,
    Request,
)

PAGE = 4096
P, RW, US, PS, NX = 1, 2, 4, 1 << 7, 1 << 63
PE, NE, WP, PG = 1, 1 << 5, 1 << 16, 1 << 31
PSE, PAE, PGE, LA57, SMEP, SMAP = 1 << 4, 1 << 5, 1 << 7, 1 << 12, 1 << 20, 1 << 21
LME, LMA, NXE = 1 << 8, 1 << 10, 1 << 11
MODES = ("32-bit", "PAE", "4-level", "5-level")
HOME_GPA = 1 << 28
"""Below it are the guest physical addresses whose nested entries are whole: those of its root and of its stub."""
USERS = PAGE
"""How far behind the stub of supervisor mode that of user mode is."""


@dataclass(frozen=True)
class Shape:
    """How a mode cuts an address: (bits above the page or table, bits of index) of each level, the highest first."""

    entry_bytes: int
    lows: tuple[int, ...]
    top: int
    stub_va: int
    page_lows: tuple[int, ...]

    def index(self, va: int, depth: int) -> int:
        high = self.lows[depth - 1] if depth else self.top
        return (va & (1 << high) - 1) >> self.lows[depth]


SHAPES = {
    "32-bit": Shape(4, (22, 12), 32, 0x4000_0000, (12, 12, 22)),
    "PAE": Shape(8, (30, 21, 12), 32, 0x4000_0000, (12, 12, 21)),
    "4-level": Shape(8, (39, 30, 21, 12), 48, 1 << 39, (12, 12, 21, 30)),
    "5-level": Shape(8, (48, 39, 30, 21, 12), 57, 1 << 39, (12, 12, 21, 30)),
}


@dataclass
class GuestState:
    """Registers of guest and host, the pages of all tables by their physical address, and what is asked."""

    registers: dict[str, int]
    pages: dict[int, bytearray]
    requests: list[Request]
    stub_va: int


@dataclass
class GuestDrawing:
    """Draws one state of a guest in a mode, below it nested tables of so many levels, 0 for none."""

    mode: str
    nested_levels: int
    number: int
    physical_bits: int
    pages: dict[int, bytearray] = field(default_factory=dict)
    place: dict[int, int] = field(default_factory=dict)
    """Where the page of the guest's tables is that has a guest physical address."""
    _next: int = TABLES

    def __post_init__(self) -> None:
        self.random = Random(f"{self.mode} {self.nested_levels} {self.number}")
        self.shape = SHAPES[self.mode]

    def draw(self) -> GuestState:
        random = self.random
        self.tight = random.choice((4, 12, 40))
        self.nested_root = self._page() if self.nested_levels else 0
        home = iter(range(PAGE, HOME_GPA, PAGE))
        root = self._guest_page(next(home) if self.nested_levels else None)
        self._stub(root, home)
        addresses: list[int] = []
        for _ in range(random.randrange(3, 8)):
            addresses += self._mapping(root)
        long = self.mode in MODES[2:]
        registers = {
            "cr0": PG | NE | PE | random.choice((0, WP, WP)),
            "cr3": root | random.choice((0, 0, 0x18)),
            "cr4": self._cr4(),
            "efer": (LME | LMA if long else 0) | random.choice((0, NXE, NXE, NXE)),
            "hefer": LME | LMA | random.choice((0, NXE, NXE, NXE)),
            "hcr4": PAE | (LA57 if self.nested_levels == 5 else 0),
        }
        registers |= {"ncr3": self.nested_root} if self.nested_levels else {}
        requests = [request for va in addresses for request in self._requests(va)]
        return GuestState(registers, self.pages, requests, self.shape.stub_va)

    def _cr4(self) -> int:
        wide = {"32-bit": self.random.choice((0, PSE, PSE)), "5-level": PAE | LA57}.get(self.mode, PAE)
        return wide | sum(bit for bit in (SMEP, SMAP, PGE) if self.random.randrange(2))

    def _page(self) -> int:
        pa = self._next
        self._next += PAGE
        assert self._next <= TABLES + TABLES_BYTES
        self.pages[pa] = bytearray(PAGE)
        return pa

    def _guest_page(self, gpa: int | None = None) -> int:
        """Make a page of the guest's tables and return its guest physical address."""
        pa = self._page()
        if not self.nested_levels:
            gpa = pa
        else:
            whole = gpa is not None
            gpa = self._gpa(PAGE) if gpa is None else gpa
            self._nest(gpa, pa, 1, whole)
        assert gpa is not None
        self.place[gpa] = pa
        return gpa

    def _gpa(self, size: int) -> int:
        """Return a guest physical address that has nothing yet, aligned to a size."""
        # Of 32-bit paging, pages of 4 MiB alone may be beyond 4 GiB.
        bits = 32 if self.mode == "32-bit" and size < 1 << 22 else self.physical_bits
        while True:
            gpa = self.random.randrange(HOME_GPA, 1 << bits) // size * size
            if gpa >= HOME_GPA and gpa not in self.place:
                return gpa

    # --- Nested tables.

    def _nest(self, gpa: int, pa: int, level: int, whole: bool) -> None:
        table = self.nested_root
        for depth in range(self.nested_levels, level, -1):
            index = gpa >> 9 * depth + 3 & 511
            entry = self._get(table, index, 8)
            below = entry & (1 << self.physical_bits) - PAGE
            if not (entry & P and below in self.pages):
                below = self._page()
                entry = below | P | RW | US
                self._set(table, index, entry if whole else self._odd_nested(entry, depth, False), 8)
            table = below
        entry = pa | P | RW | US | (PS if level > 1 else 0)
        entry = entry if whole else self._odd_nested(entry, level, True)
        self._set(table, gpa >> 9 * level + 3 & 511, entry, 8)

    def _odd_nested(self, entry: int, level: int, is_page: bool) -> int:
        random = self.random
        if random.randrange(self.tight if is_page else 4 * self.tight):
            return entry
        return random.choice(
            (
                entry & ~P, entry & ~RW, entry & ~RW, entry & ~US, entry | NX, entry | NX,
                entry | 1 << random.randrange(self.physical_bits, 52), entry | 1 << random.randrange(52, 63),
                entry | random.choice((1 << 5, 1 << 6, 1 << 8, 7 << 9, 0x18)),
                entry | (PS if level > 3 else 0),
                entry | (1 << random.randrange(13, 9 * level + 3) if is_page and level > 1 else 0),
            )
        )  # fmt: skip

    # --- The guest's own.

    def _get(self, table: int, index: int, size: int) -> int:
        return int.from_bytes(self.pages[table][size * index : size * (index + 1)], "little")

    def _set(self, table: int, index: int, entry: int, size: int) -> None:
        self.pages[table][size * index : size * (index + 1)] = entry.to_bytes(size, "little")

    def _stub(self, root: int, home: object) -> None:
        """Map the stub, for supervisor mode and behind it for user mode."""
        va, size = self.shape.stub_va, self.shape.entry_bytes
        stub = next(home) if self.nested_levels else STUB  # type: ignore[call-overload]
        if self.nested_levels:
            self._nest(stub, STUB, 1, True)
        table = root
        for depth in range(len(self.shape.lows) - 1):
            below = self._guest_page(next(home) if self.nested_levels else None)  # type: ignore[call-overload]
            self._set(self.place[table], self.shape.index(va, depth), below | self._table_flags(depth), size)
            table = below
        last = len(self.shape.lows) - 1
        for at, flags in ((va, P), (va + USERS, P | US)):
            self._set(self.place[table], self.shape.index(at, last), stub | flags, size)

    def _table_flags(self, depth: int) -> int:
        return P if self.mode == "PAE" and not depth else P | RW | US

    def _mapping(self, root: int) -> list[int]:
        """Map one page, or something like it, and return addresses in it and about it."""
        random, shape = self.random, self.shape
        va = self._address()
        low = random.choice(shape.page_lows)
        depth_of_page = shape.lows.index(low)
        users = random.randrange(3) > 0
        table = root
        for depth in range(depth_of_page):
            index = shape.index(va, depth)
            entry = self._get(self.place[table], index, shape.entry_bytes)
            below = entry & (1 << min(self.physical_bits, 8 * shape.entry_bytes)) - PAGE
            if not (entry & P and below in self.place):
                below = self._guest_page()
                flags = self._table_flags(depth) & (-1 if users else ~US)
                entry = self._odd(below | flags, depth, False)
                self._set(self.place[table], index, entry, shape.entry_bytes)
            table = below
        target = DATA + random.randrange(0, DATA_BYTES, PAGE)
        leaf, inside = self._leaf(target, low, va)
        flags = P | random.choice((0, RW, RW)) | (US if users else 0) | (PS if low > 12 else 0)
        flags |= random.choice((0, 1 << 8, 3 << 5, 7 << 9))
        flags |= random.choice((0, 0, 0, NX)) if shape.entry_bytes == 8 else 0
        entry = self._odd(leaf | flags, depth_of_page, True)
        self._set(self.place[table], shape.index(va, depth_of_page), entry, shape.entry_bytes)
        near = [inside, inside + random.randrange(0, PAGE, SLOT_BYTES)]
        if not random.randrange(4):
            near.append(inside ^ 1 << random.randrange(12, min(shape.top + 2, 64) if shape.top > 32 else 32))
        return [each & (1 << 64 if shape.top > 32 else 1 << 32) - 1 for each in near]

    def _address(self) -> int:
        shape, random = self.shape, self.random
        while True:
            va = random.randrange(0, 1 << shape.top, PAGE)
            if va >> 30 != shape.stub_va >> 30 if shape.top > 32 else va >> 22 != shape.stub_va >> 22:
                return va | ((1 << 64) - (1 << shape.top) if shape.top > 32 and va >> shape.top - 1 else 0)

    def _leaf(self, target: int, low: int, va: int) -> tuple[int, int]:
        """Return the address that an entry has for a page of 2^low bytes, and an address that leads to the target."""
        size = 1 << low
        if not self.nested_levels:
            return target // size * size, va // size * size + target % size
        # The guest's page is anywhere; of it as much is nested as the nested page has.
        level = self.random.choice((1, 1, 2)) if low == 12 else self.random.choice((1, 2))
        nested = 1 << 9 * level + 3
        gpa = self._gpa(max(size, nested)) + self.random.randrange(0, size, PAGE) // nested * nested
        self._nest(gpa, target // nested * nested, level, False)
        gpa += target % nested
        if low == 12:
            return gpa // PAGE * PAGE, va // PAGE * PAGE
        leaf = gpa // size * size
        if self.mode == "32-bit":
            leaf = leaf & 0xFFFFFFFF | leaf >> 32 << 13
        return leaf, va // size * size + gpa % size

    def _odd(self, entry: int, depth: int, is_page: bool) -> int:
        """Make an entry odd, or leave it: what is withheld, reserved, or somebody's own."""
        random, shape = self.random, self.shape
        if random.randrange(self.tight) or (not depth and random.randrange(4)):
            return entry
        low, wide = shape.lows[depth], shape.entry_bytes == 8
        if self.mode == "PAE" and not depth:
            return random.choice((entry & ~P, entry | 1 << random.choice((1, 2, 5, 7, 8, 52, 63)), entry | 7 << 9))
        choices = [
            entry & ~P, entry & ~RW, entry & ~RW, entry & ~US, entry & ~US, entry ^ PS,
            entry | random.choice((1 << 5, 1 << 6, 1 << 8, 7 << 9, 1 << 12 if is_page and low > 12 else 0, 0x18)),
            entry | (1 << random.randrange(13, low) if is_page and low > 13 else 0),
        ]  # fmt: skip
        if wide:
            choices += [entry | NX, entry | NX, entry | 1 << random.randrange(self.physical_bits, 52)]
            choices += [entry | 1 << random.randrange(52, 59)]
        return random.choice(choices)

    def _requests(self, va: int) -> list[Request]:
        chosen = self.random.sample(list(Operation), self.random.randrange(2, 5))
        return [
            Request(va // SLOT_BYTES * SLOT_BYTES + INTO_SLOT[each & 3], each, 2 | self.random.choice((0, AC)))
            for each in chosen
        ]
