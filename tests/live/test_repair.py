"""The repair, on a live guest: what it changes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import re

import pytest

from tests.live.session import LANDING, Leaf, Live, symbol

pytestmark = pytest.mark.guest

AF, DIRTY, READ_ONLY, DBM = 1 << 10, 1 << 55, 1 << 7, 1 << 51
LEVEL_3, LEVEL_2, LEVEL_1, UPPER = (4, 1 << 44, 3), (5, 3 << 44, 2), (6, 4 << 44, 1), (16, 0xFFFF900000000000, 3)
ROUTINES = {"read": "a64_read", "write": "a64_write", "execute": "a64_execute"}


def fault(live: Live, leaf: Leaf, access: str, value: int = 0) -> int:
    """Have the guest touch a leaf whose access flag is clear; gives the descriptor's physical address."""
    live.touch(ROUTINES[access], leaf.code if access == "execute" else leaf.word, value)
    assert not live.landed(), "the access flag was set"
    (plan,) = live.ask("fixup --dry-run")
    assert (plan["level"], plan["access"], plan["applied"]) == (leaf.level, access, False)
    return int(plan["descriptor_address"], 16)


def changed_bits(live: Live, leaf: Leaf, access: str, convention: str) -> int:
    """Return the bits of the descriptor that a repair changes; afterwards the access must have happened."""
    live.say(f"set mmu-dirty {convention}")
    pa = fault(live, leaf, access, 0x12345678)
    before = live.descriptor(pa)
    live.say("mmu fixup --resume")
    assert live.landed(), "the guest did not come back from its access"
    if access == "write":
        assert live.value("$x0") == 0x12345678
    return before ^ live.descriptor(pa)


@pytest.mark.parametrize(("number", "access"), [(0, "read"), (1, "write"), (2, "execute")])
@pytest.mark.parametrize("place", [LEVEL_1, LEVEL_2, LEVEL_3, UPPER], ids=["level 1", "level 2", "level 3", "TTBR1"])
def test_only_the_access_flag_changes_without_a_dirty_convention(
    shared_fault: Live, place: tuple[int, int, int], number: int, access: str
) -> None:
    assert changed_bits(shared_fault, Leaf(*place, number), access, "none") == AF


@pytest.mark.parametrize("place", [LEVEL_1, LEVEL_2, LEVEL_3], ids=["level 1", "level 2", "level 3"])
def test_a_write_is_recorded_as_dirty_by_convention(shared_fault: Live, place: tuple[int, int, int]) -> None:
    assert changed_bits(shared_fault, Leaf(*place, 3), "write", "bit55") == AF | DIRTY


@pytest.mark.parametrize(("number", "access"), [(4, "read"), (5, "execute")])
def test_what_is_not_a_write_is_never_recorded_as_dirty(shared_fault: Live, number: int, access: str) -> None:
    assert changed_bits(shared_fault, Leaf(*LEVEL_3, number), access, "bit55") == AF


def test_the_dbm_convention_makes_the_page_writable_as_hardware_does(shared_fault: Live) -> None:
    live, leaf = shared_fault, Leaf(*LEVEL_3, 6)
    (found,) = live.ask(f"walk {leaf.word}")
    step = found["steps"][-1]
    live.poke(int(step["descriptor_address"], 16), int(step["descriptor"], 16) | DBM | READ_ONLY)
    assert changed_bits(live, leaf, "write", "dbm") == AF | READ_ONLY


def test_what_was_repaired_before_is_returned_to_with_nothing_written(at_fault: Live) -> None:
    live = at_fault
    live.say("mmu fixup")
    assert "`mmu fixup --resume` returns to it" in live.refusal("mmu fixup")
    written = live.ask("status")[0]["abilities"]["written so far"]
    (planned,) = live.ask("fixup --resume --dry-run")
    assert (planned["before"], planned["applied"], planned["resumed"]) == (planned["after"], False, False)
    assert "The access flag is set already" in live.say("mmu fixup --resume --dry-run")
    said = live.say("mmu fixup --resume")
    assert "returning through the guest's own eret" in said
    assert "Breakpoint" in said, "the guest has gone on to its next fault"
    assert live.ask("status")[0]["abilities"]["written so far"] == written
    live.say("mmu fixup")
    (served,) = live.ask("service --count 1")
    assert (served["already_repaired"], served["faults"]) == (1, 1)


