"""x86-64: one cause planted, one fault, and what `mmu fault` says first; each bit is where the guest has it.

QEMU's TLB asks the tables again before it refuses, so that what only a CPU remembers is taken once more by hand: the
guest's stale.c.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from gdbtools.cli import main
from tests.live.x86_verdicts import NEWER, PAGE, PlantedX86, planted_x86
from tests.transcripts import compare, marked

pytestmark = pytest.mark.guest

AGREE = "and the tables agree"
PERMIT = "but the tables permit it now"
RAISED = "probably a TLB entry from before a right was raised"
ABSENT, RIGHTS, RESERVED, KEY = (
    f"page fault (#PF): {reason}" for reason in ("not present", "access rights", "reserved bit", "protection key")
)

DENIALS = (
    ("absent_page", "supervisor read", ABSENT, "the entry is not present", "P", 0, 1),
    ("absent_table", "supervisor write", ABSENT, "the entry is not present", "P", 0, 2),
    ("read_only", "supervisor write", RIGHTS, "it is not writable: R/W is 0", "RW", 0, 1),
    ("read_only_table", "supervisor write", RIGHTS, "it is not writable: R/W is 0", "RW", 0, 2),
    ("supervisor_only", "user read", RIGHTS, "user mode has no access: U/S is 0", "US", 0, 1),
    ("read_only_to_user", "user write", RIGHTS, "it is not writable: R/W is 0", "RW", 0, 1),
    ("not_executable", "supervisor execute", RIGHTS, "it is not executable: NX is 1", "NX", 1, 1),
    ("not_executable_to_user", "user execute", RIGHTS, "it is not executable: NX is 1", "NX", 1, 1),
    ("reserved_bit", "supervisor read", RESERVED, "an address bit beyond MAXPHYADDR is set", "Reserved", 1, 1),
)
"""The scenario, who wanted what, why not, and the bit: its name, value and level."""
POSITIONS = {"P": 0, "RW": 1, "US": 2, "NX": 63, "Reserved": 45}
QUICK = ("absent_table", "supervisor_only", "not_executable", "reserved_bit")


@pytest.mark.parametrize(
    ("scenario", "access", "called", "why", "field", "value", "level"),
    [pytest.param(*each, id=each[0], marks=() if each[0] in QUICK else pytest.mark.full) for each in DENIALS],
)
def test_the_deciding_bit_is_named_first_and_is_where_the_guest_has_it(
    gdb: Gdb, scenario: str, access: str, called: str, why: str, field: str, value: int, level: int
) -> None:
    with planted_x86(gdb, scenario) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == f"{access} of {PAGE:#x}: {called}, {AGREE}: {why}."
        assert (answer["verdict"], answer["suspicions"]) == ("tables agree", [])
        assert answer.get("loops_where_presence_counts", False) is (called is not ABSENT)
        deciding = answer["predicted"]["deciding"]
        at = live.entry_address(level)
        assert (deciding["field"], deciding["level"], int(deciding["value"], 16)) == (field, level, value)
        assert int(deciding["descriptor_address"], 16) == at
        assert live.entry(at) >> POSITIONS[field] & 1 == value
        assert int(answer["syndrome"]["value"], 16) == live.frame()["error"]
        if field != "Reserved":
            assert int(answer["predicted"]["status"], 16) == live.frame()["error"], "the very error code is foretold"


@pytest.mark.parametrize(
    ("scenario", "access", "called", "why", "holder", "field"),
    [
        ("smep", "supervisor execute", RIGHTS, "so SMEP keeps supervisor mode from executing it", "cr4", "SMEP"),
        ("smap", "supervisor read", RIGHTS, "supervisor mode may not while eflags.AC is 0", "cr4", "SMAP"),
    ],
)
def test_where_a_register_decides_it_is_named(
    gdb: Gdb, scenario: str, access: str, called: str, why: str, holder: str, field: str
) -> None:
    with planted_x86(gdb, scenario) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence.startswith(f"{access} of {PAGE:#x}: {called}, {AGREE}: ")
        assert sentence.endswith(f"{why}.")
        deciding = answer["predicted"]["deciding"]
        assert (deciding["holder"], deciding["field"], int(deciding["value"], 16)) == (holder, field, 1)


def test_an_address_that_is_not_canonical_is_told_by_the_instruction(gdb: Gdb) -> None:
    with planted_x86(gdb, "not_canonical") as live:
        live.to_symbol("general_protection")
        sentence, answer = live.verdict()
        assert sentence == "supervisor general protection (#GP): not a matter of the translation tables."
        assert answer["vector_entry"] == "#GP"
        at = PAGE | 1 << 47
        said = f"no address is recorded; [rdi] at {live.frame()['rip']:#x} leads to {at:#x}, which is not canonical"
        assert answer["syndrome"]["notes"] == [said]


def test_of_a_double_fault_cr2_is_held_against_the_stack_that_was_not_there(gdb: Gdb) -> None:
    with planted_x86(gdb, "fault_on_fault") as live:
        live.to_symbol("double_fault")
        sentence, answer = live.verdict()
        assert sentence == "supervisor double fault (#DF): not a matter of the translation tables."
        own, _, where = answer["syndrome"]["notes"]
        assert own == "its stack is its own, IST 1"
        assert where == (
            f"cr2 is where the first one's frame would be, below rsp {live.frame()['rsp']:#x}, and the entry is not "
            f"present: P=0 in the level 1 descriptor at PA {live.entry_address(1):#x}"
        )


def test_a_newer_cr2_is_not_taken_for_this_faults(gdb: Gdb) -> None:
    """As after a fault in between, of an NMI's handler: the frame is the older one's."""
    with planted_x86(gdb, "newer_address") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert answer["verdict"] == "not one exception"
        assert sentence == (
            f"read: page fault (#PF): not present, but its address is not known: cr2 is {PAGE + 0x123000:#x}, and "
            f"[rdi] at {live.frame()['rip']:#x} leads to {PAGE:#x}."
        )


def test_away_from_a_handler_it_is_said_what_to_do_and_a_capture_advises_no_such_thing(
    gdb: Gdb, tmp_path: Path
) -> None:
    with planted_x86(gdb, "read_only") as live:
        refused = live.refusal("mmu fault")
        assert "not at a handler's first instruction" in refused
        assert "live: `mmu catch any`, continue, and ask there" in refused
        assert "next gdbtools map -s" in " ".join(live.say(f"mmu capture {tmp_path}/early.core").split())
        live.say("mmu catch any")
        live.say("continue")
        assert "next gdbtools fault -s" in " ".join(live.say(f"mmu capture {tmp_path}/at.core").split())
        assert main(["fault", "-s", f"{tmp_path}/at.core", "--json"]) == 1
        assert main(["map", "-s", f"{tmp_path}/early.core"]) == 0


# --- The tables permit it now.


def permitted(live: PlantedX86, access: str, called: str, likeliest: str) -> Any:
    """Return the suspicions of a fault that the tables permit, the first of which is in the sentence."""
    sentence, answer = live.verdict()
    assert sentence == f"{access} of {PAGE:#x}: {called}, {PERMIT}: {likeliest}."
    assert answer["verdict"] == "tables permit"
    return answer["suspicions"]


def shown(live: PlantedX86) -> str:
    return " ".join(live.say("mmu fault").split())


@pytest.mark.parametrize(
    ("scenario", "level", "came"),
    [
        ("raised", 1, "and no invlpg came after it"),
        pytest.param("raised_in_a_table", 2, "and no invlpg came after it", marks=pytest.mark.full),
        ("raised_with_another_page_flushed", 1, "and then invlpg [rcx] at {at:#x} named 0x40001000"),
        (
            "global_page_and_roots_load", 1,
            "and then mov cr3, rcx at {at:#x} leaves what is global, and the page is",
        ),
    ],
)  # fmt: skip
def test_a_right_that_was_raised_owes_no_invalidation(gdb: Gdb, scenario: str, level: int, came: str) -> None:
    """A lazy TLB: spurious by design, and the fault itself has had it forget."""
    with planted_x86(gdb, scenario) as live:
        live.to_fault()
        first, *others = permitted(live, "supervisor write", RIGHTS, RAISED)
        assert (first["cause"], first["weight"]) == ("right raised", "shown")
        written = first["written"]
        assert int(written["descriptor_address"], 16) == live.entry_address(level)
        assert live.value("*(long *)&let_through") == 1, "QEMU lets it through, a CPU need not"
        store, at = int(written["store"], 16), int((written["invalidations"] or [{"address": "0"}])[0]["address"], 16)
        said = shown(live)
        assert "no invlpg is owed" in said
        assert f"the mov at {store:#x} wrote the level {level} descriptor, {came.format(at=at)}. Go on" in said
        assert "Go on, and it faults no more: a page fault has its CPU forget what it holds of that address" in said
        unlikely = {each["cause"] for each in others if each["weight"] == "unlikely"}
        assert unlikely == {"repaired", "fenced elsewhere"}, "there is one CPU"
        assert "missing barrier" not in [each["cause"] for each in others], "none is owed"


def test_an_invalidation_that_covers_it_speaks_against_the_tlb(gdb: Gdb) -> None:
    with planted_x86(gdb, "raised_and_flushed") as live:
        live.to_fault()
        suspected = permitted(live, "supervisor write", RIGHTS, "perhaps a stale table in the paging-structure cache")
        assert {each["cause"] for each in suspected if each["weight"] == "unlikely"} == {
            "right raised", "stale leaf", "repaired", "fenced elsewhere",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("scenario", "likeliest", "cause", "other"),
    [
        ("moved", "probably a stale TLB entry", "stale leaf", "right raised"),
        ("raised", RAISED, "right raised", "stale leaf"),
    ],
)
def test_a_page_that_moved_owes_one_and_is_told_by_who_looked_before(
    gdb: Gdb, scenario: str, likeliest: str, cause: str, other: str
) -> None:
    with planted_x86(gdb, scenario, looked=True) as live:
        live.to_fault()
        suspected = permitted(live, "supervisor write", RIGHTS, likeliest)
        assert suspected[0]["cause"] == cause
        assert other not in [each["cause"] for each in suspected]


def test_a_paging_structure_cache_is_suspected_where_a_table_gave_way(gdb: Gdb) -> None:
    """No TLB holds what is not present; what is cached of the table above may lead to where it is not."""
    with planted_x86(gdb, "table_moved") as live:
        live.to_fault()
        first, *others = permitted(
            live, "supervisor read", ABSENT, "probably a stale table in the paging-structure cache"
        )
        assert (first["cause"], first["weight"]) == ("stale table", "shown")
        assert int(first["written"]["descriptor_address"], 16) == live.entry_address(2)
        assert not {"right raised", "stale leaf", "fenced elsewhere"} & {each["cause"] for each in others}
        assert "wrote the level 2 descriptor, and no invlpg came after it. Go on, and it faults no more" in shown(live)


def test_an_invalidation_speaks_against_that_cache(gdb: Gdb) -> None:
    with planted_x86(gdb, "table_moved_and_flushed") as live:
        live.to_fault()
        _, answer = live.verdict()
        assert all(each["weight"] != "shown" for each in answer["suspicions"])


def test_the_window_in_which_a_hypervisor_had_a_table_unhooked_is_named(gdb: Gdb) -> None:
    """The race of two CPUs that paravirtual guests meet: the first plays the hypervisor."""
    with planted_x86(gdb, "window", cpus=2) as live:
        live.to_fault()
        assert live.selected() == 1
        likeliest = "probably a window in which CPU 0 had a table unhooked"
        first = permitted(live, "supervisor read", ABSENT, likeliest)[0]
        assert (first["cause"], first["weight"], first["remote"]["cpu"]) == ("unhooked", "shown", 0)
        assert int(first["remote"]["written"]["descriptor_address"], 16) == live.entry_address(2)
        assert "on CPU 0 the bts at 0x" in shown(live)
        assert "wrote the level 2 descriptor out and in again. Go on, and it faults no more" in shown(live)
        for each in marked("window"):
            compare(live.say(each.command), each)


def test_a_watch_tells_of_the_window_when_its_writer_has_gone_on(gdb: Gdb) -> None:
    with planted_x86(gdb, "window", cpus=2) as live:
        at = live.entry_address(2)
        live.say(f"mmu watch {PAGE:#x} --level 2")
        assert "by CPU 0" in " ".join(live.say("continue").split())
        assert live.entry(at) & 1 == 0, "unhooked"
        assert "by CPU 0" in " ".join(live.say("continue").split())
        live.say("delete")
        live.to_fault()
        # The writer's pc is set to where nothing was written.
        live.say("thread 1")
        live.say("set $pc = (long)&finished")
        live.say("thread 2")
        first = permitted(live, "supervisor read", ABSENT, "probably a window in which CPU 0 had a table unhooked")[0]
        assert (first["cause"], first.get("remote")) == ("unhooked", None)
        assert (first["changed"]["written_by"]["cpu"], int(first["changed"]["was"], 16) & 1) == (0, 0)


def test_another_cpu_that_raised_a_right_is_named(gdb: Gdb) -> None:
    with planted_x86(gdb, "raised_elsewhere", cpus=2) as live:
        live.to_fault()
        assert live.selected() == 1
        first = permitted(live, "supervisor write", RIGHTS, RAISED)[0]
        assert (first["cause"], first["remote"]["cpu"]) == ("right raised", 0)
        assert first["remote"]["written"]["invalidations"] == []


def test_a_shootdown_that_a_cpu_has_not_heard_is_named_with_the_cpu(gdb: Gdb) -> None:
    with planted_x86(gdb, "shootdown_missed", cpus=2) as live:
        live.to_fault()
        assert live.selected() == 1
        first = permitted(live, "supervisor write", RIGHTS, "probably an invlpg for CPU 0 alone")[0]
        assert (first["cause"], first["remote"]["cpu"]) == ("fenced elsewhere", 0)
        (flush,) = first["remote"]["written"]["invalidations"]
        assert (flush["instruction"], flush["reaches"]) == ("invlpg [rdi]", True)
        assert [int(each, 16) for each in first["pending"]] == [0xF0]
        assert "CPU 1 has not acknowledged: interrupt 0xf0 is pending" in shown(live)
        for each in marked("shootdown"):
            compare(live.say(each.command), each)


def test_another_cpu_that_was_faster_is_told_by_what_is_left_of_its_fault(gdb: Gdb) -> None:
    """Of another CPU's fault its cr2 is all that is left: in the same page of the same tables."""
    with planted_x86(gdb, "both_absent", cpus=2) as live:
        live.to_fault()
        assert (live.selected(), live.verdict()[1]["verdict"]) == (0, "tables agree")
        live.to_fault()
        assert live.selected() == 1
        first = permitted(live, "supervisor read", ABSENT, "probably repaired by CPU 0")[0]
        assert (first["cause"], first["near"]) == ("repaired", [0])
        assert "the last fault of CPU 0 was in the same page" in shown(live)


