"""A guest with two roots in a dict: a trampoline's for EL0, and the kernel's some way behind it, as Linux has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.tables import Tables

NORMAL, EL0T, EL1H = 4, 0b0000, 0b0101
ROOT = 0x4030_0000
"""TTBR1_EL1 at EL0."""
USER_ASID = 1 << 48
TRAMPOLINE = 0xFFFF_FBFF_FDBF_6000
"""Three pages, the vectors in the second; the one behind them is the kernel's alone."""
VECTORS = TRAMPOLINE + 0x1800
CODE_PA = 0x4040_0000
KERNEL = 0xFFFF_C000_0800_0000
KERNEL_PA = 0x4050_0000
KERNEL_VECTORS = KERNEL + 0x800
KERNEL_PAGES = 64
PLANTED = 0xFFFF_C000_0900_0000
USER = 0x40_0000

MRS_TTBR1, MSR_TTBR1, MSR_VBAR, ISB, NOP, RET = 0xD538203E, 0xD518203E, 0xD518C01E, 0xD5033FDF, 0xD503201F, 0xD65F03C0
MSR_TPIDRRO, BL_8, B_HERE, BIC_USER_ASID = 0xD51BD07E, 0x94000002, 0x14000000, 0x924FFBDE
PRFM = 0xF98203C9


def add_pages(pages: int) -> int:
    """Encode `add x30, x30, #pages, lsl #12`, or `sub` for a root that lies before."""
    return (0xD14003DE if pages < 0 else 0x914003DE) | abs(pages) << 10


def load_literal(words: int) -> int:
    """Encode `ldr x30, .+4*words`."""
    return 0x5800001E | words << 5


@dataclass
class Isolated:
    """The guest; `pages` is how far the kernel's root lies behind the trampoline's."""

    pages: int = 2
    lower: Tables = field(default_factory=lambda: Tables(_next=0x4000_1000))
    reduced: Tables = field(init=False)
    full: Tables = field(init=False)

    def __post_init__(self) -> None:
        memory = self.lower.memory
        self.reduced = Tables(root=ROOT, memory=memory, _next=0x4030_8000)
        self.full = Tables(root=ROOT + (self.pages << 12), memory=memory, _next=0x4031_8000)
        self.lower.map(USER, 0x4060_0000, AttrIndx=NORMAL, SH=3, AP=0b11, PXN=1, nG=1)
        for page in range(3):
            for tables in (self.reduced, self.full):
                self._code(tables, TRAMPOLINE + (page << 12), CODE_PA + (page << 12))
        self._code(self.full, TRAMPOLINE + 0x3000, CODE_PA + 0x3000)
        for page in range(KERNEL_PAGES):
            self._code(self.full, KERNEL + (page << 12), KERNEL_PA + (page << 12))
        self.put(CODE_PA + 0x3000, KERNEL_VECTORS, 0)
        self.write_entry(self.entry())

    def _code(self, tables: Tables, va: int, pa: int) -> None:
        tables.map(va, pa, AttrIndx=NORMAL, SH=3, AP=0b10, UXN=1, nG=1)

    def plant(self) -> None:
        """Map a page of the kernel that is writable and executable."""
        self.full.map(PLANTED, 0x4061_0000, AttrIndx=NORMAL, SH=3, AP=0b00, UXN=1, nG=1)

    def entry(self) -> list[int]:
        """Return the instructions of a vector entry, as Linux has them; the literal is in the fourth page."""
        head = [MSR_TPIDRRO, BL_8, B_HERE, MRS_TTBR1, add_pages(self.pages), BIC_USER_ASID, MSR_TTBR1]
        head += [*[NOP] * 6, ISB]
        words = (0x3000 - 0x1C00) // 4 - len(head)
        return [*head, load_literal(words), PRFM, MSR_VBAR, ISB, RET]

    def write_entry(self, instructions: Sequence[int]) -> None:
        """Put the code at the entry for a lower level's synchronous exceptions."""
        padded = [*instructions, *[0] * (len(instructions) % 2)]
        for at in range(0, len(padded), 2):
            self.put(CODE_PA + 0x1C00 + 4 * at, *padded[at : at + 2])

    def read(self, pa: int, size_bytes: int) -> bytes:
        """Return physical memory from any address; the tables' own give whole words."""
        first, end = pa & -8, pa + size_bytes + 7 & -8
        return self.lower.read(first, end - first)[pa - first :][:size_bytes]

    def put(self, pa: int, low: int, high: int) -> None:
        self.lower.memory[pa] = low | high << 32

    def at_el0(self, **changes: int) -> dict[str, int]:
        registers = self.lower.registers(
            TTBR1_EL1=ROOT | USER_ASID, VBAR_EL1=VECTORS, cpsr=EL0T, pc=USER, SPSR_EL1=EL0T, ELR_EL1=USER
        )
        return registers | changes

    def in_kernel(self, **changes: int) -> dict[str, int]:
        kernel = {"TTBR1_EL1": self.full.root, "VBAR_EL1": KERNEL_VECTORS, "cpsr": EL1H, "pc": KERNEL}
        return self.at_el0(**kernel) | changes
