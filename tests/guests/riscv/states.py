"""Random states of RISC-V's translation: CSRs, tables in the oracle's RAM, and addresses worth asking about.

A state is drawn from one number, so that the number repeats it.  It is biased to edges: encodings that are reserved,
superpages that are misaligned, addresses just outside, entries of the wrong kind at the wrong level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.guests.riscv.oracle import (
    DATA,
    DATA_BYTES,
    FROM_STUB,
    MPP_S,
    MPRV,
    MPV,
    NA4,
    NAPOT,
    PMP_ENTRIES,
    RAM,
    RWX,
    STUB,
    TABLES,
    TABLES_BYTES,
    TOR,
    Operation,
    Request,
    napot,
)
from tests.guests.riscv.rules import ADUE, MSTATUS_MXR, MSTATUS_SUM, PBMTE, SSE, A, D, G, PMM_low, R, U, V, W, X

PAGE = 4096
ONE_STAGE = (Operation.LOAD, Operation.STORE, Operation.SWAP, Operation.LOAD_RESERVED, Operation.JUMP, *FROM_STUB)
TWO_STAGES = tuple(each for each in Operation if each <= Operation.STUB_SWAP)
BORROWED = (Operation.LOAD, Operation.STORE, Operation.SWAP, Operation.LOAD_RESERVED)
PERMISSIONS = (R, R | W, R | X, R | W | X, R | W | X, R | W | X, X)


@dataclass
class Stage:
    """The tables of one of satp, vsatp and hgatp; addresses of tables are as that register has them."""

    name: str
    levels: int
    index_bits: int
    root: int = 0
    tables: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def entry_bytes(self) -> int:
        return 8 if self.index_bits == 9 else 4

    def low(self, level: int) -> int:
        return 12 + level * self.index_bits

    @property
    def input_bits(self) -> int:
        return self.low(self.levels) + (2 if self.name == "hgatp" else 0)


@dataclass
class State:
    """Registers, the pages of the tables, where the stub is, and what is asked."""

    registers: dict[str, int]
    pages: dict[int, bytearray]
    stub_va: tuple[int, int]
    requests: list[Request]
    mode: str


class Drawing:
    """Draws one state."""

    def __init__(self, bits: int, number: int) -> None:
        self.random = Random(number)
        self.bits = bits
        self.wide = bits == 64
        self.pages: dict[int, bytearray] = {}
        self._next = TABLES
        self.registers: dict[str, int] = {}

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def draw(self) -> State:
        random = self.random
        two = random.randrange(5) > 1
        self._environment()
        self.targets = [DATA + random.randrange(0, DATA_BYTES, 4) for _ in range(random.randrange(3, 9))]
        modes = ((8, 9, 10) if self.wide else (1,)) + (() if random.randrange(6) else (0,))
        self.tight = random.randrange(3)
        """How rarely things are odd."""
        if two:
            self.second = self._stage("hgatp", random.choice(modes))
            self.first = self._stage("vsatp", random.choice(modes))
        else:
            self.second = None
            self.first = self._stage("satp", random.choice(modes))
        self._protect()
        self.window_level = random.choice((0, 0, 0, *range(1, self.second.levels))) if self.second else 0
        self.windows: dict[int, int] = {}
        stub_va = (self._stub(0), self._stub(U))
        if self.first:
            self.first.root = self.first.root or self._table(self.first, clean=True)
        addresses: list[int] = []
        for target in self.targets:
            addresses += self._mapping(target)
        for stage, name in ((self.first, "vsatp" if two else "satp"), (self.second, "hgatp")):
            if stage:
                mode = stage.levels + 5 if self.wide else 1
                identity = random.getrandbits(16) if name != "hgatp" else random.getrandbits(14)
                where = (60, 44) if self.wide else (31, 22)
                identity &= 0xFFFF if self.wide else 0x1FF if name != "hgatp" else 0x7F
                self.registers[name] = mode << where[0] | identity << where[1] | stage.root >> 12
        requests = [request for va in addresses for request in self._requests(va, two)]
        mode = "two stages" if two else "one stage"
        return State(self.registers, self.pages, stub_va, requests, mode)

    # Tables

    def _stage(self, name: str, mode: int) -> Stage | None:
        if not mode:
            return None
        stage = Stage(name, mode - 5, 9) if self.wide else Stage(name, 2, 10)
        if name == "hgatp":
            self._next += -self._next % (4 * PAGE)
            stage.root = self._next
            for page in range(4):
                self.pages[stage.root + page * PAGE] = bytearray(PAGE)
            self._next += 4 * PAGE
        elif name == "satp":
            stage.root = self._page()
        return stage

    def _page(self) -> int:
        pa = self._next
        self._next += PAGE
        assert self._next <= TABLES + TABLES_BYTES
        self.pages[pa] = bytearray(PAGE)
        return pa

    def _table(self, stage: Stage, clean: bool) -> int:
        """Return the address of a new table, as its stage sees it."""
        pa = self._page()
        if stage.name != "vsatp" or self.second is None:
            return pa
        level = self.window_level
        mask = (1 << self.second.low(level)) - 1
        base = self.windows.get(pa & ~mask)
        if base is None:
            # Where the sum with an offset in a table is still a guest physical address that VS-stage can name.
            bits = min(self.second.input_bits, 56 if self.wide else 34)
            base = self.random.getrandbits(bits) & ~mask
            entry = self._leaf(self.second, pa & ~mask, level, clean or not self.chance(12))
            if not clean and self.chance(
                4 if self.untouched else 12
            ):  # what a table need not have, and what an update of it needs
                entry = entry & ~(R | W | X) | self.random.choice((X, R, R | X))
            if not self._put(self.second, base, level, entry, clean):
                return self._table(stage, clean)
            self.windows[pa & ~mask] = base
        gpa = base | pa & mask
        self._where[gpa] = pa
        return gpa

    _where: dict[int, int]

    def _put(self, stage: Stage, address: int, level: int, entry: int, clean: bool = False) -> bool:
        """Write an entry, and the tables on the way to it; False where something else is there."""
        if not hasattr(self, "_where"):
            self._where = {}
        stage.root = stage.root or self._table(stage, clean)
        at = stage.root
        for upper in range(stage.levels - 1, level, -1):
            key = (upper, address >> stage.low(upper))
            if key not in stage.tables:
                if self._read(stage, at, upper, address):
                    return False
                stage.tables[key] = self._table(stage, clean)
                pointer = stage.tables[key] >> 12 << 10 | V
                if not clean and self.chance(30):
                    pointer = self._odd_pointer(stage, pointer, upper)
                self._write(stage, at, upper, address, pointer)
            at = stage.tables[key]
        if self._read(stage, at, level, address):
            return False
        self._write(stage, at, level, address, entry)
        return True

    def _entry(self, stage: Stage, at: int, level: int, address: int) -> tuple[bytearray, int]:
        wide = 2 if stage.name == "hgatp" and level == stage.levels - 1 else 0
        index = address >> stage.low(level) & ((1 << (stage.index_bits + wide)) - 1)
        pa = self._where.get(at, at) + index * stage.entry_bytes
        return self.pages[pa & -PAGE], pa % PAGE

    def _read(self, stage: Stage, at: int, level: int, address: int) -> int:
        page, offset = self._entry(stage, at, level, address)
        return int.from_bytes(page[offset : offset + stage.entry_bytes], "little")

    def _write(self, stage: Stage, at: int, level: int, address: int, entry: int) -> None:
        page, offset = self._entry(stage, at, level, address)
        page[offset : offset + stage.entry_bytes] = entry.to_bytes(stage.entry_bytes, "little")

    def _leaf(self, stage: Stage, output: int, level: int, clean: bool = False) -> int:
        """Return a leaf to `output`, which is as aligned as the level wants it."""
        random = self.random
        entry = output >> 12 << 10
        guest = stage.name == "hgatp"
        if clean:
            return entry | V | R | W | X | A | D | (U if guest else 0)
        entry |= V | random.choice(PERMISSIONS)
        entry |= U if (not self.chance(24) if guest else random.randrange(2)) else 0
        entry |= A if random.randrange(2 if self.untouched else 8) else 0
        entry |= D if random.randrange(2 if self.untouched else 7) else 0
        if not guest and self.registers.get("menvcfg", 0) & SSE and self.chance(4):
            entry = entry & ~(R | X) | W
        entry |= G if self.chance(6) else 0
        entry |= random.getrandbits(2) << 8
        if self.wide and level == 0 and self.chance(6):
            size = random.choice((0b1000, 0b1000, 0b1000, 0b1000, random.getrandbits(4)))
            entry = entry & ~(0xF << 10) | size << 10 | 1 << 63
        if self.wide and self.chance(10):
            entry |= random.randrange(4) << 61
        if self.chance((4, 10, 40)[self.tight]):
            entry = self._odd(stage, entry, level)
        return entry

    def _odd_pointer(self, stage: Stage, pointer: int, level: int) -> int:
        """Return a pointer with something of a leaf's, or wrong as any entry may be."""
        if self.chance(2):
            return self._odd(stage, pointer, level)
        return pointer | self.random.choice((A, D, U, *((1 << 61, 1 << 62, 1 << 63) if self.wide else ())))

    def _odd(self, stage: Stage, entry: int, level: int) -> int:
        """Return an entry that is wrong in one way."""
        random = self.random
        ways = [
            lambda: entry & ~V,
            lambda: entry & ~(R | W | X) | random.choice((W, W | X)),
            lambda: entry & ~(R | W | X),
            lambda: entry ^ random.choice((A, D, U)),
            lambda: entry ^ 1 << random.randrange(64 if self.wide else 32),
            lambda: entry ^ random.choice((R, W, X)),
            lambda: entry | 1 << 10 + random.randrange(max(1, stage.index_bits * level)),
            lambda: entry | 1 << (52 if self.wide else 31) - random.randrange(10),
        ]
        if self.wide:
            ways += [
                lambda: entry | 1 << random.randrange(54, 61),
                lambda: entry | 1 << 63,
                lambda: entry & ~(0xF << 10 | A) | 1 << 63 | random.getrandbits(4) << 10,
                lambda: entry & ~(0xF << 10) | 1 << 63 | random.getrandbits(4) << 10,
                lambda: entry | random.randrange(1, 4) << 61,
            ]
        return random.choice(ways)()

    # What is mapped

    def _level(self, stage: Stage) -> int:
        return self.random.choice((0, 0, 0, 1, 1, *range(stage.levels)))

    def _input(self, stage: Stage) -> int:
        """Return any address of a stage's input, canonical."""
        random, bits = self.random, stage.input_bits
        address = random.choice((0, (1 << bits) - 1, random.getrandbits(bits), random.getrandbits(bits)))
        return address if stage.name == "hgatp" else self._extended(stage, address)

    def _extended(self, stage: Stage, address: int) -> int:
        if self.wide and address >> (stage.input_bits - 1) & 1:
            return address | (1 << 64) - (1 << stage.input_bits)
        return address

    def _map(self, stage: Stage | None, output: int, clean: bool = False, leaf: int | None = None) -> tuple[int, int]:
        """Map some address to `output`; return it, and how many of its low bits are those of `output`."""
        if stage is None:
            return output, 64
        for _ in range(8):
            level = 0 if clean else self._level(stage)
            mask = (1 << stage.low(level)) - 1
            address = self._input(stage)
            if stage.name == "hgatp" and not (clean and self.first is None):
                address &= (1 << min(stage.input_bits, 56 if self.wide else 34)) - 1
            if self.first is None:  # what is there instead of a virtual address
                address &= (1 << self.bits) - 1
            address = address & ~mask | output & mask
            entry = self._leaf(stage, output & ~mask, level, clean)
            if leaf is not None:
                entry |= leaf
            if self.wide and entry >> 63 and not level:
                address = address & ~0xF000 | output & 0xF000
            if self._put(stage, address, level, entry, clean):
                return address, stage.low(level)
        return output, 0

    def _stub(self, user: int) -> int:
        """Map the stub for (V)S- or (V)U-mode, with nothing wrong on the way."""
        gpa, _ = self._map(self.second, STUB, clean=True)
        va, _ = self._map(self.first, gpa, clean=True, leaf=user)
        return va

    def _mapping(self, target: int) -> list[int]:
        """Map some address to a data page, and return addresses there and about."""
        random = self.random
        gpa, _ = self._map(self.second, target)
        if self.chance(25):
            gpa ^= 1 << random.randrange(12, 56 if self.wide else 34)
        va, _ = self._map(self.first, gpa)
        addresses = [va]
        top = self.first.input_bits if self.first else self.second.input_bits if self.second else 56
        if self.wide and self.chance(5):
            addresses.append(va ^ 1 << random.choice((63, top, top - 1, random.randrange(top - 1, 64))))
        if self.wide and self.registers.get("senvcfg", 0) >> PMM_low and self.chance(2):
            addresses.append(va ^ random.getrandbits(8) << random.choice((56, 48)))
        if self.chance(5):
            addresses.append(va ^ 1 << random.randrange(12, min(top, self.bits)))
        if self.chance(10):
            addresses.append(random.getrandbits(self.bits) & ~3)
        return [va & (1 << self.bits) - 1 for va in addresses]

    # The other registers

    def _environment(self) -> None:
        random = self.random
        bits = (ADUE, ADUE | PBMTE, PBMTE, 0, ADUE | PBMTE)
        self.registers["menvcfg"] = random.choice(bits)
        self.registers["henvcfg"] = random.choice(bits)
        self.untouched = self.chance(4)
        """Whether it is about the updates of A and D: by hardware, of entries that some keep from being written."""
        if self.untouched:
            for name in ("menvcfg", "henvcfg"):
                self.registers[name] |= ADUE
        if self.chance(3):
            self.registers["menvcfg"] |= SSE
            self.registers["henvcfg"] |= random.choice((0, SSE))
            self.registers["senvcfg"] = random.choice((0, SSE))
        if self.wide and self.chance(3):
            for name in ("menvcfg", "henvcfg", "senvcfg"):
                self.registers[name] = self.registers.get(name, 0) | random.choice((0, 2, 3)) << PMM_low
        self.registers["vsstatus"] = random.choice((0, MSTATUS_SUM, MSTATUS_MXR, MSTATUS_SUM | MSTATUS_MXR))

    def _protect(self) -> None:
        """Keep the guest itself and all devices out of reach, and now and then some of the rest."""
        random = self.random
        entries = [(NAPOT, napot(RAM, 16 << 20)), (NAPOT, napot(0, 1 << 31))]
        if self.wide:
            entries.append((NAPOT, napot(0x4_0000_0000, 1 << 34)))
        while len(entries) < PMP_ENTRIES - 1:
            config, address = 0, 0
            if self.chance(2 if self.untouched else 5):
                # Just behind what is touched, or where that begins; the upper half of a page is loads' and stores'.
                edge = random.choice(self.targets) | random.choice((0, 0x800, 0x800))
                where = edge + random.choice((0, 4)) if random.randrange(3) else TABLES + random.randrange(16) * PAGE
                size = 1 << random.choice((3, 4, 12, 12, 13, 16, 21, 24))
                config = random.choice((0, 1, 1, 1, 3, 4, 5, 5, 7))  # W without R is reserved
                if self.chance(4):
                    config, address = config | NA4, where >> 2
                elif self.chance(3) and len(entries) < PMP_ENTRIES - 2:
                    first = random.choice((where, where - size))
                    entries.append((0, first >> 2))
                    config, address = config | TOR, (first >> 2) + (size >> 2)
                else:
                    config, address = config | NAPOT, napot(where & -size, size)
            entries.append((config, address))
        entries.append((NAPOT | RWX, (1 << 54) - 1 if self.wide else (1 << 32) - 1))
        self.registers["pmpcfg0"] = sum(config << 8 * entry for entry, (config, _) in enumerate(entries))
        self.registers |= {f"pmpaddr{entry}": address for entry, (_, address) in enumerate(entries)}

    # What is asked

    def _requests(self, va: int, two: bool) -> list[Request]:
        random = self.random
        operations = TWO_STAGES if two else ONE_STAGE
        asked = []
        for operation in random.sample(operations, random.randrange(5, len(operations))):
            mstatus = random.choice((0, MPP_S)) | random.choice((0, MSTATUS_SUM)) | random.choice((0, 0, MSTATUS_MXR))
            mstatus |= MPV if two else 0
            mstatus |= MPRV if operation in BORROWED else 0
            # Loads and stores keep to the upper half of each page, so that no store changes what is fetched.
            at = va & ~0x800 if operation is Operation.JUMP else va | 0x800
            asked.append(Request(at, operation, mstatus))
        return asked
