"""How an address is cut into levels: one scheme for each value of MODE.

Source: The RISC-V Privileged Architecture, Sv32, Sv39, Sv48, Sv57, and "Guest Physical Address Translation".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from gdbtools.arch.model import Level

PAGE_BITS: Final = 12
NAPOT_BITS: Final = 4
"""log2 of how many pages a contiguous run has: 64 KiB is the only size."""
PHYSICAL_BITS: Final[Mapping[int, int]] = MappingProxyType({32: 34, 64: 56})
"""By XLEN: what an entry's page number can say."""


@dataclass(frozen=True)
class Scheme:
    """One way of translating: so many levels of tables with entries of so many bytes.

    `widened` is how many bits more a guest physical address has than a virtual one: the root is larger by as much.
    """

    name: str
    depth: int
    entry_bytes: int
    widened: int = 0

    @property
    def index_bits(self) -> int:
        """How many bits of an address a table resolves."""
        return 10 if self.entry_bytes == 4 else 9

    @property
    def input_bits(self) -> int:
        return PAGE_BITS + self.depth * self.index_bits + self.widened

    @property
    def physical_bits(self) -> int:
        return PHYSICAL_BITS[8 * self.entry_bytes]

    @property
    def is_canonical(self) -> bool:
        """Whether the bits above a virtual address repeat its highest: where there are such, and it is one."""
        return self.entry_bytes == 8 and not self.widened

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The levels of a whole address, the root first; the last is number 0."""
        return tuple(self._level(number) for number in reversed(range(self.depth)))

    def _level(self, number: int) -> Level:
        low = PAGE_BITS + number * self.index_bits
        wider = self.widened if number == self.depth - 1 else 0
        return Level(number, low + self.index_bits + wider - 1, low)


SV32: Final = Scheme("Sv32", 2, 4)
SV39: Final = Scheme("Sv39", 3, 8)
SV48: Final = Scheme("Sv48", 4, 8)
SV57: Final = Scheme("Sv57", 5, 8)
SCHEMES: Final[Mapping[int, Mapping[int, Scheme]]] = MappingProxyType({32: {1: SV32}, 64: {8: SV39, 9: SV48, 10: SV57}})
"""By XLEN and satp.MODE, vsatp.MODE; 0 is Bare."""
GUEST_SCHEMES: Final[Mapping[int, Mapping[int, Scheme]]] = MappingProxyType(
    {
        xlen: {mode: Scheme(f"{each.name}x4", each.depth, each.entry_bytes, 2) for mode, each in schemes.items()}
        for xlen, schemes in SCHEMES.items()
    }
)
"""By XLEN and hgatp.MODE."""