def test_present_is_not_permitted_and_such_a_fault_is_not_called_spurious(gdb: Gdb) -> None:
    with planted_x86(gdb, "made_read_only_since") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert answer["verdict"] == "tables differ"
        assert sentence.endswith(
            "but the tables say page fault (#PF): access rights, level 1: it is not writable: R/W is 0."
        )


@pytest.mark.parametrize(
    ("scenario", "access", "bit"),
    [("handler_does_nothing", "read", "P"), ("handler_takes_it_for_spurious", "write", "RW")],
)
def test_a_handler_that_loops_is_caught_at_it(gdb: Gdb, scenario: str, access: str, bit: str) -> None:
    with planted_x86(gdb, scenario) as live:
        live.say("mmu catch any")
        for _ in range(3):
            loop = live.say("continue")
        assert f"mmu: a fault loop: pc {live.frame()['rip']:#x} faults on {PAGE:#x} again" in loop
        (answer,) = live.ask("fault")
        assert (answer["access"]["kind"], answer["predicted"]["deciding"]["field"]) == (access, bit)
        assert answer.get("loops_where_presence_counts", False) is (bit == "RW")


@pytest.mark.full
@pytest.mark.parametrize("qemu", [NEWER, "sid"])
@pytest.mark.parametrize("scenario", ["raised", "table_moved", "read_only", "supervisor_only"])
def test_newer_qemus_come_to_the_same_verdicts(gdb: Gdb, qemu: str, scenario: str) -> None:
    said = []
    for each in ("system", qemu):
        with planted_x86(gdb, scenario, qemu=each) as live:
            live.to_fault()
            said.append(live.verdict()[0])
    assert said[0] == said[1]


