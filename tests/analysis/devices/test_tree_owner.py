"""Whose a device tree is that lies in a guest's memory, and where one is looked for."""

from __future__ import annotations

import pytest

from gdbtools.analysis.devices import guest_tree
from gdbtools.analysis.devices.second_stage_cause import SecondStageCause
from gdbtools.analysis.devices.tree_owner import TreeOwner
from tests.analysis.devices.test_second_stage_cause import MIB, RAM_IPA, RAM_PA, TREE, TREE_IPA, Guest
from tests.arch.aarch64.truth.machine import S2_ROOT
from tests.device_trees import Value, flattened, node

DEVICE, PAGE_BYTES = 0x300_1000, 4096
MACHINE = 0x8000_0000
"""How much memory the machine has, from 0x40000000 on."""


def tree(size_bytes: int, **added: Value) -> bytes:
    """Return a tree of so much memory, with a device, and a node of a hypervisor's if any."""
    memory = node("memory@40000000", device_type="memory", reg=(0, RAM_IPA, 0, size_bytes))
    device = node("interrupt-controller@3001000", compatible="arm,gic-v3", reg=(0, DEVICE, 0, 0x1_0000))
    given = [node("hypervisor", **added)] if added else []
    return flattened(node("", memory, device, *given, cells_address=2, cells_size=2))


def guest(data: bytes, machine: int | None = MACHINE, one_to_one: bool = False, at: int = TREE_IPA) -> Guest:
    """Return a guest of 8 MiB with a tree in it, on a machine with so much memory."""
    found = Guest(offset=0 if one_to_one else RAM_PA - RAM_IPA)
    found.put(at, data)
    found.places = None if machine is None else ((0x4000_0000, machine),)
    return found


def owner(of: Guest) -> tuple[TreeOwner, str]:
    found = of.refused(DEVICE)
    assert found.cause is SecondStageCause.DEVICE
    assert found.tree is not None
    return found.tree.whose.owner, found.tree.whose.why


def test_a_tree_whose_memory_is_all_mapped_is_the_guests() -> None:
    said = "all of the 8MB of memory that it says are mapped for this guest"
    assert owner(guest(tree(8 * MIB))) == (TreeOwner.GUEST, said)
    assert owner(guest(tree(8 * MIB), one_to_one=True)) == (TreeOwner.GUEST, said), "the machine has more"


def test_a_tree_with_more_memory_is_the_guests_if_it_has_all_that_is_mapped_and_not_the_machines() -> None:
    whose, why = owner(guest(tree(16 * MIB)))
    assert whose is TreeOwner.GUEST
    assert why.endswith("of the 16MB of memory that it says, 8MB are mapped for this guest")
    beside = guest(tree(16 * MIB))
    beside.memory.words[S2_ROOT + 0x1000 + 8 * 100] = beside.memory.words[S2_ROOT + 0x1000] + 0x20_0000 * 100
    assert owner(beside)[0] is TreeOwner.NOT_SHOWN, "something is mapped that it does not have"


@pytest.mark.parametrize("one_to_one", [False, True])
def test_a_tree_that_xen_made_for_a_guest_is_the_guests(one_to_one: bool) -> None:
    data = tree(MACHINE, compatible="xen,xen", reg=(0, 0x3800_0000, 0, 0x100_0000))
    whose, why = owner(guest(data, one_to_one=one_to_one))
    assert (whose, why) == (TreeOwner.GUEST, "it has the node xen,xen, which Xen writes for its guests")


def test_a_tree_that_tells_xen_what_to_start_is_the_machines_and_not_believed() -> None:
    found = guest(tree(8 * MIB, compatible="multiboot,module", reg=(0, 0x5000_0000, 0, 0x1000))).refused(DEVICE)
    assert (found.cause, found.tree) == (SecondStageCause.NOT_KNOWN, None)
    assert found.why_unknown == (
        "the one at its address 0x40400000, PA 0x90400000, is the machine's own: it tells Xen what to start, in a node "
        "multiboot,module"
    )


