"""`mmu catch`: it stops on what it was asked for, at every vector entry, and on nothing else."""

from __future__ import annotations

import re

import pytest

from gdbtools.repl.demo import CHECKSUMS
from tests.live.session import LANDING, Leaf, Live, symbol

pytestmark = pytest.mark.guest

VECTORS = symbol("vectors")
ENTRIES = {
    "all": (VECTORS, VECTORS + 0x200, VECTORS + 0x400, VECTORS + 0x600),
    "current": (VECTORS, VECTORS + 0x200),
    "lower": (VECTORS + 0x400, VECTORS + 0x600),
}
UNMAPPED = 0xDEAD000
MSR_VBAR_EL1_X1 = symbol("secondary_start") + 0x14
"""start.S's own: msr vbar_el1, x1."""


def places(live: Live, kind: str) -> dict[int, int]:
    """Set a catch; gives its breakpoints' numbers by address."""
    (answer,) = live.ask(f"catch {kind}")
    return {int(each["address"], 16): each["number"] for each in answer["breakpoints"]}


def listed(live: Live) -> set[int]:
    """Return the addresses that `info breakpoints` lists."""
    return {int(each, 16) for each in re.findall(r"(?m)^\d+ .* (0x[0-9a-f]+)", live.say("info breakpoints"))}


@pytest.mark.parametrize("vectors", ENTRIES)
def test_the_setting_chooses_the_vector_entries(shared_fault: Live, vectors: str) -> None:
    shared_fault.say("delete")
    shared_fault.say(f"set mmu-vectors {vectors}")
    assert tuple(places(shared_fault, "any")) == ENTRIES[vectors]
    assert listed(shared_fault) == set(ENTRIES[vectors])
    shared_fault.say("set mmu-vectors all")


def test_info_breakpoints_says_what_is_caught(shared_fault: Live) -> None:
    shared_fault.say("delete")
    shared_fault.say("mmu catch permission")
    assert shared_fault.say("info breakpoints").count('stop only if $_mmu_fault("permission")') == 4
    assert shared_fault.ask("status")[0]["abilities"]["catching"] == "permission"


def test_what_is_caught_already_is_not_caught_twice(shared_fault: Live) -> None:
    live = shared_fault
    live.say("delete")
    numbers = places(live, "permission")
    assert live.say("mmu catch permission").strip() == (
        f"Already catching permission faults, by the breakpoints {', '.join(map(str, numbers.values()))}."
    )
    assert places(live, "permission") == numbers
    # One that has been switched off catches nothing: then it is set anew.
    live.say(f"disable {next(iter(numbers.values()))}")
    assert not set(places(live, "permission").values()) & set(numbers.values())


@pytest.mark.parametrize("which", range(4))
def test_deleting_one_breakpoint_deletes_the_whole_catch_and_no_other(shared_fault: Live, which: int) -> None:
    live = shared_fault
    live.say("delete")
    numbers = list(places(live, "any").values())
    others = set(places(live, "permission").values())
    live.say(f"delete {numbers[which]}")
    # GDB has to be done with one deletion before the next: until then the others stop at nothing.
    assert live.inside("[each.number for each in gdb.breakpoints() if each.enabled]") == sorted(others)
    assert live.ask("status")[0]["abilities"]["catching"] == "permission"
    assert set(live.inside("breakpoints()")) == others


@pytest.mark.parametrize(
    ("kind", "routine", "va"),
    [
        ("access-flag", "a64_read", Leaf(4, 1 << 44, 3).word),
        ("translation", "a64_read", UNMAPPED),
        ("permission", "a64_write", LANDING),
        ("permission", "a64_execute", symbol("rounds")),
    ],
    ids=["access flag", "translation", "permission to write", "permission to execute"],
)
def test_a_kind_stops_on_faults_of_that_kind_only(at_fault: Live, kind: str, routine: str, va: int) -> None:
    live = at_fault
    live.say("delete")
    # What no catch stops at comes to the guest's own handler.
    live.say(f"hbreak *{symbol('page_fault')}")
    for other in {"access-flag", "translation", "permission"} - {kind}:
        live.say(f"mmu catch {other}")
    live.touch(routine, va)
    assert live.value("$pc") == symbol("page_fault")
    live.say(f"mmu catch {kind}")
    live.touch(routine, va)
    assert live.value("$pc") == VECTORS + 0x200
    (answer,) = live.ask("fault")
    assert answer["verdict"] == "tables agree"
    assert answer["syndrome"]["fault"]["kind"] == kind.replace("-", " ")


