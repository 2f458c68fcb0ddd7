"""Random tables and registers, biased to the edges: gdbtools and the manual's plain algorithm have to say the same."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from gdbtools.errors import Unreadable
from tests.arch.riscv import reference
from tests.arch.riscv.machine import AD, ADUE, MXR, PBMTE, RAM, SSE, SUM, A, D, G, Hart, R, U, V, W, X, pte

ROUNDS = 200_000 if os.environ.get("GDBTOOLS_FULL") else 10_000
TABLES = [RAM + n * 0x4000 for n in range(8)]
PAGES = [RAM + 0x40_0000, RAM + 0x8000, RAM, RAM + 0x100_0000, RAM + 0x1_0000]
ALL = V | R | W | X | U | AD


def some_leaf(chance: random.Random, xlen: int) -> int:
    flags = V | chance.choice((R, R | W, X, R | X, R | W | X, W, W | X, R | W | X))
    flags |= chance.choice((U, U, 0)) | chance.choice((AD, AD, AD, A, D, 0)) | chance.choice((G, 0, 0))
    entry = pte(chance.choice(PAGES), flags | chance.randrange(4) << 8)
    if xlen == 64 and chance.random() < 0.25:
        bits = (61, 62, 54, 58, 59, 60, 63)
        entry |= chance.choice((3 << 61, 8 << 10 | 1 << 63, *(1 << bit for bit in bits)))
    if chance.random() < 0.1:
        entry |= 1 << 10 + chance.randrange(12)
    return entry


def some_table(chance: random.Random, xlen: int) -> int:
    entry = pte(chance.choice(TABLES), V)
    if chance.random() < 0.12:
        entry |= chance.choice((A, D, U, G, 1 << 8, *((1 << 54, 1 << 61, 1 << 63) if xlen == 64 else ())))
    return entry


def some_entry(chance: random.Random, xlen: int) -> int:
    if chance.random() < 0.05:
        return chance.choice((0, V, ALL & ~V, (1 << xlen) - 1))
    return some_table(chance, xlen) if chance.random() < 0.55 else some_leaf(chance, xlen)


def some_hart(chance: random.Random, xlen: int) -> Hart:
    modes = [8, 8, 9, 10, 0] if xlen == 64 else [1, 1, 1, 0]
    shift = 60 if xlen == 64 else 31

    def root() -> int:
        mode = chance.choice(modes)
        return mode << shift | chance.choice(TABLES) >> 12 if mode else 0

    hart = Hart({"satp": root(), "vsatp": root(), "hgatp": root()}, xlen=xlen)
    for table in TABLES:
        # The indexes that the addresses below use, at every level, and of a root of 16 KiB.
        for index in (0, 1, 2, 3, 255, 256, 510, 511, 512, 1023, 1024, 2047):
            if index < 0x4000 // (xlen // 8):
                hart.put(table, index, some_entry(chance, xlen))
    environment = chance.choice((0, ADUE)) | chance.choice((0, PBMTE, PBMTE)) | chance.choice((0, SSE))
    guests = chance.choice((0, ADUE)) | chance.choice((0, PBMTE, PBMTE)) | chance.choice((0, SSE))
    status = chance.choice((0, SUM)) | chance.choice((0, MXR))
    hart.regs |= {"mstatus": status, "vsstatus": chance.choice((0, SUM)) | chance.choice((0, MXR)), "priv": 1}
    if xlen == 64:
        masks = [chance.choice((0, 0, 2, 3)) << 32 for _ in range(3)]
        hart.regs |= {"menvcfg": environment | masks[0], "henvcfg": guests | masks[1], "senvcfg": masks[2]}
    else:
        hart.regs |= {"menvcfg": environment & 0xFFFF_FFFF, "menvcfgh": environment >> 32}
        hart.regs |= {"henvcfg": guests & 0xFFFF_FFFF, "henvcfgh": guests >> 32}
    if chance.random() < 0.3:
        hart.regs |= some_protection(chance)
    return hart


def some_protection(chance: random.Random) -> dict[str, int]:
    """Two entries of any kind, and most often one below them that grants all."""
    regs = {"mseccfg": chance.choice((0, 0, 1, 2, 3)), "pmpcfg0": 0}
    for entry in range(2):
        regs["pmpcfg0"] |= (chance.randrange(256) & ~0x60) << 8 * entry
        regs[f"pmpaddr{entry}"] = chance.choice((RAM + 0x1000, RAM + 0x40_0000, RAM + 0x8000, 0)) >> 2 | chance.choice(
            (0, 1, 0x1FF, 0xFFF)
        )
    if chance.random() < 0.8:
        regs["pmpcfg0"] |= 0x1F << 16
        regs["pmpaddr2"] = (1 << 32) - 1
    return regs


def some_address(chance: random.Random, xlen: int) -> int:
    levels, width = (5, 9) if xlen == 64 else (2, 10)
    va = chance.choice((0, 8, 0xFF8)) | chance.choice((0, 1, 3, 15)) << 12
    for level in range(1, levels):
        va |= chance.choice((0, 1, 2, 255, 256, 511)) << 12 + width * level
    if xlen == 32:
        return va & 0xFFFF_FFFF
    low = chance.choice((39, 48, 57, 41, 50, 59))
    va &= (1 << low) - 1
    kind = chance.random()
    if kind < 0.45 and low in (39, 48, 57) and va >> low - 1:
        va |= (1 << 64) - (1 << low)
    elif kind < 0.55:
        va ^= 1 << chance.randrange(38, 64)
    elif kind < 0.65:
        va |= 0xA5 << 56
    return va


@pytest.mark.parametrize("xlen", [64, 32])
def test_every_outcome_is_the_manuals(xlen: int) -> None:
    chance, seen = random.Random(xlen * 4_711), Counter[tuple[str, int]]()
    for number in range(ROUNDS if xlen == 64 else ROUNDS // 2):
        if number % 5 == 0:
            hart = some_hart(chance, xlen)
        va, kind = some_address(chance, xlen), chance.choice(("read", "write", "fetch", "read", "hlvx"))
        mode = chance.choice(("vs", "vu")) if kind == "hlvx" else chance.choice(("u", "s", "vu", "vs", "m"))
        try:
            expected = reference.outcome(hart.regs, hart.load, va, kind, mode, xlen)
        except Unreadable:
            with pytest.raises(Unreadable):
                hart.outcome(va, kind, mode)
            continue
        found = hart.outcome(va, kind, mode)
        assert found == expected, (number, hex(va), kind, mode, {k: hex(v) for k, v in hart.regs.items()})
        seen[expected if expected[0] == "fault" else ("mapped", 0)] += 1
    codes = {code for what, code in seen if what == "fault"}
    assert codes == {1, 5, 7, 12, 13, 15, 20, 21, 23}, seen
    assert seen["mapped", 0] > 100, seen
