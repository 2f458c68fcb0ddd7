"""Two stages where it is easy to go wrong: repetition, scattered tables, what one stage has and the other has not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import gdbtools.analysis.mappings as mappings_module
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.selection import within
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind, Hole, Read, Regime, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from tests.arch.scan.layouts import AF, TABLE, Builder, Format, Memory
from tests.arch.scan.registers import ARM, stage1_registers, stage2_registers
from tests.arch.scan.stages import NORMAL, S2, STAGE2_AT, TABLES_AT, Two, agree_with_walk
from tests.tables import reader


def test_what_stage_2_does_not_map_faults_at_each_pages_own_level() -> None:
    two = Two()
    for page in range(4):
        two.first.map(page << 12, 0x801F_E000 + (page << 12), 3, AF)
    # The level 3 table of 0x80000000 is there, that of 0x80200000 is not.
    two.second.map(0x8000_0000, 0x1_0000_0000, 3, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, range(0, 0x4000, 0x1000))


def test_pages_through_stage_2_blocks_that_repeat_lead_to_places_of_their_own() -> None:
    two = Two()
    for page in range(1024):
        two.first.map(page << 12, 0x8000_0000 + (page << 12), 3, AF)
    for block in range(2):
        two.second.map(0x8000_0000 + (block << 21), 0x1_0000_0000, 2, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, range(0, 1024 << 12, 0x1000))


def test_a_page_that_repeats_through_smaller_stage_2_pages_that_repeat() -> None:
    two = Two(first=Builder(Format(16, "", 30, 40), TABLES_AT, TABLES_AT + 65536))
    for page in range(4):
        two.first.map(page << 16, 0x8000_0000, 3, AF)
    for page in range(16):
        two.second.map(0x8000_0000 + (page << 12), 0x1_0000_0000, 3, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, range(0, 4 << 16, 0x1000))


def test_many_blocks_that_lead_to_few_stage_2_pages_are_all_mapped() -> None:
    two = Two()
    for block in range(512):
        two.first.map(block << 21, 0x8000_0000, 2, AF)
    for page in (0, 7):
        two.second.map(0x8000_0000 + (page << 12), 0x1_0000_0000 + (page << 12), 3, S2)
    regime, memory = two.connect()
    agree_with_walk(regime, memory, [(block << 21) + (page << 12) for block in (0, 1, 511) for page in (0, 1, 7, 8)])
    found = list(mappings_of(regime, memory.read))
    assert not [each for each in found if isinstance(each, Hole)]
    assert sum(each.size_bytes for each in found) == 512 << 21


def blocks_onto_one_range(blocks: int, pages: Iterable[int], spread: int = 1) -> Two:
    """Blocks of 1 GB that all lead to one range, of which stage 2 maps some pages to places so far apart."""
    two = Two(first=Builder(Format(12, "", 39, 40), TABLES_AT, TABLES_AT + 4096))
    for block in range(blocks):
        two.first.map(block << 30, 0x8000_0000, 1, AF)
    for page in pages:
        two.second.map(0x8000_0000 + (page << 12), 0x1_0000_0000 + (page * spread << 12), 3, S2)
    return two


def test_blocks_that_lead_to_thousands_of_pages_that_stage_2_lacks_are_all_mapped() -> None:
    """One page of each table of stage 2, and 511 that are missing each by itself, 19 times over."""
    regime, memory = blocks_onto_one_range(19, [table * 512 + 7 for table in range(12)]).connect()
    found = list(mappings_of(regime, memory.read))
    assert not [each for each in found if isinstance(each, Hole)]
    assert sum(each.size_bytes for each in found) == 19 << 30
    agree_with_walk(regime, memory, [(block << 30) + (page << 12) for block in (0, 18) for page in (6, 7, 512, 6151)])


def test_blocks_that_lead_to_thousands_of_runs_of_stage_2_are_all_mapped() -> None:
    regime, memory = blocks_onto_one_range(19, range(2000), spread=2).connect()
    found = list(mappings_of(regime, memory.read))
    assert not [each for each in found if isinstance(each, Hole)]
    assert len([each for each in found if isinstance(each, Run) and each.fault is None]) == 19 * 2000


def test_what_two_stages_make_together_is_bounded_and_a_range_of_the_rest_can_be_asked_for() -> None:
    """512 blocks of 3000 runs: each stage is of few runs, and both together are more than memory should hold."""
    regime, memory = blocks_onto_one_range(512, range(3000), spread=2).connect()
    *found, rest = mappings_of(regime, memory.read)
    assert 1 << 17 < len(found) < 1 << 19
    assert all(isinstance(each, Run) for each in found)
    assert isinstance(rest, Hole)
    assert rest.first == found[-1].first + found[-1].size_bytes
    assert rest.first + rest.size_bytes == 1 << 39
    assert "met over and over: ask for a range" in rest.why
    # In the last block, the last page but one that stage 2 has.
    va = (511 << 30) + (2998 << 12)
    [run] = within(mappings_of(regime, memory.read, (va, 1)), (va, 1))
    assert isinstance(run, Run)
    assert run.output is not None
    assert run.output + run.offset_of(va) == 0x1_0000_0000 + (2998 << 13)


def test_a_table_scattered_over_stage_2_pages_lacks_only_the_page_that_is_not_there() -> None:
    two = Two(first=Builder(Format(16, "", 42, 40), TABLES_AT, TABLES_AT + 65536))
    # Entries in each of the 16 pages of the 64KB table at level 3.
    for page in range(0, 8192, 512):
        two.first.map(page << 16, 0x8000_0000, 3, AF)
    two.second.map(0x8000_0000, 0x1_0000_0000, 2, S2)
    table = two.first.pool - 65536
    regime, memory = two.connect(without=table + 5 * 4096)
    agree_with_walk(regime, memory, range(0, 8192 << 16, 512 << 16))
    holes = [each for each in mappings_of(regime, memory.read) if isinstance(each, Hole)]
    assert [(hole.first, hole.size_bytes) for hole in holes] == [(5 * 512 << 16, 512 << 16)]


def test_what_hardware_has_yet_to_mark_as_accessed_is_mapped_and_refused_only_when_it_is() -> None:
    """TCR_EL1.HA, and stage 2 lets the walker read the tables and not write them: an access faults, with S1PTW."""
    two = Two()
    two.first.map(0, 0x8000_0000, 3, 0)
    two.second.map(0x8000_0000, 0x1_0000_0000, 3, S2)
    _, memory = two.connect(bits=NORMAL | AF | 1 << 6)
    registers = stage1_registers(two.first.layout, two.first.root)
    registers |= stage2_registers(two.second.layout, two.second.root)
    registers["TCR_EL1"] |= 1 << 39
    regime = ARM.regime_for(reader(registers), 0, "el1")
    agree_with_walk(regime, memory, [0])
    refused = ARM.check(walk(regime, 0, memory.read), Access(AccessKind.READ, 1), 5)
    assert refused is not None
    assert refused.fault == Fault(FaultKind.PERMISSION, 2, 3, s1ptw=True)


def test_a_stage_2_that_leads_to_itself_does_not_keep_stage_1_from_being_listed(monkeypatch) -> None:
    """2^27 runs of stage 2 for one page of stage 1: they are not all gone through, let alone kept."""

    def counted(regime: Regime, read: Read, *wanted: int) -> Iterator[Run | Hole]:
        for number, each in enumerate(scan(regime, read, *wanted)):
            assert number < 20_000, f"asked for more than {number} runs of {regime.name}"
            yield each

    monkeypatch.setattr(mappings_module, "scan", counted)
    first = Builder(Format(12, "", 30, 40), TABLES_AT, TABLES_AT + 4096)
    first.map(0, 0x4000_0000, 3, AF)
    memory = Memory()
    memory.add(STAGE2_AT, 4096)
    for index in range(512):
        # S2AP differs from page to page; in a table descriptor these bits are ignored.
        memory.put(STAGE2_AT + index * 8, STAGE2_AT | TABLE | NORMAL | AF | (1 + 2 * (index & 1)) << 6, "little")
    # Stage 1's tables, at whatever physical address stage 2 leads them all to: its own table's page.
    layout = Format(12, "", 39, 48, start=1)
    registers = stage1_registers(first.layout, 0x4000_0000) | stage2_registers(layout, STAGE2_AT)
    regime = ARM.regime_for(reader(registers), 0, "el1")
    found = list(islice(mappings_of(regime, memory.read), 3))
    assert len(found) == 3
