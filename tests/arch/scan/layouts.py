"""Tables that are built with raw integers and shifts, no Field of gdbtools; what they map is kept leaf by leaf."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gdbtools.errors import Unreadable

# A descriptor's bits.
VALID, TABLE, PAGE, BLOCK = 0b01, 0b11, 0b11, 0b01
AF = 1 << 10


@dataclass(frozen=True)
class Format:
    """How tables are laid out; `name` is how AArch64.regimes calls the regime."""

    granule: int = 12
    wide: str = ""
    """The layout of high output bits: none, "lpa" (64KB) or "lpa2" (4KB and 16KB)."""
    input_bits: int = 48
    output_bits: int = 48
    upper: bool = False
    big: bool = False
    start: int | None = None
    """Where stage 2 starts; None is stage 1."""

    @property
    def order(self) -> str:
        return "big" if self.big else "little"

    @property
    def levels(self) -> list[tuple[int, int, int]]:
        """(number, lowest bit, entries), root first."""
        found, low, number = [], self.granule, 3
        while low < self.input_bits:
            bits = min(self.granule - 3, self.input_bits - low)
            if number == self.start:
                bits = self.input_bits - low
            found.insert(0, (number, low, 1 << bits))
            low += bits
            number -= 1
        return found

    @property
    def leaf_levels(self) -> list[int]:
        blocks = {(12, ""): (1, 2), (12, "lpa2"): (0, 1, 2), (14, ""): (2,), (14, "lpa2"): (1, 2), (16, ""): (2,),
                  (16, "lpa"): (1, 2)}  # fmt: skip
        own = [number for number, _, _ in self.levels]
        return [number for number in (*blocks[self.granule, self.wide], 3) if number in own]

    @property
    def base(self) -> int:
        return (1 << 64) - (1 << self.input_bits) if self.upper else 0

    def low_of(self, level: int) -> int:
        return next(low for number, low, _ in self.levels if number == level)

    def size_of(self, level: int) -> int:
        return 1 << self.low_of(level)

    def placed(self, address: int) -> int:
        """Put an output address or a table's address where a descriptor has it."""
        if self.wide == "lpa":
            return address & (1 << 48) - 1 | address >> 48 << 12
        if self.wide == "lpa2":
            return address & (1 << 50) - 1 | address >> 50 << 8
        return address

    def ttbr(self, root: int) -> int:
        return root & (1 << 48) - 1 | root >> 48 << 2 if self.output_bits == 52 or self.wide == "lpa2" else root


@dataclass(repr=False)
class Memory:
    """Pages of bytes: what is in none of them cannot be read.  `reads` counts what was asked for."""

    pages: dict[int, bytearray] = field(default_factory=dict)
    reads: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, pa: int, size_bytes: int) -> None:
        for page in range(pa >> 12, pa + size_bytes + 4095 >> 12):
            self.pages.setdefault(page, bytearray(4096))

    def read(self, pa: int, size_bytes: int) -> bytes:
        self.reads[pa, size_bytes] += 1
        pages = range(pa >> 12, pa + size_bytes + 4095 >> 12)
        if any(page not in self.pages for page in pages):
            raise Unreadable(pa, size_bytes, "no such page here")
        data = b"".join(self.pages[page] for page in pages)
        return data[pa & 4095 : (pa & 4095) + size_bytes]

    def word(self, pa: int, order: str) -> int:
        return int.from_bytes(self.pages[pa >> 12][pa & 4095 : (pa & 4095) + 8], order)

    def put(self, pa: int, value: int, order: str) -> None:
        self.pages[pa >> 12][pa & 4095 : (pa & 4095) + 8] = value.to_bytes(8, order)

    def __repr__(self) -> str:
        return f"{len(self.pages)} pages"


