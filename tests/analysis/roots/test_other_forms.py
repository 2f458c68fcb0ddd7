"""Roots of tables that are otherwise than AArch64's: entries of four bytes, as x86's oldest and RISC-V's Sv32 have."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal, cast

import pytest

from gdbtools.addresses import PA
from gdbtools.analysis.roots.search import Search
from gdbtools.analysis.roots.table_survey import holding
from gdbtools.arch.model import Derived, Privilege, Regime
from gdbtools.arch.table_heuristics import NOTHING, Contents, Leaves, Owner, RootPlace, TableForm, TableHeuristics
from tests import toy

FORM = TableForm(granule_bits=12, block_heights=(1,), input_bits=32, entry_bits=2)
X, W, LEAF, V = 8, 4, 2, 1
ADDRESS = 0xFFFF_F000
PAGE, ROOT, MEMORY_BYTES = 0x1000, 0x40_0000, 0x80_0000


class ToyTables(TableHeuristics):
    forms = (FORM,)
    upper_first = 0xC000_0000
    pointer_bytes = 4
    plain_kind = V
    stack = "r0"

    def is_table(self, page: bytes) -> bool:
        valid = [word for word in FORM.words(page) if word]
        return bool(valid) and all(word & V and not word & 0xFF0 for word in valid)

    def contents(self, entries: bytes) -> Contents:
        words = FORM.words(entries)
        valid = [index for index, word in enumerate(words) if word & V]
        if not valid:
            return NOTHING
        blocks = [words[index] & ADDRESS for index in valid if words[index] & LEAF]
        others = [words[index] for index in valid if not words[index] & LEAF]
        tables, kinds = frozenset(each & ADDRESS for each in others), frozenset(each & ~ADDRESS for each in others)
        return Contents(len(valid), valid[0], valid[-1], tables, kinds, blocks[0] if blocks else None)

    def owner(self, leaves: Sequence[Leaves]) -> Owner:
        assert all(each.descriptor >> 32 == 0 and each.descriptor & V for each in leaves), "one entry, not two"
        return Owner.KERNEL

    def places(
        self, root: PA, form: TableForm, height: int, owner: Owner, level: Privilege | None
    ) -> Sequence[RootPlace]:
        return [RootPlace("TTB", "toy", False, root, form, height, 32)]

    def registers(self, places: Sequence[RootPlace]) -> Derived:
        return Derived({"TTB": places[0].root | 1}, ())

    def regime(self, place: RootPlace) -> Regime:
        return toy.ToyRegime(place.root, toy.LEVELS)

    def has_vectors(self, code: bytes) -> bool:
        return False


class WithTables(toy.Toy):
    table_heuristics = ToyTables()


@pytest.fixture
def image() -> bytearray:
    """A root and two tables, which map all of memory to where it is."""
    made = bytearray(MEMORY_BYTES)
    tables = [ROOT + PAGE, ROOT + 2 * PAGE]
    struct.pack_into("<2I", made, ROOT, *(each | V for each in tables))
    for index, table in enumerate(tables):
        leaves = [index << 22 | page << 12 | (W if page % 3 else X) | V for page in range(1024)]
        struct.pack_into("<1024I", made, table, *leaves)
    return made


def test_a_root_of_entries_of_four_bytes_is_found(image: bytearray) -> None:
    memory = [(PA(0), MEMORY_BYTES)]
    search = Search(WithTables(), lambda pa, size: bytes(image[pa : pa + size]), memory, memory)
    for _ in search.look():
        pass
    (best,) = search.rank().found
    place = best.place
    assert (place.root, place.register, place.height, place.root_bytes) == (ROOT, "TTB", 1, PAGE)
    assert (best.tree.tables, best.tree.leaves) == (3, 2048)


@pytest.mark.parametrize("order", ["little", "big"])
def test_an_entry_is_looked_for_in_its_size_and_its_byte_order(image: bytearray, order: str) -> None:
    byte_order = cast(Literal["little", "big"], order)
    form = TableForm(12, (1,), 32, entry_bits=2, byte_order=byte_order)
    assert form.words((0x1234_5003).to_bytes(4, byte_order)) == (0x1234_5003,)
    entry = (0x1234_5003).to_bytes(form.entry_bytes, form.byte_order)
    image[0x704:0x708] = entry
    found = holding([(PA(0), MEMORY_BYTES)], lambda pa, size: bytes(image[pa : pa + size]), frozenset([entry]))
    assert [*found] == [(0x704, entry)]
