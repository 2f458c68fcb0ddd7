"""Random states of AArch32's translation: registers, tables in the oracle's RAM, and addresses worth asking about.

A state is drawn from one number, so that the number repeats it.  It is biased to edges: reserved encodings, ranges
that are disabled or meet, entries of the wrong kind at the wrong level.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.guests.arm.oracle import (
    BY_HYP,
    DATA,
    DATA_BYTES,
    FETCHES,
    PAN,
    STORES,
    STUB,
    TABLES,
    TABLES_BYTES,
    Operation,
    Request,
)

PAGE, LARGE_PAGE, SECTION, SUPERSECTION = 1 << 12, 1 << 16, 1 << 20, 1 << 24
M, C, WXN, UWXN, EE, TRE, AFE = 1 << 0, 1 << 2, 1 << 19, 1 << 20, 1 << 25, 1 << 28, 1 << 29
SCTLR_RES1 = 1 << 23 | 1 << 22 | 1 << 18 | 1 << 16 | 1 << 11 | 1 << 5 | 1 << 4 | 1 << 3
EAE = 1 << 31
MANAGER, STUB_DOMAIN = 3, 15
REAL = tuple(each for each in Operation if not each.is_translation)
TRANSLATIONS = tuple(each for each in Operation if each.is_translation and each not in BY_HYP)
DATA_PL1 = (Operation.LOAD_PL1, Operation.STORE_PL1)
QUARTERS = {**dict.fromkeys(STORES, 0xC00), **dict.fromkeys(FETCHES, 0)}


@dataclass
class State:
    """Registers, the tables' words by their addresses, where the stub is, and what is asked.

    `stub_va` is where PL1 and PL0 may execute it; None where nothing real can be asked: the stub cannot be mapped.
    """

    registers: dict[str, int]
    tables: dict[int, bytes]
    stub_va: tuple[int, int] | None
    requests: list[Request]
    is_long: bool


class Drawing:
    """Draws one state; `has_pan` says that the machine has PSTATE.PAN."""

    def __init__(self, number: int, has_pan: bool) -> None:
        self.random = Random(number)
        self.has_pan = has_pan
        self.entries: dict[int, int] = {}
        self._next = TABLES

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def draw(self) -> State:
        random = self.random
        self.is_long = bool(random.randrange(2))
        self.fetches_under_pan = self.chance(3)
        self.sctlr = SCTLR_RES1 | M | C
        for bit, one_in in ((AFE, 2), (TRE, 2), (WXN, 6), (UWXN, 6), (EE, 8)):
            self.sctlr |= bit if self.chance(one_in) else 0
        self.bytes = 8 if self.is_long else 4
        draw = self._long if self.is_long else self._short
        addresses, stub_va = draw()
        order = "big" if self.sctlr & EE else "little"
        tables = {pa: entry.to_bytes(self.bytes, order) for pa, entry in self.entries.items()}  # type: ignore[arg-type]
        requests = [each for va in addresses for each in self._requests(va & 0xFFFF_FFFF, stub_va is not None)]
        self.registers |= {
            "SCTLR": self.sctlr, "MAIR0": random.getrandbits(32), "MAIR1": random.getrandbits(32),
        }  # fmt: skip
        return State(self.registers, tables, stub_va, requests, self.is_long)

    def _table(self, size_bytes: int) -> int:
        """Return the address of a new table."""
        self._next += -self._next % size_bytes
        at = self._next
        self._next += size_bytes
        assert self._next <= TABLES + TABLES_BYTES
        return at

    def _output(self, size_bytes: int) -> int:
        """Return an address of data, as aligned as what maps it."""
        return DATA + self.random.randrange(0, DATA_BYTES, size_bytes) & -size_bytes

    def _requests(self, va: int, real: bool) -> list[Request]:
        random = self.random
        state = PAN if self.has_pan and self.chance(3) else 0
        asked = list(TRANSLATIONS) + (random.sample(REAL, 3) if real else [])
        if state:
            # Where PL1 has fetched from a page, QEMU's TLB has it with all rights, PAN or not.
            asked = [each for each in asked if each is not Operation.FETCH_PL1 or self.fetches_under_pan]
            asked = [each for each in asked if each not in DATA_PL1 or not self.fetches_under_pan]
        # Stores keep to the last quarter of each page, loads to the third: none changes what is loaded or fetched.
        return [
            Request(va & ~0xC03 | QUARTERS.get(each, 0x800), each, 0 if each.is_translation else state)
            for each in asked
        ]

    # Short descriptors

    def _short(self) -> tuple[list[int], tuple[int, int] | None]:
        random = self.random
        self.n = random.choice((0, 0, 1, 2, 7, random.randrange(8)))
        disabled = random.choice((0, 0, 0, 0, 1 << 4, 1 << 5, 3 << 4))
        dacr = random.getrandbits(30) | MANAGER << 2 * STUB_DOMAIN
        if self.chance(2):
            dacr = 0x1555_5555 | MANAGER << 2 * STUB_DOMAIN
        roots = self._table(1 << 14 - self.n), self._table(1 << 14)
        self.roots = roots
        noise = random.getrandbits(7) | random.getrandbits(14 - self.n) & -(1 << 7) & ((1 << 14 - self.n) - 1)
        self.registers = {
            "TTBCR": self.n | disabled,
            "DACR": dacr,
            "TTBR0": roots[0] | (noise if self.chance(2) else 0),
            "TTBR1": roots[1] | (random.getrandbits(7) if self.chance(2) else 0),
        }
        self.second: dict[int, int] = {}
        stub_va = random.randrange(0x10, 0xF00) << 20
        is_upper = bool(self.n and stub_va >> 32 - self.n)
        enabled = not disabled >> 4 + is_upper & 1
        self._put_first(stub_va, STUB | STUB_DOMAIN << 5 | 0b10, 1)
        addresses = []
        for _ in range(random.randrange(6, 12)):
            addresses += self._mapping(stub_va)
        return addresses, (stub_va, stub_va) if enabled else None

    def _root_entry(self, va: int) -> int:
        upper = bool(self.n and va >> 32 - self.n)
        return self.roots[upper] + (va >> 20) * 4

    def _put_first(self, va: int, entry: int, count: int) -> bool:
        first = va & -(count << 20)
        places = [self._root_entry(first + (n << 20)) for n in range(count)]
        if any(each in self.entries for each in places):
            return False
        self.entries |= dict.fromkeys(places, entry)
        return True

    def _attributes(self, tex: int, ap2: int, ap: int, ng: int, s: int) -> int:
        random = self.random
        value = random.getrandbits(2) << 2 | random.getrandbits(3) << tex | random.getrandbits(1) << ap2
        value |= random.choice((3, 3, random.getrandbits(2), random.getrandbits(2))) << ap
        return value | random.getrandbits(1) << ng | random.getrandbits(1) << s

    def _mapping(self, stub_va: int) -> list[int]:
        random = self.random
        va = random.choice((random.getrandbits(32), random.getrandbits(32), 0, 0xFFFF_F000, 1 << 32 - self.n))
        va &= 0xFFFF_F000
        if va >> 20 == stub_va >> 20:
            return []
        never = random.choice((0, 0, 1))
        domain = random.randrange(STUB_DOMAIN)
        shape = random.randrange(5)
        if shape == 0:
            entry = self._output(SECTION) | 0b10 | never << 4 | self.chance(4) | domain << 5 | self.chance(4) << 19
            self._put_first(va, self._odd(entry | self._attributes(12, 15, 10, 17, 16)), 1)
            return self._around(va, SECTION)
        if shape == 1:
            entry = self._output(SUPERSECTION) | 1 << 18 | 0b10 | never << 4 | self.chance(4)
            entry |= random.getrandbits(8) << 5 & 0x1E0 if self.chance(6) else 0
            self._put_first(va, self._odd(entry | self._attributes(12, 15, 10, 17, 16)), 16)
            return self._around(va, SUPERSECTION)
        return self._second(va, shape, never, domain)

    def _second(self, va: int, shape: int, never: int, domain: int) -> list[int]:
        number = va >> 20
        if number not in self.second:
            table = self._table(1 << 10)
            pointer = table | domain << 5 | self.chance(4) << 3 | self.chance(4) << 2 | self.random.getrandbits(1) << 9
            if not self._put_first(va, pointer | 0b01, 1):
                return self._around(va, PAGE)
            self.second[number] = table
        table = self.second[number]
        if shape == 2:
            entry = self._odd(self._output(LARGE_PAGE) | 0b01 | never << 15 | self._attributes(12, 9, 4, 11, 10))
            first = table + (va >> 16 & 0xF) * 64
            for n in range(16):
                self.entries.setdefault(first + 4 * n, entry)
            return self._around(va, LARGE_PAGE)
        entry = self._odd(self._output(PAGE) | 0b10 | never | self._attributes(6, 9, 4, 11, 10))
        self.entries.setdefault(table + (va >> 12 & 0xFF) * 4, entry)
        return self._around(va, PAGE)

    def _odd(self, entry: int) -> int:
        """Return an entry, now and then with one bit of it other than it was meant."""
        if not self.chance(10):
            return entry
        ways = (
            entry & ~0b11,
            entry ^ 1 << self.random.randrange(8 * self.bytes),
            self.random.getrandbits(8 * self.bytes),
        )
        return self.random.choice(ways)

    def _around(self, va: int, size_bytes: int) -> list[int]:
        """Return an address within, and now and then one that is beyond."""
        inside = va & -size_bytes | self.random.getrandbits(32) & size_bytes - 1
        return [inside, inside ^ 1 << self.random.randrange(12, 32)] if self.chance(4) else [inside]

    # Long descriptors

    def _long(self) -> tuple[list[int], tuple[int, int] | None]:
        random = self.random
        sizes = [random.choice((0, 0, 1, 2, 3, random.randrange(8))) for _ in range(2)]
        disabled = [self.chance(10), self.chance(10)]
        self.ranges = []
        self.tables: dict[tuple[int, int, int], int] = {}
        for size in sizes:
            bits = 32 - size
            depth = 3 if bits > 30 else 2
            root_bytes = 8 << bits - 12 - 9 * (depth - 1)
            self.ranges.append((bits, depth, self._table(max(root_bytes, 64) if root_bytes > 8 else 64)))
        self.sizes = sizes
        self.registers = {
            "TTBCR": EAE | sizes[0] | sizes[1] << 16 | disabled[0] << 7 | disabled[1] << 23,
            "TTBR0": self.ranges[0][2] | random.getrandbits(8) << 48 | (random.getrandbits(3) if self.chance(4) else 0),
            "TTBR1": self.ranges[1][2] | random.getrandbits(8) << 48,
            "DACR": random.getrandbits(32),
        }
        if self.chance(30):
            self.registers[random.choice(("TTBR0", "TTBR1"))] |= 1 << random.randrange(40, 48)
        stubs = self._stub(0b10, disabled), self._stub(0b11, disabled)
        addresses = []
        for _ in range(random.randrange(6, 12)):
            addresses += self._long_mapping()
        if stubs[0] is None or stubs[1] is None:
            return addresses, None
        return addresses, (stubs[0], stubs[1])

    def _stub(self, ap: int, disabled: list[bool]) -> int | None:
        """Map the stub with these permissions; return where, None if that range translates nothing."""
        va = self._address()
        which = self._range(va)
        if which is None or disabled[which] or self.registers[f"TTBR{which}"] >> 40 & 0xFF:
            return None
        return va if self._put(va, 3, STUB | 1 << 10 | ap << 6 | 0b11, clean=True) else None

    def _address(self) -> int:
        """Return any address, now and then just at the edge of a range."""
        random = self.random
        edges = (0, 0xFFFF_F000, (1 << 32 - self.sizes[0]) - PAGE, (1 << 32) - (1 << 32 - self.sizes[1]))
        return random.choice((random.getrandbits(32), random.getrandbits(32), random.choice(edges))) & 0xFFFF_F000

    def _range(self, va: int) -> int | None:
        """Return which range translates an address; None for the gap between them."""
        zero, one = self.sizes
        if one and va >> 32 - one == (1 << one) - 1:
            return 1
        if zero and va >> 32 - zero:
            return None if one else 1
        return 0

    def _put(self, va: int, level: int, entry: int, clean: bool = False) -> bool:
        """Write an entry, and the tables on the way to it; False where something else is there."""
        which = self._range(va)
        if which is None:
            return False
        bits, depth, at = self.ranges[which]
        first = 4 - depth
        if level < first:
            return False
        for number in range(first, level + 1):
            low = 12 + 9 * (3 - number)
            width = bits - low if number == first else 9
            place = at + (va >> low & (1 << width) - 1) * 8
            if number == level:
                if place in self.entries:
                    return False
                self.entries[place] = entry
                return True
            key = which, number, place
            if key not in self.tables:
                if place in self.entries:
                    return False
                self.tables[key] = self._table(PAGE)
                pointer = self.tables[key] | 0b11
                if not clean and self.chance(3):
                    pointer |= self.random.getrandbits(5) << 59 | self.random.getrandbits(7) << 52
                    pointer = self._odd(pointer) if self.chance(3) else pointer
                self.entries[place] = pointer
            at = self.tables[key]
        return False

    def _long_mapping(self) -> list[int]:
        random = self.random
        va, level = self._address(), random.choice((1, 2, 3, 3, 3))
        size = 1 << 12 + 9 * (3 - level)
        output = self._output(size) if level > 1 else RAM_GIGABYTE
        entry = output | (0b11 if level == 3 else 0b01)
        entry |= random.getrandbits(3) << 2 | random.getrandbits(2) << 6 | random.getrandbits(2) << 8
        entry |= (not self.chance(8)) << 10 | random.getrandbits(1) << 11 | self.chance(4) << 5
        entry |= random.choice((0, 0, 1, 2, 3)) << 53 | self.chance(4) << 52 | random.getrandbits(4) << 55
        self._put(va, level, self._odd(entry))
        return self._around(va, size)


RAM_GIGABYTE = 0x4000_0000
"""What a block of level 1 maps: all of RAM, of which only data is touched."""
