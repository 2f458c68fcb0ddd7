"""`map` and `walk` have to say the same of every page, of random tables of every scheme and of both stages."""

from __future__ import annotations

import random

import pytest

from gdbtools.addresses import VA
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.model import Hole, Mapped, Run
from gdbtools.arch.walk import walk
from tests.arch.riscv.machine import AD, PBMTE, RAM, G, Hart, R, U, V, W, X, guest, pte
from tests.tables import reader

N = 8 << 10 | 1 << 63
SCHEMES = {(64, 8): 3, (64, 9): 4, (64, 10): 5, (32, 1): 2}


def random_hart(xlen: int, mode: int, chance: random.Random) -> Hart:
    """Return a hart with a tree of tables: a few entries in each, leaves at every level, runs, and some contiguous."""
    depth, width = SCHEMES[xlen, mode], 9 if xlen == 64 else 10
    shift = 60 if xlen == 64 else 31
    hart = Hart({"satp": mode << shift | RAM >> 12, "menvcfg": PBMTE & (1 << xlen) - 1, "mstatus": 0, "priv": 1},
                xlen=xlen)  # fmt: skip
    free = RAM + 0x1000

    def fill(table: int, level: int) -> None:
        nonlocal free
        for start in chance.sample(range(0, 1 << width, 16), 5) + ([(1 << width) - 16] if level == depth - 1 else []):
            for index in range(start, start + chance.choice((1, 2, 16))):
                flags = V | AD | R | chance.choice((0, W, X)) | chance.choice((0, U)) | chance.choice((0, G))
                size = 1 << 12 + width * level
                if level and chance.random() < 0.5 and free < RAM + 0x80_0000:
                    hart.put(table, index, pte(free, V | chance.choice((0, 0, G))))
                    below, free = free, free + 0x1000
                    if free < RAM + 0x20_0000:
                        fill(below, level - 1)
                elif size < 1 << 32:
                    hart.put(table, index, pte(size * (index + 1) & (1 << 34) - 1, flags))
            if not level and xlen == 64 and chance.random() < 0.4:
                for index in range(start, start + 16):
                    hart.put(table, index, pte(start << 12, V | AD | R | W) | N)

    fill(RAM, depth - 1)
    return hart


def mapped(hart: Hart, name: str) -> dict[int, tuple[Run, int]]:
    """Return the first and the last leaf of each run, and where they lead."""
    found = {}
    for regime in hart.architecture.regimes(reader(hart.regs), name):
        last = regime.first - 1
        for each in mappings_of(regime, hart.read):
            assert not isinstance(each, Hole)
            assert last < each.first <= each.last <= regime.last
            assert each.output is not None
            last = each.last
            for address in {each.first, each.last & -each.leaf_bytes}:
                found[address] = each, each.output + each.offset_of(address)
    return found


@pytest.mark.parametrize(("xlen", "mode"), SCHEMES)
def test_each_run_is_what_walks_find(xlen: int, mode: int) -> None:
    chance = random.Random(mode)
    for _ in range(3):
        hart = random_hart(xlen, mode, chance)
        found = mapped(hart, "s")
        assert len(found) > 20
        whole = hart.architecture.regime_for(reader(hart.regs), VA(0), "s")
        for address, (run, output) in found.items():
            one = walk(whole, VA(address), hart.read)
            assert isinstance(one.outcome, Mapped), hex(address)
            assert one.outcome.address == output, hex(address)
            assert one.attributes == run.attributes
            assert one.leaf is not None
            assert run.leaf_bytes == one.leaf.level.size_bytes


def leaves(hart: Hart, table: int, level: int, first: int, xlen: int) -> dict[int, int]:
    """Return every leaf by a recursion of its own: address to output."""
    width, found = 9 if xlen == 64 else 10, {}
    for index in range(1 << width):
        entry = hart.memory.get(table + index * (xlen // 8), 0)
        address = first + (index << 12 + width * level)
        page = entry >> 10 & (1 << 44) - 1
        if entry & V and not entry & (R | W | X) and level:
            found |= leaves(hart, page << 12, level - 1, address, xlen)
        elif entry & V and entry & (R | W | X):
            found[address] = (page & ~15 | index & 15 if entry >> 63 else page) << 12
    return found


@pytest.mark.parametrize(("xlen", "mode"), SCHEMES)
def test_nothing_is_missing_and_nothing_is_there_twice(xlen: int, mode: int) -> None:
    hart = random_hart(xlen, mode, random.Random(1000 + mode))
    depth, bits = SCHEMES[xlen, mode], 12 + (9 if xlen == 64 else 10) * SCHEMES[xlen, mode]
    expected = leaves(hart, RAM, depth - 1, 0, xlen)
    if xlen == 64:
        upper = (1 << 64) - (1 << bits)
        expected = {address + (upper if address >> bits - 1 else 0): output for address, output in expected.items()}
    found = {}
    for regime in hart.architecture.regimes(reader(hart.regs), "s"):
        for run in mappings_of(regime, hart.read):
            assert isinstance(run, Run)
            assert run.output is not None
            for address in range(run.first, run.last + 1, run.leaf_bytes):
                assert address not in found
                found[address] = run.output + run.offset_of(address)
    assert found == expected


def test_both_halves_of_one_root_are_two_ranges() -> None:
    hart = Hart({"satp": 9 << 60 | RAM >> 12, "menvcfg": 0, "mstatus": 0, "priv": 1})
    lower, upper = hart.architecture.regimes(reader(hart.regs))
    assert (lower.first, lower.last) == (0, (1 << 47) - 1)
    assert (upper.first, upper.last) == ((1 << 64) - (1 << 47), (1 << 64) - 1)
    assert lower.root == upper.root == RAM
    assert lower.levels[0].index(lower.last) == 255
    assert upper.levels[0].index(upper.first) == 256
    assert [level.number for level in upper.levels] == [3, 2, 1, 0]


def test_a_map_of_a_guest_is_what_both_stages_make_of_it() -> None:
    hart = guest(V | R | W | AD)
    hart.put(RAM + 0x12000, 16, pte(0x3000, V | R | AD))
    hart.put(RAM + 0x12000, 17, pte(0x1_0000, V | R | AD))
    found = [each for regime in hart.architecture.regimes(reader(hart.regs)) for each in mappings_of(regime, hart.read)]
    shown = [(each.first, each.output, each.ipa, each.fault and each.fault.stage) for each in found
             if isinstance(each, Run)]  # fmt: skip
    assert shown == [
        (0, RAM + 0x20000, 0x3000, None), (0x1_0000, RAM + 0x20000, 0x3000, None), (0x1_1000, None, 0x1_0000, 2)
    ]  # fmt: skip
    (stage,) = hart.architecture.regimes(reader(hart.regs), "g")
    assert [(run.first, run.size_bytes) for run in mappings_of(stage, hart.read)] == [
        (0, 0x3000), (0x3000, 0x1000)
    ]  # fmt: skip
    assert stage.levels[0].entries == 2048
