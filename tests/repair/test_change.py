"""A change of one descriptor: compare, write, read back, undo."""

from __future__ import annotations

import pytest

from gdbtools.bits import Word
from gdbtools.errors import Refused, Unreadable
from gdbtools.repair.change import Change
from tests.tables import Tables

AT = 0x4000_0000
OLD, NEW = Word(0x0123_4567_89AB_C003), Word(0x0123_4567_89AB_C403)


@pytest.fixture
def memory() -> Tables:
    return Tables(memory={AT: int(OLD)})


def test_a_change_writes_exactly_its_descriptor(memory: Tables) -> None:
    memory.memory[AT + 8] = 5
    Change(AT, OLD, NEW).apply(memory)
    assert memory.memory == {AT: NEW, AT + 8: 5}


def test_undoing_is_the_change_the_other_way_round() -> None:
    change = Change(AT, OLD, NEW, 8, "big")
    assert change.inverse == Change(AT, NEW, OLD, 8, "big")
    assert change.inverse.inverse == change


def test_a_big_endian_table_is_written_as_such(memory: Tables) -> None:
    memory.memory[AT] = int.from_bytes(int(OLD).to_bytes(8, "big"), "little")
    Change(AT, OLD, NEW, 8, "big").apply(memory)
    assert memory.read(AT, 8) == int(NEW).to_bytes(8, "big")


def test_a_refusal_names_the_address_and_both_values(memory: Tables) -> None:
    memory.memory[AT] = 0
    with pytest.raises(Refused, match=r"0x40000000 is 0x0000000000000000, not 0x0123456789abc003.*nothing was written"):
        Change(AT, OLD, NEW).apply(memory)
    assert memory.memory[AT] == 0


def test_a_change_twice_is_refused_the_second_time(memory: Tables) -> None:
    Change(AT, OLD, NEW).apply(memory)
    with pytest.raises(Refused, match="changed since"):
        Change(AT, OLD, NEW).apply(memory)


def test_a_descriptor_that_cannot_be_read_is_not_written(memory: Tables) -> None:
    with pytest.raises(Unreadable):
        Change(0x6000_0000, OLD, NEW).apply(memory)
    assert memory.memory == {AT: OLD}