def test_everything_else_runs_on_unseen(at_scan: Live) -> None:
    """The whole workload, with its 206 access-flag faults and an svc for each of 92 touches at EL0, makes no stop."""
    live = at_scan
    live.say("set $svc = 0")
    for entry in ENTRIES["lower"]:
        live.say(f"hbreak *{entry} if (($ESR_EL1 >> 26) & 0x3b) == 0x11 && $svc++ < 0")
    live.say("mmu catch translation")
    live.say("mmu catch permission")
    live.say("mmu catch access-flag")
    (summary,) = live.ask("service")
    assert summary["faults"] == 206
    assert "gone" in summary["ended"]
    assert live.value("$svc") == 92
    assert CHECKSUMS[1] in live.qemu.output()


@pytest.mark.parametrize("entry", range(4))
def test_each_vector_entry_is_caught(at_scan: Live, entry: int) -> None:
    live, address = at_scan, ENTRIES["all"][entry]
    live.say("mmu service --count 1")
    live.say("mmu catch access-flag")
    for _ in range(60):
        if live.value("$pc") == address:
            break
        live.say("continue" if live.value("$pc") not in ENTRIES["all"] else "mmu fixup --resume")
    assert live.value("$pc") == address


def set_vbar(live: Live, vbar: int) -> str:
    """Have the guest set VBAR_EL1, in one step."""
    live.set_registers(pc=MSR_VBAR_EL1_X1, x1=vbar)
    said = live.say("stepi")
    assert live.value("$VBAR") == vbar
    return said


def test_a_changed_vbar_is_caught_too_at_the_next_stop(at_fault: Live) -> None:
    """The vectors that were met before stay: a guest that changes them back and forth is caught at both."""
    live, moved = at_fault, VECTORS + 0x800
    both = {base + offset for base in (VECTORS, moved) for offset in (0, 0x200, 0x400, 0x600)}
    assert f"VBAR_EL1 changed: catching at {moved:#x} too" in set_vbar(live, moved)
    assert listed(live) == both
    live.touch("a64_read", Leaf(4, 1 << 44, 3).word)
    assert live.value("$pc") == moved + 0x200
    assert "VBAR_EL1 changed" not in set_vbar(live, VECTORS)
    assert listed(live) == {*both, LANDING}
    live.touch("a64_read", Leaf(4, 1 << 44, 3).word)
    assert live.value("$pc") == VECTORS + 0x200


def test_vectors_that_are_not_in_force_are_code_like_any_other(at_fault: Live) -> None:
    """The last exception was a fault that is caught, but it was not taken there."""
    live, moved = at_fault, VECTORS + 0x800
    asks = '$_mmu_fault("any")'
    assert live.value(asks) == 1
    set_vbar(live, moved)
    for pc, taken in ((VECTORS + 0x200, 0), (moved + 0x200, 1), (LANDING, 0)):
        live.set_registers(pc=pc)
        assert live.value(asks) == taken


@pytest.mark.parametrize("setting", ["nothing", "verdict", "fault"])
def test_a_stop_prints_as_much_as_was_asked_for(at_scan: Live, setting: str) -> None:
    at_scan.say(f"set mmu-at-stop {setting}")
    at_scan.say("mmu catch access-flag")
    said = at_scan.say("continue")
    assert ("and the tables agree" in said) == (setting != "nothing")
    assert ("deciding bit" in said) == (setting == "fault")
    assert at_scan.physical_mode() == "0"


def test_the_condition_works_in_a_breakpoint_of_ones_own(at_scan: Live) -> None:
    at_scan.say(f'hbreak *{VECTORS + 0x200} if $_mmu_fault("access-flag")')
    at_scan.say("continue")
    assert at_scan.value("$pc") == VECTORS + 0x200


def test_a_condition_with_an_unknown_kind_says_which_there_are(at_fault: Live) -> None:
    assert "say one of: access-flag, translation, permission, any" in at_fault.refusal('print $_mmu_fault("nosuch")')
    assert at_fault.refusal("print $_mmu_fault()").endswith('KIND is missing, like $_mmu_fault("any")')
