"""Translation tables in a dict: physical memory for tests, and the registers that point at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gdbtools.arch.aarch64.registers.translation import TCR_EL1
from gdbtools.arch.aarch64.tables.descriptors import TYPE_BLOCK, TYPE_TABLE_OR_PAGE, leaf_descriptor, table_descriptor
from gdbtools.arch.aarch64.tables.geometry import levels_for
from gdbtools.arch.model import Level
from gdbtools.errors import Unavailable, Unreadable

GRANULES = {12: (0b00, 0b10), 14: (0b10, 0b01), 16: (0b01, 0b11)}
EL1H = 0b0101


@dataclass
class Tables:
    """One half's tables, 48 bits by default; `map` adds a leaf and gives where its descriptor is."""

    granule_bits: int = 12
    TnSZ: int = 16
    root: int = 0x4000_0000
    memory: dict[int, int] = field(default_factory=dict)
    _next: int = 0x4010_0000

    @property
    def levels(self) -> tuple[Level, ...]:
        return levels_for(self.granule_bits, 64 - self.TnSZ)

    def map(self, va: int, pa: int, level: int = 3, tables: Mapping[str, int] | None = None, **fields: int) -> int:
        """Map `va` to `pa` by a leaf at `level`, AF=1 unless said otherwise; `tables` go into new table descriptors."""
        table = self.root
        for each in self.levels:
            at = table + each.index(va) * 8
            if each.number == level:
                leaf = leaf_descriptor(each.low, level < 3)(0)
                kind = TYPE_TABLE_OR_PAGE if level == 3 else TYPE_BLOCK
                self.memory[at] = leaf.with_(OutputAddress=pa, **{"TYPE": kind, "AF": 1, **fields})
                return at
            if at not in self.memory:
                word = table_descriptor(self.granule_bits)(0)
                self.memory[at] = word.with_(TYPE=TYPE_TABLE_OR_PAGE, NextTable=self._next, **(tables or {}))
                self._next += 1 << self.granule_bits
            table = table_descriptor(self.granule_bits)(self.memory[at]).NextTable
        raise AssertionError("the level is not on the way")

    def read(self, pa: int, size_bytes: int) -> bytes:
        if not 0x4000_0000 <= pa < 0x5000_0000:
            raise Unreadable(pa, size_bytes, "these tables do not have it")
        found = b"".join(self.memory.get(at, 0).to_bytes(8, "little") for at in range(pa, pa + size_bytes, 8))
        return found[:size_bytes]

    def write(self, pa: int, data: bytes) -> None:
        for offset in range(0, len(data), 8):
            self.memory[pa + offset] = int.from_bytes(data[offset : offset + 8], "little")

    @property
    def description(self) -> str:
        return "tables in a test"

    def registers(self, **changes: int) -> dict[str, int]:
        tg0, tg1 = GRANULES[self.granule_bits]
        tcr = TCR_EL1(0).with_(T0SZ=self.TnSZ, T1SZ=self.TnSZ, TG0=tg0, TG1=tg1, IPS=5)
        return {
            "SCTLR_EL1": 0x1005,
            "TCR_EL1": int(tcr),
            "TTBR0_EL1": self.root,
            "TTBR1_EL1": self.root,
            "MAIR_EL1": 0xFF << 32 | 0x44 << 8,
            "ID_AA64MMFR0_EL1": 5 | 1 << 20,
            "ID_AA64MMFR1_EL1": 1 << 12,
            "ID_AA64MMFR2_EL1": 0,
            "cpsr": EL1H,
            "VBAR_EL1": 0x8000_0000,
            "pc": 0x8000_0200,
            "ESR_EL1": 0,
            "FAR_EL1": 0,
            "ELR_EL1": 0x1000,
            "SPSR_EL1": EL1H,
            **changes,
        }


def reader(values: Mapping[str, int]):
    """Give a register reader over a dict; what is not in it is Unavailable, as in a real source."""

    def read(name: str) -> int:
        if name not in values:
            raise Unavailable(f"no {name}; give it with --registers")
        return values[name]

    return read