# --- Catching.


@pytest.mark.parametrize(
    ("scenario", "words", "stops"),
    [
        ("read_only", "permission --access write", True),
        pytest.param("read_only", "permission --access read", False, marks=pytest.mark.full),
        ("read_only", "any --privilege user", False),
        ("supervisor_only", "any --access read --privilege user", True),
        pytest.param("supervisor_only", "translation", False, marks=pytest.mark.full),
        ("reserved_bit", "reserved-bit", True),
        pytest.param("absent_page", "reserved-bit", False, marks=pytest.mark.full),
        ("not_canonical", "general-protection", True),
        pytest.param("not_canonical", "any", False, marks=pytest.mark.full),
        ("fault_on_fault", "double-fault", True),
    ],
)
def test_a_catch_stops_where_all_of_its_conditions_hold(gdb: Gdb, scenario: str, words: str, stops: bool) -> None:
    with planted_x86(gdb, scenario) as live:
        live.say(f"mmu catch {words}")
        live.say("hbreak *(long)&finished")
        live.say("continue")
        assert (live.value("$pc") == live.symbol("finished")) is not stops


def test_what_x86_64_does_not_have_is_refused_in_a_line(gdb: Gdb) -> None:
    with planted_x86(gdb, "untouched") as live:
        assert live.refusal("mmu catch access-flag") == (
            "x86-64 has no access-flag faults; say one of translation, permission, reserved-bit, protection-key, any, "
            "general-protection, stack-fault, double-fault"
        )
        assert "'el1' is no level of privilege of x86-64" in live.refusal("mmu catch any --privilege el1")
        assert "no fault of an access that is told" in live.refusal("mmu catch double-fault --access read")
        live.say("mmu catch permission --access write --privilege user")
        assert 'stop only if $_mmu_fault("permission", "", "write", "user")' in live.say("info breakpoints")
        assert live.ask("status")[0]["abilities"]["catching"] == "permission write user"


