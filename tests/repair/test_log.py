"""The log of what was written: what of it tells something of the guest at hand."""

from __future__ import annotations

from gdbtools.analysis.faults.descriptor_history import OwnWrite
from gdbtools.arch.aarch64.tables.descriptors import TwoLevelLeaf
from gdbtools.repair.change import Change
from gdbtools.repair.log import Log
from tests.tables import Tables

VA, PA = 0x1234_5000, 0x4200_0000


def test_the_last_change_of_a_descriptor_is_told_with_its_command() -> None:
    t, log = Tables(), Log()
    leaf = t.map(VA, PA, AF=0)
    clear = TwoLevelLeaf(t.memory[leaf])
    log.make("fixup", Change(leaf, clear, clear.with_(AF=1)), t)
    log.make("pte", Change(leaf, clear.with_(AF=1), clear.with_(AF=1, AP=0b10)), t)
    found = log.last_change(leaf)
    assert found is not None
    assert (found.command, found.after) == ("pte", clear.with_(AF=1, AP=0b10))
    assert log.last_change(leaf + 8) is None


def test_what_was_written_on_another_connection_tells_nothing_of_this_guest_but_can_be_taken_back() -> None:
    t, log = Tables(), Log()
    leaf = t.map(VA, PA, AF=0)
    clear = TwoLevelLeaf(t.memory[leaf])
    log.make("fixup", Change(leaf, clear, clear.with_(AF=1)), t)
    log.connected()
    assert log.last_change(leaf) is None
    assert len(log) == 1
    log.make("fixup", Change(leaf, clear.with_(AF=1), clear), t)
    found = log.last_change(leaf)
    assert found is not None
    assert found.after == clear


def test_what_was_taken_back_is_a_change_as_any_other_and_made_at_this_stop_until_the_guest_runs() -> None:
    t, log = Tables(), Log()
    leaf = t.map(VA, PA, AF=0)
    clear = TwoLevelLeaf(t.memory[leaf])
    log.make("fixup", Change(leaf, clear, clear.with_(AF=1)), t)
    assert log.last_change(leaf) == OwnWrite("fixup", clear, clear.with_(AF=1), here=True)
    log.moved_on()
    assert log.last_change(leaf) == OwnWrite("fixup", clear, clear.with_(AF=1))
    log.took_back()
    assert log.last_change(leaf) == OwnWrite("undo", clear.with_(AF=1), clear, here=True)
    t.memory[leaf] = clear
    log.make("pte", Change(leaf, clear, clear.with_(AP=0b10)), t)
    assert log.last_change(leaf) == OwnWrite("pte", clear, clear.with_(AP=0b10), here=True), "the newest counts"
    log.took_back()
    log.moved_on()
    assert log.last_change(leaf) == OwnWrite("undo", clear.with_(AP=0b10), clear)
    log.connected()
    assert log.last_change(leaf) is None
