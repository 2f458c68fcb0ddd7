"""Access flags of a range: every leaf once, cleared and set again, and nothing written that leads elsewhere by now."""

from __future__ import annotations

import pytest

from gdbtools.analysis.working_set import Leaf
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Regime
from gdbtools.errors import Refused
from gdbtools.repair import accessed
from gdbtools.repair.accessed import AccessFlags, find, set_by_hardware
from gdbtools.repair.log import Log, Written, net
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
PAGE, BLOCK = 1 << 12, 1 << 21
AF, DBM = 1 << 10, 1 << 51
LAST = (1 << 48) - 1
HA, HAFDBS = 1 << 39, 1


def regimes(tables: Tables, **registers: int) -> tuple[Regime, ...]:
    return ARM.regimes(reader(tables.registers(**registers)))[:1]


class Study:
    """Tables, and the flags of what is mapped in them."""

    def __init__(self, tables: Tables, first: int = 0, last: int = LAST) -> None:
        self.tables = tables
        self.first, self.last = first, last
        self.regimes = regimes(tables)
        self.written = Written([])
        self.flags = AccessFlags(ARM, tables, self.written)

    def found(self) -> accessed.FoundStretches:
        return find(ARM, self.regimes, self.tables, self.first, self.last)

    def read(self) -> dict[Leaf, bool]:
        return dict(self.flags.read(self.found().stretches))

    def again(self) -> dict[Leaf, bool]:
        """As when no CPU is in this address space any more."""
        return dict(self.flags.read((), list(self.flags.stretches)))


def flagged(tables: Tables, at: list[int]) -> list[bool]:
    return [bool(tables.memory[pa] & AF) for pa in at]


def test_every_leaf_is_found_with_its_descriptor_whatever_its_size() -> None:
    tables = Tables()
    at = [tables.map(va, 0x8000_0000 + va, 3) for va in (0x1000, 0x2000, 0x7000, 0x1F_F000)]
    at += [tables.map(BLOCK * 3, 0x9000_0000, 2), tables.map(5 << 30, 0x1_4000_0000, 1)]
    found = Study(tables).read()
    assert [(leaf.first, leaf.size_bytes, leaf.pa) for leaf in found] == list(
        zip(
            (0x1000, 0x2000, 0x7000, 0x1F_F000, BLOCK * 3, 5 << 30),
            (PAGE, PAGE, PAGE, PAGE, BLOCK, 1 << 30),
            at,
            strict=True,
        )
    )
    assert all(found.values())


