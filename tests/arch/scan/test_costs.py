"""What a scan costs, counted and not timed: entries decoded, tables read, bytes kept of a run."""

from __future__ import annotations

import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable
from itertools import islice

import pytest

from gdbtools.addresses import PA
from gdbtools.analysis.footprint import read_tables
from gdbtools.analysis.mappings import CountedRead, mappings_of
from gdbtools.arch.aarch64.translation.stage1 import Stage1
from gdbtools.arch.model import Entry, Hole, Level, Read, Regime, Run
from gdbtools.arch.scan import Scanner, scan
from gdbtools.errors import Unreadable
from tests.arch.scan.layouts import AF, PAGE, TABLE, Format
from tests.arch.scan.registers import ARM, stage1_registers
from tests.tables import reader

AT, TABLE_BYTES, ENTRIES = 0x4000_0000, 1 << 12, 512
FEW, MORE = 8, 32
"""Tables of the last level."""
Leaf = Callable[[int], int]


def dense(page: int) -> int:
    return 0x8000_0000 + page * TABLE_BYTES | AF | PAGE


def scattered(page: int) -> int:
    """No two neighbours lead to neighbours."""
    return 0x8000_0000 + 2 * page * TABLE_BYTES | AF | PAGE


def mixed(page: int) -> int:
    """Every other one is another's kind."""
    return scattered(page) | (page & 1) << 54


def built(tables: int, leaf: Leaf) -> tuple[Regime, Read]:
    """Return a half with so many last-level tables below one of level 2."""
    first = AT + 3 * TABLE_BYTES
    levels = [[AT + TABLE_BYTES | TABLE], [AT + 2 * TABLE_BYTES | TABLE]]
    levels += [[first + at * TABLE_BYTES | TABLE for at in range(tables)]]
    levels += [[leaf(at * ENTRIES + index) for index in range(ENTRIES)] for at in range(tables)]
    memory = b"".join(struct.pack("<512Q", *entries, *[0] * (ENTRIES - len(entries))) for entries in levels)

    def read(pa: PA, size_bytes: int) -> bytes:
        if not AT <= pa <= AT + len(memory) - size_bytes:
            raise Unreadable(pa, size_bytes, "it is not there")
        return memory[pa - AT :][:size_bytes]

    return ARM.regime_for(reader(stage1_registers(Format(), AT)), 0, "el1"), read


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many entries of each level have been decoded."""
    counted: Counter[int] = Counter()
    decode = Stage1.decode

    def counting(regime: Stage1, raw: bytes, level: Level) -> Entry:
        counted[level.number] += 1
        return decode(regime, raw, level)

    monkeypatch.setattr(Stage1, "decode", counting)
    return counted


@pytest.mark.parametrize("leaf", [dense, scattered, mixed])
def test_entries_that_say_the_same_are_decoded_once_however_many_tables_have_them(
    leaf: Leaf, decoded: Counter[int]
) -> None:
    costs = []
    for tables in (FEW, MORE):
        decoded.clear()
        runs = [each for each in scan(*built(tables, leaf)) if isinstance(each, Run)]
        assert sum(run.leaves for run in runs) == tables * ENTRIES
        costs.append(Counter(decoded))
    assert costs[0] == costs[1]
    assert costs[0].total() < 10


def test_tables_are_read_for_a_capture_with_no_entry_of_the_last_level_decoded(decoded: Counter[int]) -> None:
    regime, read = built(MORE, mixed)
    asked = []

    def noted(pa: PA, size_bytes: int) -> bytes:
        asked.append(pa)
        return read(pa, size_bytes)

    assert read_tables([regime], noted) == 0
    assert len(set(asked)) == len(asked) == 3 + MORE
    assert decoded[3] == 0


def test_runs_are_kept_in_less_than_64_bytes_each_and_are_what_the_scan_yields() -> None:
    regime, read = built(MORE, scattered)
    scanner = Scanner(regime, read)
    tracemalloc.start()
    runs = scanner.runs()
    kept = tracemalloc.get_traced_memory()[0] - sum(len(read(pa, TABLE_BYTES)) for pa, _ in scanner.tables.met())
    tracemalloc.stop()
    assert len(runs) == MORE * ENTRIES
    assert kept / len(runs) < 64
    assert list(runs) == list(scan(regime, read))


@pytest.mark.parametrize("leaf", [dense, scattered, mixed])
def test_a_run_is_told_before_the_next_table_is_read(leaf: Leaf) -> None:
    """So that who has enough of them, or too many, leaves without having read the rest."""
    regime, read = built(MORE, leaf)
    counted = CountedRead(read)
    found = list(islice(mappings_of(regime, counted), 3))
    tables = 3 + MORE if leaf is dense else 3 + 1
    assert len(counted.tables) == tables
    assert not any(isinstance(each, Hole) for each in found)


def test_the_tables_below_one_are_announced_before_they_are_read() -> None:
    regime, read = built(FEW, scattered)
    expected: list[tuple[PA, int]] = []
    counted = CountedRead(read, lambda places: expected.extend(places))
    list(mappings_of(regime, counted))
    assert len(expected) == len(set(expected))
    assert set(expected) == counted.tables - {(regime.root, TABLE_BYTES)}
