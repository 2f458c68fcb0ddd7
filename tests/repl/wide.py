"""Tables that map every other page: a `map` with as many lines as are wanted."""

from __future__ import annotations

import struct

BASE = 0x46000000
"""Where they lie in the guest's RAM."""
PAGE = 4096
TABLE, LEAF = 0b11, 0x0060_0000_0000_0703
"""A descriptor of a table, and of a page: Inner Shareable, accessed, no execution."""
RUNS_OF_A_TABLE = 256
WHOLE = "map --limit 10000000"
"""A `map` of all there is, for a scan that goes on until somebody ends it."""


def tables(last_level: int, base: int = BASE) -> bytes:
    """Return a level 1 table at `base` and what is below it: so many level 3 tables of `RUNS_OF_A_TABLE` pages each."""
    middle = -(-last_level // 512)
    level_2 = base + PAGE
    level_3 = level_2 + middle * PAGE
    top = [level_2 + number * PAGE | TABLE for number in range(middle)]
    below = [level_3 + number * PAGE | TABLE for number in range(last_level)]
    leaves = [page << 12 | LEAF if page % 2 == 0 else 0 for page in range(512)]
    words = [*_padded(top), *_padded(below), *(leaves * last_level)]
    return struct.pack(f"<{len(words)}Q", *words)


def _padded(words: list[int]) -> list[int]:
    return words + [0] * (-len(words) % 512)