def test_a_stub_that_does_not_say_where_the_table_is_is_told_the_handler(gdb: Gdb) -> None:
    """As KVM's or a board's, which have no monitor that prints it."""
    with planted_x86(gdb, "read_only") as live:
        live.say("python from gdbtools.arch.x86_64 import architecture; told = architecture.idtr_of")
        live.say("python architecture.idtr_of = lambda stub: None")
        try:
            assert live.refusal("mmu catch any") == (
                "this gdbstub does not say idtr: say where faults are handled, --handler SYMBOL"
            )
            assert "live: `mmu catch any --handler SYMBOL`" in live.refusal("mmu fault")
            live.say("mmu catch any --handler page_fault")
            live.say("continue")
            assert live.value("$pc") == live.symbol("page_fault")
            assert live.verdict()[1]["verdict"] == "tables agree"
        finally:
            live.say("python architecture.idtr_of = told")


def test_what_this_session_did_at_the_stop_is_the_cause_and_no_other_cpu_is(gdb: Gdb) -> None:
    with planted_x86(gdb, "read_only") as live:
        at = live.entry_address(1)
        live.say("mmu catch permission")
        live.say("continue")
        live.say(f"mmu pte {PAGE:#x} RW=1")
        (only,) = permitted(live, "supervisor write", RIGHTS, "probably repaired by `mmu pte`")
        assert (only["cause"], only["weight"], only["changed"]["by"]) == ("repaired", "shown", "pte")
        assert int(only["changed"]["descriptor_address"], 16) == at
        live.say("mmu undo")
        assert live.verdict()[1]["verdict"] == "tables agree"
