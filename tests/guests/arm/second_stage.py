"""A random stage 2 below random tables of AArch32, of blocks and of another table."""

from __future__ import annotations

from random import Random

from tests.guests.arm.oracle import RAM

GIGABYTE, AF = 1 << 30, 1 << 10


def second_stage(random: Random, root: int, second: int, data: int) -> dict[int, int]:
    """Return a stage 2 of blocks: of the gigabyte that tables and data are in, 2MB each, and one for each other.

    Most lead to themselves, and some refuse: where the tables are, more seldom; `data` is where those end.
    """

    def block(ipa: int, one_in: int) -> int:
        odd = random.randrange(one_in) == 0
        if odd and random.randrange(3) == 0:
            return 0
        rights, flag = (random.randrange(4), random.choice((0, AF, AF))) if odd else (0b11, AF)
        return ipa | 0xF << 2 | rights << 6 | 3 << 8 | flag | 1

    entries = {root + 8 * number: block(number << 30, 3) for number in range(1 << 10)}
    entries[root + 8 * (RAM // GIGABYTE)] = second | 3
    for number in range(1 << 9):
        ipa = RAM + (number << 21)
        entries[second + 8 * number] = block(ipa, 8 if ipa < data else 3)
    return entries