def test_a_tree_with_the_machines_memory_that_lies_one_to_one_is_the_machines() -> None:
    found = guest(tree(MACHINE), one_to_one=True).refused(DEVICE)
    assert found.cause is SecondStageCause.NOT_KNOWN
    assert found.why_unknown.endswith(
        "is the machine's own: it lies one to one, and has the machine's memory: of the 2GB of memory that it says, "
        "8MB are mapped for this guest"
    )


def test_a_guest_that_has_all_of_the_machine_may_see_the_machines_tree() -> None:
    said = "it lies one to one, and may be the one that booted the machine"
    assert owner(guest(tree(8 * MIB), machine=8 * MIB, one_to_one=True)) == (TreeOwner.NOT_SHOWN, said)


def test_as_much_memory_as_the_machine_has_shows_nothing_where_it_lies_elsewhere() -> None:
    whose, why = owner(guest(tree(MACHINE)))
    assert (whose, why[-29:]) == (TreeOwner.NOT_SHOWN, "and nothing shows whose it is")


def test_what_is_shown_to_be_the_guests_is_believed_before_what_is_not() -> None:
    found = guest(tree(8 * MIB))
    found.put(RAM_IPA, tree(MACHINE).replace(DEVICE.to_bytes(4, "big"), (0x350_1000).to_bytes(4, "big")))
    assert owner(found)[0] is TreeOwner.GUEST
    assert found.refused(0x350_1000).cause is SecondStageCause.NOTHING


# --- Where one is looked for.


def test_a_tree_that_a_loader_put_at_any_page_is_found_where_the_likely_places_have_none() -> None:
    """As libxl does, which puts it at the end of memory."""
    at = RAM_IPA + 8 * MIB - 3 * PAGE_BYTES
    assert owner(guest(tree(8 * MIB), at=at))[0] is TreeOwner.GUEST
    likely = guest(tree(8 * MIB))
    assert owner(likely)[0] is TreeOwner.GUEST
    assert not any(pa % (2 * MIB) == PAGE_BYTES for pa in likely.looked_at if pa >= RAM_PA), "no page in between"


def test_it_is_said_how_much_was_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_tree, "MOST_PAGES", 1024)
    found = guest(tree(8 * MIB), at=RAM_IPA + 8 * MIB - PAGE_BYTES).refused(DEVICE)
    assert found.why_unknown.endswith("maps, but only its first 4MB were looked through")


# --- What is kept for the next question.


def asked_again(of: Guest) -> list[int]:
    """Return where a second question about a stage 2 fault reads, beyond its own walk."""
    of.refused(DEVICE)
    of.looked_at.clear()
    of.refused(0x350_1000)
    return of.looked_at


@pytest.mark.parametrize("at", [TREE_IPA, RAM_IPA + 8 * MIB - PAGE_BYTES])
def test_a_second_question_reads_the_tables_and_the_tree_and_no_place_without_one(at: int) -> None:
    found = guest(tree(8 * MIB), at=at)
    found.refused(DEVICE)
    first, tables = len(found.looked_at), {S2_ROOT, S2_ROOT + 0x1000}
    again = asked_again(found)
    trees = {pa & -PAGE_BYTES for pa in again if pa >= RAM_PA and pa & -PAGE_BYTES == at + found.offset}
    likely = {RAM_PA + number * 2 * MIB for number in range(4)}
    assert trees == {at + found.offset}
    assert {pa & -PAGE_BYTES for pa in again} <= tables | trees | likely
    assert len(again) < first


def test_what_has_changed_is_found_out_anew() -> None:
    found = guest(tree(8 * MIB))
    assert found.refused(DEVICE).cause is SecondStageCause.DEVICE
    found.put(TREE_IPA, TREE.replace(b"\x03\x00\x10\x00", b"\x03\x50\x10\x00"))
    assert found.refused(DEVICE).cause is SecondStageCause.NOTHING
    found.memory.words[S2_ROOT + 0x1000 + 8 * 2] = 0
    assert found.refused(DEVICE).cause is SecondStageCause.NOT_KNOWN, "its block is not mapped any more"