@pytest.mark.parametrize("granule_bits", [12, 14, 16])
def test_what_follows_in_the_tables_is_one_stretch(granule_bits: int) -> None:
    tables = Tables(granule_bits=granule_bits)
    page, entries = 1 << granule_bits, 1 << granule_bits - 3
    for number in (*range(entries - 3, entries), *range(2 * entries, 2 * entries + 2)):
        tables.map(number * page, 0x10_0000_0000 + number * page * 2)
    assert [(each.first // page, each.count) for each in Study(tables).found().stretches] == [
        (entries - 3, 3),
        (2 * entries, 2),
    ]


def test_a_range_is_cut_to_whole_leaves() -> None:
    tables = Tables()
    for number in range(10):
        tables.map(number * PAGE, 0x8000_0000 + number * PAGE)
    tables.map(BLOCK, 0x9000_0000, 2)
    found = Study(tables, 3 * PAGE + 5, 6 * PAGE).read()
    assert [leaf.first // PAGE for leaf in found] == [3, 4, 5, 6]
    assert [leaf.first for leaf in Study(tables, BLOCK + 77, BLOCK + 78).read()] == [BLOCK]


def test_a_table_that_two_addresses_share_counts_once() -> None:
    tables = Tables()
    tables.map(0, 0x8000_0000)
    tables.map(BLOCK, 0x8000_0000)
    level2 = next(pa for pa, word in tables.memory.items() if word & 3 == 3 and tables.memory.get(pa + 8, 0) & 3 == 3)
    tables.memory[level2 + 8] = tables.memory[level2]
    assert [leaf.first for leaf in Study(tables).read()] == [0]


def test_clearing_takes_every_flag_but_the_spared_and_no_other_bit() -> None:
    tables = Tables()
    at = [tables.map(number * PAGE, 0x8000_0000, UXN=1, SH=3, AF=number % 3 != 0) for number in range(9)]
    before = dict(tables.memory)
    study = Study(tables)
    assert [bool(flag) for flag in study.read().values()] == [number % 3 != 0 for number in range(9)]
    assert study.flags.clear({at[4]}) == 5
    assert flagged(tables, at) == [pa == at[4] for pa in at]
    assert {pa: word | AF for pa, word in tables.memory.items() if pa in at} == {pa: before[pa] | AF for pa in at}


def test_in_the_end_what_had_a_flag_or_was_touched_has_one_and_nothing_else() -> None:
    tables = Tables()
    at = [tables.map(number * PAGE, 0x8000_0000 + number * PAGE, AF=number != 2) for number in range(5)]
    tables.memory[at[3]] = int(tables.memory[at[3]]) & ~AF
    study = Study(tables)
    study.read()
    study.flags.clear(set())
    tables.memory[at[2]] |= AF  # touched in the first sample
    assert [leaf.pa for leaf, flag in study.read().items() if flag] == [at[2]]
    study.flags.clear(set())
    assert flagged(tables, at) == [False] * 5
    study.read()
    assert study.flags.set_again(()) == 4
    assert flagged(tables, at) == [True, True, True, False, True]


def test_a_flag_that_the_guest_has_cleared_since_stays_its_own() -> None:
    tables = Tables()
    at = [tables.map(number * PAGE, 0x8000_0000) for number in range(2)]
    study = Study(tables)
    study.read()
    study.flags.clear(set())
    study.read()
    assert study.flags.set_again({at[1]}) == 1
    assert flagged(tables, at) == [True, False]


def test_what_leads_elsewhere_by_now_is_not_read_as_known_and_never_written() -> None:
    tables = Tables()
    at = [tables.map(number * PAGE, 0x8000_0000 + number * PAGE) for number in range(4)]
    study = Study(tables)
    study.read()
    study.flags.clear(set())
    tables.memory[at[0]] = 0
    tables.memory[at[1]] = (int(tables.memory[at[1]]) | AF) + 0x10_0000
    tables.memory[at[2]] |= AF | DBM  # the same page, dirty by now
    left = dict(tables.memory)
    assert {leaf.pa: flag for leaf, flag in study.again().items()} == {at[2]: True, at[3]: False}
    assert study.flags.clear(set()) == 1
    assert [tables.memory[pa] for pa in at[:2]] == [left[pa] for pa in at[:2]]
    assert study.flags.set_again(()) == 2
    assert {pa: tables.memory[pa] for pa in at} == {**{pa: left[pa] for pa in at}, at[3]: left[at[3]] | AF}


def test_where_the_address_space_is_seen_what_was_mapped_since_is_there() -> None:
    tables = Tables()
    at = [tables.map(0, 0x8000_0000)]
    study = Study(tables)
    study.read()
    study.flags.clear(set())
    at.append(tables.map(PAGE, 0x8765_4000))
    assert {leaf.pa: flag for leaf, flag in study.read().items()} == {at[0]: False, at[1]: True}


def test_so_many_leaves_are_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accessed, "LIMIT", 4)
    tables = Tables()
    for number in range(5):
        tables.map(number * PAGE, 0x8000_0000)
    with pytest.raises(Refused, match="more than 4 leaves are in that range"):
        Study(tables).found()


@pytest.mark.parametrize("hardware", [0, HAFDBS])
@pytest.mark.parametrize("asked", [0, HA])
def test_hardware_sets_the_flags_where_it_can_and_is_asked_to(hardware: int, asked: int) -> None:
    tables = Tables()
    tables.map(0, 0x8000_0000)
    registers = tables.registers()
    used = regimes(tables, TCR_EL1=registers["TCR_EL1"] | asked, ID_AA64MMFR1_EL1=1 << 12 | hardware)
    (stretch,) = find(ARM, used, tables, 0, LAST).stretches
    assert set_by_hardware(ARM, stretch, tables.read) == bool(hardware and asked)


def test_of_a_repair_that_is_over_the_log_keeps_what_is_otherwise_than_it_was() -> None:
    tables = Tables()
    at = [tables.map(number * PAGE, 0x8000_0000, AF=number != 3) for number in range(4)]
    before = {pa: int(tables.memory[pa]) for pa in at}
    study = Study(tables)
    study.read()
    study.flags.clear(set())
    tables.memory[at[1]] |= AF  # by hardware
    tables.memory[at[2]] |= AF | DBM  # by hardware, and more
    study.read()
    study.flags.clear({at[2]})
    left = net(study.written.changes, tables)
    assert {change.pa: (int(change.before), int(change.after)) for change in left} == {
        pa: (before[pa], before[pa] & ~AF) for pa in (at[0], at[1])
    }
    study.flags.set_again(())
    assert net(study.written.changes, tables) == []


def test_a_repair_that_comes_to_nothing_leaves_the_log() -> None:
    log = Log()
    tables = Tables()
    tables.map(0, 0x8000_0000)
    with log.going_on("test") as written:
        flags = AccessFlags(ARM, tables, written)
        flags.read(find(ARM, regimes(tables), tables, 0, LAST).stretches)
        flags.clear(set())
        assert len(log) == 1
        flags.set_again(())
        written.changes[:] = net(written.changes, tables)
    assert len(log.repairs) == 0