@dataclass(frozen=True)
class Leaf:
    """One block or page as it was mapped: `bits` are its raw attributes, `above` what its tables impose."""

    first: int
    size: int
    output: int
    level: int
    bits: int
    above: int
    at: int

    @property
    def last(self) -> int:
        return self.first + self.size - 1


class Builder:
    """Writes tables into memory; `leaves` are what they map."""

    def __init__(self, layout: Format, root: int, pool: int, memory: Memory | None = None, junk: int = 0) -> None:
        self.layout = layout
        self.memory = Memory() if memory is None else memory
        self.root = root
        self.pool = pool
        self.leaves: dict[int, Leaf] = {}
        self.paths: dict[int, list[int]] = {}
        """Where the descriptors of each leaf are, root first."""
        self.entries: dict[tuple[int, int], tuple[str, int, int]] = {}
        """By (level, index over the whole space): what it is, where it leads, what it imposes."""
        size = layout.levels[0][2] * 8
        self.memory.add(root, size)
        if junk:
            # What lies behind a root that is smaller than its page is somebody else's.
            for at in range(root + size, root + 4096 & -4096, 8):
                self.memory.put(at, junk, layout.order)

    def map(self, va: int, output: int, level: int, bits: int = AF, above: int = 0) -> Leaf | None:
        """Map one leaf, with `above` in the table descriptors that are made for it; None where it does not fit."""
        layout, table, limits = self.layout, self.root, 0
        offset = va - layout.base
        if offset >> layout.input_bits or output % layout.size_of(level):
            return None
        way = []
        for number, low, _ in layout.levels:
            if number == level:
                break
            kind = self.entries.get((number, offset >> low))
            if kind is not None and kind[0] != "table":
                return None
            way.append((number, low))
        if (level, offset >> layout.low_of(level)) in self.entries:
            return None
        path = []
        for number, low in way:
            at = table + (offset >> low) % self._entries(number) * 8
            if (number, offset >> low) not in self.entries:
                child = self.pool
                self.pool += 1 << layout.granule
                self.memory.add(child, 1 << layout.granule)
                self.memory.put(at, layout.placed(child) | TABLE | above, layout.order)
                self.entries[number, offset >> low] = "table", child, above
            _, table, own = self.entries[number, offset >> low]
            limits |= own
            path.append(at)
        low = layout.low_of(level)
        at = table + (offset >> low) % self._entries(level) * 8
        self.memory.put(at, layout.placed(output) | (PAGE if level == 3 else BLOCK) | bits, layout.order)
        self.entries[level, offset >> low] = "leaf", output, bits
        leaf = Leaf(va, 1 << low, output, level, bits, limits, at)
        self.leaves[va] = leaf
        self.paths[va] = [*path, at]
        return leaf

    def holding(self, address: int) -> Leaf | None:
        """Return the leaf that an address is in."""
        for low in {low for _, low, _ in self.layout.levels}:
            leaf = self.leaves.get(address >> low << low)
            if leaf is not None and leaf.size == 1 << low:
                return leaf
        return None

    def _entries(self, level: int) -> int:
        return next(entries for number, _, entries in self.layout.levels if number == level)

    def deepest(self, va: int) -> int:
        """Return the level of the last table on the way to an address."""
        found = self.layout.levels[0][0]
        for number, low, _ in self.layout.levels:
            if self.entries.get((number, va - self.layout.base >> low), ("",))[0] != "table":
                return number
            found = number
        return found

    def in_order(self) -> list[Leaf]:
        return [self.leaves[va] for va in sorted(self.leaves)]

    def __repr__(self) -> str:
        leaves = "".join(
            f"\n    {leaf.first:#x}+{leaf.size:#x} -> {leaf.output:#x} {leaf.bits:#x} under {leaf.above:#x}"
            for leaf in self.in_order()[:20]
        )
        return f"{self.layout}, root {self.root:#x}:{leaves}"

    @property
    def table_addresses(self) -> set[int]:
        return {self.root} | {child for kind, child, _ in self.entries.values() if kind == "table"}
