"""`rmap` of one page among a million: the first question, which looks at all, against the second, which looks it up."""

from __future__ import annotations

import random
import struct
import tracemalloc

from bench.walks import ROUNDS, timed
from gdbtools.addresses import PA
from gdbtools.analysis.reverse_index import ReverseIndex, ReverseIndexes
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Regime, written_down

TABLE, PAGE, ACCESSED = 0b11, 0b11, 1 << 10
ENTRIES, PAGE_BYTES = 512, 4096
FRAMES = 1 << 40
"""Where the pages lead, each beside no other: as many runs as there are leaves."""


def image(last_tables: int) -> tuple[bytes, Regime]:
    """Return tables of so many last ones, full of pages that lead anywhere, and their regime: 4 levels of 4 KiB."""
    middle = -(-last_tables // ENTRIES)
    first_last = 2 + middle
    memory = [[PAGE_BYTES | TABLE] + [0] * (ENTRIES - 1)]
    memory.append([(2 + number) * PAGE_BYTES | TABLE for number in range(middle)] + [0] * (ENTRIES - middle))
    tables = [(first_last + number) * PAGE_BYTES | TABLE for number in range(last_tables)]
    tables += [0] * (middle * ENTRIES - last_tables)
    memory += [tables[at : at + ENTRIES] for at in range(0, len(tables), ENTRIES)]
    frames = [*range(last_tables * ENTRIES)]
    random.Random(1).shuffle(frames)
    leaves = [FRAMES + each * PAGE_BYTES | PAGE | ACCESSED for each in frames]
    memory += [leaves[at : at + ENTRIES] for at in range(0, len(leaves), ENTRIES)]
    registers = {
        "SCTLR_EL1": 1, "TCR_EL1": 16 | 16 << 16 | 0b10 << 30 | 5 << 32 | 1 << 23, "TTBR0_EL1": 0, "TTBR1_EL1": 0,
        "MAIR_EL1": 0xFF, "cpsr": 0b0101, "ID_AA64MMFR0_EL1": 5, "ID_AA64MMFR1_EL1": 0, "ID_AA64MMFR2_EL1": 0,
        "ID_AA64PFR0_EL1": 0x11,
    }  # fmt: skip
    regime = ARCHITECTURES["aarch64"].regimes(written_down(registers))[0]
    return b"".join(struct.pack("<512Q", *each) for each in memory), regime


def report(smallest: bool = False) -> None:
    data, regime = image(8 if smallest else 2048)
    read = lambda pa, size_bytes: data[pa : pa + size_bytes]  # noqa: E731
    wanted = PA(FRAMES + 1234 * PAGE_BYTES)
    leaves = (8 if smallest else 2048) * ENTRIES
    first = timed(lambda: ReverseIndex(regime, read).leading_to(wanted, read), 1)
    kept = ReverseIndexes()
    tracemalloc.start()
    assert len(kept.of(regime, read).leading_to(wanted, read)) == 1
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    second = timed(lambda: kept.of(regime, read).leading_to(wanted, read), 1 if smallest else ROUNDS)
    print(f"rmap of a page among {leaves:,} leaves, no two of which make a run, read through memory of this process:")
    print(f"  first question   {1000 * first:9.1f} ms")
    print(f"  second question  {1000 * second:9.1f} ms, {first / second:.0f} times as fast; {held >> 20} MB kept")
