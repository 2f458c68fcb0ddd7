"""A guest's second stage, counted: what `stage2` does, against no more than reading the same tables and their bits."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from bench.walks import timed
from gdbtools.addresses import PA
from gdbtools.analysis.guests.census import census
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import written_down

ROOT, BASE = 0x4000_0000, 0x8000_0000
PAGES, BLOCKS = 377, 413
"""As a Xen 4.17 has its dom0 of 512 MB on a cortex-a53: tables of pages, and blocks of 2 MB."""
REGISTERS = {
    "HCR_EL2": 0x807C_663F,
    "VTCR_EL2": 0x8002_3558,
    "VTTBR_EL2": 1 << 48 | ROOT,
    "ID_AA64MMFR0_EL1": 0x1122,
}
LEAF, TABLE = 0x80_0000_0000_07FD, 0x80_0000_0000_07FF
ROUNDS = 5


def tables(pages: int) -> bytes:
    """Return a root of two pages, two tables below it, and those of pages: together from `ROOT` on."""
    made = bytearray((4 + pages) * 4096)
    for number in range(2):
        struct.pack_into("<Q", made, 8 * number, TABLE | ROOT + (2 + number) * 4096)
    for number in range(pages):
        struct.pack_into("<Q", made, 2 * 4096 + 8 * number, TABLE | ROOT + (4 + number) * 4096)
        first = BASE + (number << 21)
        entries = (LEAF | 2 | first + (page << 12) for page in range(512))
        struct.pack_into("<512Q", made, (4 + number) * 4096, *entries)
    for number in range(BLOCKS):
        struct.pack_into("<Q", made, 2 * 4096 + 8 * (pages + number), LEAF | BASE + (pages + number << 21))
    return bytes(made)


def bare(read: Callable[[PA, int], bytes], table: int, shift: int, entries: int, counted: Counter[int]) -> None:
    """Count leaves by their size, and nothing else."""
    for (entry,) in struct.iter_unpack("<Q", read(PA(table), entries * 8)):
        if shift > 12 and entry & 3 == 3:
            bare(read, entry & 0xFFFF_FFFF_F000, shift - 9, 512, counted)
        elif entry & 1:
            counted[1 << shift] += 1


def report(smallest: bool = False) -> None:
    memory = tables(8 if smallest else PAGES)
    rounds = 1 if smallest else ROUNDS

    def read(pa: PA, size_bytes: int) -> bytes:
        return memory[pa - ROOT : pa - ROOT + size_bytes]

    [regime] = ARCHITECTURES["aarch64"].regimes(written_down(REGISTERS), "stage2")
    found = census(regime, read, None)
    counted = Counter[int]()
    bare(read, ROOT, 30, 1024, counted)
    assert found.leaves == counted.total(), "both see the same"
    ours = timed(lambda: census(regime, read, None), rounds)
    theirs = timed(lambda: bare(read, ROOT, 30, 1024, Counter()), rounds)
    print(f"{found.leaves} leaves in {found.tables} tables, read through memory of this process:")
    print(f"  stage2 takes {ours * 1e3:.1f} ms, {ours / theirs:.2f} times a bare loop's {theirs * 1e3:.1f} ms")
