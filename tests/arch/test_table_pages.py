"""Tables counted: of each what its entries are, taken one by one, and which tables they lead to."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given

from gdbtools.arch.model import EntryKind, Regime, Step
from gdbtools.arch.table_pages import TablePage, table_pages
from tests.arch.scan.drawn import PROPERTY, built
from tests.arch.scan.layouts import Builder
from tests.arch.scan.registers import stage1
from tests.arch.test_soft_invalid import CHILD, GRANDCHILD, S2_ROOT, stage2, xens


def one_by_one(regime: Regime, page: TablePage, raw: bytes) -> tuple[int, int, int, int, list[int]]:
    """Decode every entry of a table: tables, leaves, soft-invalid ones, invalid ones, and where they lead."""
    found: Counter[str] = Counter()
    leads_to = []
    size = regime.entry_bytes
    for index in range(page.level.entries):
        entry = regime.decode(raw[index * size : (index + 1) * size], page.level)
        soft, entry = entry.kept is not None, entry.kept or entry
        if entry.kind is EntryKind.TABLE and regime.accept(Step(page.level, index, page.parts[0][0], entry)) is None:
            leads_to.append(entry.address)
        if entry.kind is EntryKind.INVALID:
            found["invalid"] += int(entry.word != 0)
        else:
            found["soft" if soft else "table" if entry.kind is EntryKind.TABLE else "leaf"] += 1
    return found["table"], found["leaf"], found["soft"], found["invalid"], leads_to


@PROPERTY
@given(built())
def test_what_is_counted_together_is_what_each_entry_is(builder: Builder) -> None:
    regime, read = stage1(builder), builder.memory.read
    pages = list(table_pages(regime, read))
    assert [page.address for page in pages[:1]] == [regime.root]
    assert {page.address for page in pages} == builder.table_addresses
    for page in pages:
        [(pa, size_bytes)] = page.parts
        counted = (page.tables, page.leaves, page.soft_invalid, page.invalid, [to for _, to in page.leads_to])
        assert counted == one_by_one(regime, page, read(pa, size_bytes))
    firsts = {page.address: page.first for page in pages}
    for leaf in builder.in_order():
        table = leaf.at & -(1 << builder.layout.granule) if len(pages) > 1 else regime.root
        assert firsts.get(table, regime.first) <= leaf.first


@pytest.mark.parametrize(
    ("cleared", "at", "counted"),
    [(None, S2_ROOT, (1, 0, 0)), (S2_ROOT + 8, S2_ROOT, (0, 0, 1)), (GRANDCHILD, GRANDCHILD, (0, 1, 1))],
)
def test_what_has_its_valid_bit_clear_alone_is_counted_apart_and_followed(
    cleared: int | None, at: int, counted: tuple[int, int, int]
) -> None:
    pages = {page.address: page for page in table_pages(stage2(), xens(cleared).read)}
    assert set(pages) == {S2_ROOT, CHILD, GRANDCHILD}
    assert (pages[at].tables, pages[at].leaves, pages[at].soft_invalid) == counted
    assert pages[at].live == sum(counted[:2])