def test_a_dry_run_leaves_registers_and_tables_as_they_are(shared_fault: Live) -> None:
    live = shared_fault
    fault(live, Leaf(*LEVEL_3, 7), "write")
    before = live.state()
    (plan,) = live.ask("fixup --resume --dry-run")
    assert not plan["applied"]
    assert not plan["resumed"]
    assert int(plan["after"], 16) == int(plan["before"], 16) | AF
    assert live.state() == before


def test_resuming_is_refused_once_the_vector_has_been_left(shared_fault: Live) -> None:
    live = shared_fault
    pa = fault(live, Leaf(*LEVEL_3, 8), "read")
    live.say("stepi")
    assert live.value("$pc") == symbol("fault")
    before = live.state()
    assert "is not at a vector entry" in live.refusal("mmu fixup --resume")
    assert live.state() == before
    assert not live.descriptor(pa) & AF
    assert live.physical_mode() == "0"


def test_repairing_without_resuming_leaves_pc_where_it_is(shared_fault: Live) -> None:
    live = shared_fault
    pa = fault(live, Leaf(*LEVEL_3, 9), "read")
    pc = live.value("$pc")
    live.say("mmu fixup")
    assert live.descriptor(pa) & AF
    assert live.value("$pc") == pc


def test_at_an_interrupts_entry_nothing_is_repaired_and_no_condition_holds(shared_fault: Live) -> None:
    live = shared_fault
    pa = fault(live, Leaf(*LEVEL_3, 10), "read")
    pc = live.value("$pc")
    assert live.value('$_mmu_fault("any")') == 1
    live.set_registers(pc=pc + 0x80)
    assert live.value('$_mmu_fault("any")') == 0
    before = live.state()
    assert "an IRQ was taken, and ESR_EL1 is of an older exception" in live.refusal("mmu fixup")
    assert live.state() == before
    (answer,) = live.ask("fault")
    assert (answer["verdict"], answer["current"]) == ("interrupt", False)
    live.set_registers(pc=pc)
    live.say("mmu fixup")
    assert live.descriptor(pa) & AF


def test_the_answer_names_where_the_fault_was_and_what_repairs_it(shared_fault: Live) -> None:
    live = shared_fault
    fault(live, Leaf(*LEVEL_3, 11), "read")
    said = live.say("mmu fault")
    assert re.search(r"^returns to +ELR_EL1 0x\w+ <a64_read>, the instruction", said, re.MULTILINE)
    assert re.search(r"^pc +vectors \+ 512, at the vector entry current EL, SP_ELx$", said, re.MULTILINE)
    assert re.search(r"^next +mmu fixup --resume$", said, re.MULTILINE)
    assert live.say("mmu walk $pc").startswith(f"{live.value('$pc'):#x} <vectors + 512> -> ")
    live.say("mmu fixup")


@pytest.mark.parametrize(
    ("kind", "routine", "va", "why"),
    [
        ("translation", "a64_read", 0xDEAD000, "ends in a translation fault"),
        ("permission", "a64_write", LANDING, "with its access flag set"),
    ],
    ids=["translation", "permission"],
)
def test_other_faults_are_refused(shared_fault: Live, kind: str, routine: str, va: int, why: str) -> None:
    live = shared_fault
    live.say(f"mmu catch {kind}")
    live.touch(routine, va)
    assert not live.landed()
    before = live.state()
    assert why in live.refusal("mmu fixup")
    assert why in live.refusal("mmu fixup --resume")
    assert live.state() == before
