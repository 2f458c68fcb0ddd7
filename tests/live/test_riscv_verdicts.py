"""RISC-V: one cause planted, one fault, and what `mmu fault` says first; each bit is where the guest has it.

QEMU's TLB keeps no invalid entry, so that what only a hart remembers is taken once more by hand: the guest's stale.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from tests.guests.riscv_live import SVADE
from tests.live.riscv_verdicts import HOLE_PA, NEWER, PAGE, Planted, planted

pytestmark = pytest.mark.guest

WIDE_ONLY, BOTH = (64,), (64, 32)
SVINVAL: Mapping[str, Any] = {"features": "svinval=true"}
TWO: Mapping[str, Any] = {"harts": 2}
AGREE = "page fault, and the tables agree"
PERMIT = "page fault, but the tables permit it now"
KEPT = "probably the invalid entry that a TLB kept, or an older one"

DENIALS = (
    ("invalid_page", "S read", "the entry is not valid", "V", 0, 0),
    ("invalid_table", "S write", "the entry is not valid", "V", 0, 1),
    ("write_without_read", "S read", "writable but not readable is reserved", "R", 0, 0),
    ("table_with_accessed", "S read", "an entry that leads to a table must not have A, D or U", "A", 1, 1),
    ("table_at_last_level", "S read", "it leads to a further table, and this is the last level", "X", 0, 0),
    ("misaligned", "S read", "it is a superpage whose address is not aligned to its size", "MISALIGNED", None, 1),
    ("reserved_bits", "S read", "reserved bits are set", "Reserved", 1, 0),
    ("memory_type", "S read", "it has a memory type, and Svpbmt is not enabled for this stage", "PBMT", 1, 0),
    ("read_only", "S write", "it is not writable", "W", 0, 0),
    ("execute_only", "S read", "it is not readable", "R", 0, 0),
    ("not_executable", "S execute", "it is not executable", "X", 0, 0),
    ("supervisor_only", "U read", "user mode has no access", "U", 0, 0),
    ("user_code", "S execute", "user mode may access it, so supervisor mode must not execute it", "U", 1, 0),
    ("not_accessed", "S read", "it is not marked accessed, and hardware does not do that here", "A", 0, 0),
    ("not_dirty", "S write", "it is not marked dirty, and hardware does not do that here", "D", 0, 0),
)
"""The scenario, who wanted what, why not, and the bit: its name, value and level."""
OF_64 = ("reserved_bits", "memory_type")
OF_SVADE = ("not_accessed", "not_dirty")
PRESENT = ("read_only", "execute_only", "not_executable", "supervisor_only", "user_code", *OF_SVADE)
"""What a handler would loop on that looks whether the entry is valid, and no further."""


@pytest.mark.parametrize(
    ("bits", "scenario", "access", "why", "field", "value", "level"),
    [
        pytest.param(bits, *denial, id=f"{denial[0]}, {bits}", marks=pytest.mark.full if bits == 32 else ())
        for denial in DENIALS
        for bits in (WIDE_ONLY if denial[0] in OF_64 else BOTH)
    ],
)
def test_the_deciding_bit_is_named_first_and_is_where_the_guest_has_it(
    gdb: Gdb, bits: int, scenario: str, access: str, why: str, field: str, value: int | None, level: int
) -> None:
    with planted(gdb, scenario, bits, features=SVADE if scenario in OF_SVADE else "") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == f"{access} of {PAGE:#x}: {AGREE}: {why}."
        assert (answer["verdict"], answer["suspicions"]) == ("tables agree", [])
        assert answer.get("loops_where_presence_counts", False) is (scenario in PRESENT)
        deciding = answer["predicted"]["deciding"]
        at = live.entry_address(level)
        assert (deciding["field"], deciding["level"]) == (field, level)
        assert int(deciding["descriptor_address"], 16) == at
        high, low = (int(each) for each in (re.findall(r"\d+", deciding["bits"]) * 2)[:2])
        held = (live.entry(at) & (1 << high + 1) - 1) >> low
        assert value is None or (held, int(deciding["value"], 16)) == (value, value)


@pytest.mark.parametrize("bits", [64, pytest.param(32, marks=pytest.mark.full)])
def test_a_users_page_is_refused_by_sum_where_that_is(gdb: Gdb, bits: int) -> None:
    with planted(gdb, "user_page", bits) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        why = "user mode may access it, and SUM does not permit that to supervisor mode"
        assert sentence == f"S read of {PAGE:#x}: {AGREE}: {why}."
        assert answer["predicted"]["deciding"]["holder"] == "mstatus"
        assert live.value("$sstatus") >> 18 & 1 == 0


def test_an_address_that_is_not_canonical_is_named_so(gdb: Gdb) -> None:
    with planted(gdb, "not_canonical") as live:
        live.to_fault()
        why = "the bits above the virtual address do not repeat its highest bit"
        assert live.verdict()[0] == f"S read of {PAGE | 1 << 39:#x}: {AGREE}: {why}."


def test_a_flag_that_hardware_sets_by_now_was_left_to_it(gdb: Gdb) -> None:
    """Written through the stub, which is as good as by M-mode."""
    with planted(gdb, "not_accessed", features=SVADE) as live:
        live.to_fault()
        live.say("set $menvcfg = 1ull << 61")
        sentence, answer = live.verdict()
        assert sentence == f"S read of {PAGE:#x}: page fault, but the tables leave the access flag to hardware."
        assert (answer["verdict"], answer["hardware"][0]["field"]) == ("left to hardware", "ADUE")


# --- Memory itself, and what no table decides.


@pytest.mark.parametrize("bits", [64, pytest.param(32, marks=pytest.mark.full)])
def test_memorys_protection_is_named_with_its_entry(gdb: Gdb, bits: int) -> None:
    with planted(gdb, "page_protected", bits) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == (
            f"S read of {PAGE:#x}: access fault, and memory's protection agrees: "
            "physical memory protection does not grant it."
        )
        deciding = answer["predicted"]["deciding"]
        assert (deciding["holder"], deciding["field"]) == ("pmpcfg0", "pmp0cfg")
        assert int(deciding["value"], 16) == live.value("$pmpcfg0") & 0xFF


def test_a_table_that_is_protected_is_told_from_the_page(gdb: Gdb) -> None:
    with planted(gdb, "table_protected") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == (
            f"S write of {PAGE:#x}: access fault on the table walk, and memory's protection agrees: "
            "physical memory protection does not grant it."
        )
        assert answer["walk"]["steps"][-1]["level"] == 1, "the walk ends before the entry that may not be read"


def test_memory_that_is_not_there_is_told_by_what_answers(gdb: Gdb) -> None:
    with planted(gdb, "page_in_a_hole") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert answer["verdict"] == "access aborted"
        assert f"nothing answers at PA {HOLE_PA:#x}, where they lead" in sentence


def test_a_page_fault_where_protection_refuses_is_another_fault(gdb: Gdb) -> None:
    with planted(gdb, "protected_since") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert answer["verdict"] == "tables differ"
        assert sentence.startswith(f"S read of {PAGE:#x}: page fault, but the tables say access fault")


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("supervisor_call", "U ecall: environment call from U-mode or VU-mode"),
        ("breakpoint", "S breakpoint"),
        ("alignment", f"S read of {PAGE + 1:#x}: alignment fault"),
        ("fence_trapped", "S illegal instruction: trapped to S by mstatus.TVM=1"),
    ],
)
def test_what_no_table_decides_is_said_to_be_so(gdb: Gdb, scenario: str, said: str) -> None:
    with planted(gdb, scenario) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == f"{said}: not a matter of the translation tables."
        assert (answer["verdict"], answer["suspicions"]) == ("not the tables", [])


@pytest.mark.parametrize("bits", [64, pytest.param(32, marks=pytest.mark.full)])
def test_an_interrupt_is_named_by_its_cause(gdb: Gdb, bits: int) -> None:
    with planted(gdb, "interrupted", bits) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert (answer["verdict"], answer["current"]) == ("interrupt", True)
        assert sentence == f"supervisor software interrupt taken from S, before {live.value('$sepc'):#x}."
        assert "nothing to repair: supervisor software interrupt is not" in live.refusal("mmu fixup")


def test_nothing_has_been_taken_since_reset(gdb: Gdb) -> None:
    with planted(gdb, "untouched") as live:
        sentence, answer = live.verdict()
        assert answer["verdict"] == "none taken"
        assert sentence.startswith("No exception has been taken since reset")
        assert sentence.endswith("scause, stval, sepc are 0.")


def test_a_pc_that_a_handler_set_is_not_the_faults(gdb: Gdb) -> None:
    with planted(gdb, "sent_elsewhere") as live:
        sentence, answer = live.verdict()
        assert answer["verdict"] == "not one exception"
        assert sentence.startswith(f"last exception: read of {PAGE:#x}: page fault, but sepc and sstatus are not of it")


# --- The tables permit it now.


def permitted(live: Planted, access: str, likeliest: str) -> Any:
    """Return the suspicions of a fault that the tables permit, the first of which is in the sentence."""
    sentence, answer = live.verdict()
    assert sentence == f"{access} of {PAGE:#x}: {PERMIT}: {likeliest}."
    assert answer["verdict"] == "tables permit"
    return answer["suspicions"]


@pytest.mark.parametrize(
    ("scenario", "needs", "access", "level", "came"),
    [
        ("made_without_fence", {}, "S read", 0, "and no sfence.vma came after it"),
        ("made_without_fence", {"bits": 32}, "S read", 0, "and no sfence.vma came after it"),
        ("made_and_written_without_fence", {}, "S write", 0, "and no sfence.vma came after it"),
        ("fenced_another_address", {}, "S read", 0, "and then sfence.vma a3, zero at {at:#x} named 0x40001000"),
        (
            "fenced_another_space", {}, "S read", 0,
            "and then sfence.vma zero, a3 at {at:#x} was of address space 2, and satp has 1",
        ),
        (
            "global_page_fenced_by_space", {}, "S read", 0,
            "and then sfence.vma zero, a3 at {at:#x} was of address space 1, and the page is global",
        ),
        (
            "invalidated_without_end", SVINVAL, "S read", 0,
            "and then sinval.vma a3, zero at {at:#x} had no sfence.inval.ir behind it",
        ),
        ("table_without_fence", {}, "S read", 1, "and no sfence.vma came after it"),
        (
            "table_fenced_by_address", {}, "S read", 1,
            "and then sfence.vma a3, zero at {at:#x} named 0x40000000: with an address it is about leaves alone",
        ),
    ],
)  # fmt: skip
def test_an_entry_that_was_cached_while_invalid_is_named_first_with_the_fence_it_lacks(
    gdb: Gdb, scenario: str, needs: Mapping[str, Any], access: str, level: int, came: str
) -> None:
    with planted(gdb, scenario, **needs) as live:
        live.to_fault()
        suspected = permitted(live, access, KEPT if level == 0 else KEPT.partition(",")[0])
        first = suspected[0]
        assert (first["cause"], first["weight"]) == ("cached invalid", "shown")
        written = first["written"]
        assert int(written["descriptor_address"], 16) == live.entry_address(level)
        assert live.value("*(long *)&let_through") == 1, "QEMU lets it through, a hart need not"
        store, at = int(written["store"], 16), int((written["invalidations"] or [{"address": "0"}])[0]["address"], 16)
        name = "sd" if live.bits == 64 else "sw"
        said = " ".join(live.say("mmu fault").split())
        assert f"the {name} at {store:#x} wrote the level {level} descriptor, {came.format(at=at)}. Go on" in said
        # What is of leaves alone cures no table.
        assert f"it faults again, until `mmu tlbi{'' if level else f' {PAGE:#x}'}`" in said
        unlikely = {each["cause"] for each in suspected if each["weight"] == "unlikely"}
        assert unlikely == {"repaired", "fenced elsewhere"}, "there is one hart"


@pytest.mark.parametrize(("scenario", "needs"), [("fenced", {}), ("invalidated_wholly", SVINVAL)])
def test_a_fence_that_covers_it_speaks_against_the_tlb(gdb: Gdb, scenario: str, needs: Mapping[str, Any]) -> None:
    with planted(gdb, scenario, **needs) as live:
        live.to_fault()
        suspected = permitted(live, "S read", "perhaps a stale table in the TLB")
        assert {each["cause"] for each in suspected if each["weight"] == "unlikely"} == {
            "cached invalid", "stale leaf", "missing barrier", "repaired", "fenced elsewhere",
        }  # fmt: skip


def test_a_probe_needs_no_caller_that_gdb_finds(gdb: Gdb) -> None:
    """Where the guest's first function has no caller GDB fails once pc has been set, though it has been."""
    with planted(gdb, "invalid_page") as live:
        live.to_fault()
        before = live.value("$pc")
        (probed,) = live.ask(f"probe {PAGE:#x}")
        assert (probed["verdict"], probed["first"][0]["done"]) == ("agrees", False)
        assert live.value("$pc") == before


@pytest.mark.parametrize("scenario", ["granted_without_fence", "granted_with_another_address_fenced"])
def test_an_older_leaf_is_told_from_an_invalid_entry_by_who_looked_before(gdb: Gdb, scenario: str) -> None:
    for looked, likeliest, cause in (
        (False, KEPT, "cached invalid"),
        (True, "probably a stale TLB entry", "stale leaf"),
    ):
        with planted(gdb, scenario, looked=looked) as live:
            live.to_fault()
            assert permitted(live, "S write", likeliest)[0]["cause"] == cause


def test_an_invalid_entry_that_somebody_saw_is_one(gdb: Gdb) -> None:
    with planted(gdb, "made_and_written_without_fence", looked=True) as live:
        live.to_fault()
        suspected = permitted(live, "S write", "probably the invalid entry that a TLB kept")
        assert "stale leaf" not in [each["cause"] for each in suspected]


def test_a_table_that_gave_way_to_a_superpage_is_told_by_who_looked_before(gdb: Gdb) -> None:
    with planted(gdb, "rebuilt_as_superpage", looked=True) as live:
        live.to_fault()
        first = permitted(live, "S read", "probably a stale table in the TLB")[0]
        assert (first["cause"], first["weight"]) == ("stale table", "likely")
        assert int(first["changed"]["descriptor_address"], 16) == live.entry_address(1)
        assert "it faults again, until `mmu tlbi`" in " ".join(live.say("mmu fault").split())


def test_a_hart_that_fenced_for_itself_alone_is_named(gdb: Gdb) -> None:
    with planted(gdb, "fenced_elsewhere", **TWO) as live:
        live.to_fault()
        assert live.selected() == 1
        first = permitted(live, "S read", "probably an sfence.vma for CPU 0 alone")[0]
        assert (first["cause"], first["remote"]["cpu"]) == ("fenced elsewhere", 0)
        (fence,) = first["remote"]["written"]["invalidations"]
        assert (fence["instruction"], fence["reaches"]) == ("sfence.vma a0, zero", True)


def test_a_watch_tells_which_hart_wrote_it(gdb: Gdb) -> None:
    """Where the writer has gone on since, its code no longer does."""
    with planted(gdb, "fenced_elsewhere", **TWO) as live:
        live.say(f"mmu watch {PAGE:#x}")
        assert "by CPU 0" in " ".join(live.say("continue").split())
        live.say("delete")
        # The writer's pc is set to where nothing was written.
        live.say("thread 1")
        live.to_fault()
        live.say("thread 1")
        live.say("set $pc = (long)&finished")
        live.say("thread 2")
        first = permitted(live, "S read", "probably an sfence.vma for CPU 0 alone")[0]
        assert (first["cause"], first.get("remote")) == ("fenced elsewhere", None)
        assert (first["changed"]["written_by"]["cpu"], int(first["changed"]["was"], 16) & 1) == (0, 0)
        assert "which refuses just this, until CPU 0 wrote it just before 0x" in " ".join(live.say("mmu fault").split())


def test_another_hart_that_was_faster_is_told_by_its_own_fault(gdb: Gdb) -> None:
    with planted(gdb, "both_read_only", **TWO) as live:
        live.to_fault()
        assert (live.selected(), live.verdict()[1]["verdict"]) == (0, "tables agree")
        live.to_fault()
        assert live.selected() == 1
        first = permitted(live, "S write", "probably repaired by CPU 0")[0]
        assert (first["cause"], first["cpus"]) == ("repaired", [0])


def test_one_that_this_debugger_served_is_told_by_that(gdb: Gdb) -> None:
    with planted(gdb, "both_not_accessed", features=SVADE, **TWO) as live:
        live.say("mmu catch any")
        live.say("continue")
        assert live.selected() == 0
        live.say("mmu fixup --resume")
        assert live.selected() == 1
        first = permitted(live, "S read", "probably repaired for CPU 0 by `mmu fixup`")[0]
        assert (first["cause"], first["changed"]["by"]) == ("repaired", "fixup")


def test_present_is_not_permitted_and_such_a_fault_is_not_called_spurious(gdb: Gdb) -> None:
    with planted(gdb, "made_read_only_since") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == f"S write of {PAGE:#x}: {AGREE}: it is not writable."
        assert answer["loops_where_presence_counts"] is True


@pytest.mark.parametrize(
    ("scenario", "access", "bit"),
    [("handler_does_nothing", "read", "V"), ("handler_takes_it_for_spurious", "write", "W")],
)
def test_a_handler_that_loops_is_caught_at_it(gdb: Gdb, scenario: str, access: str, bit: str) -> None:
    with planted(gdb, scenario) as live:
        live.say("mmu catch any")
        for _ in range(3):
            loop = live.say("continue")
        assert f"mmu: a fault loop: pc {live.value('$sepc'):#x} faults on {PAGE:#x} again" in loop
        (answer,) = live.ask("fault")
        assert (answer["access"]["kind"], answer["predicted"]["deciding"]["field"]) == (access, bit)
        assert answer.get("loops_where_presence_counts", False) is (bit == "W")


# --- What QEMU's TLB does and does not is one thing on each of them.


@pytest.mark.full
@pytest.mark.parametrize("qemu", [NEWER, "sid"])
@pytest.mark.parametrize("scenario", ["made_without_fence", "fenced_another_address", "table_protected", "read_only"])
def test_newer_qemus_come_to_the_same_verdicts(gdb: Gdb, qemu: str, scenario: str) -> None:
    said = []
    for each in ("system", qemu):
        with planted(gdb, scenario, qemu=each) as live:
            live.to_fault()
            said.append(live.verdict()[0])
    assert said[0] == said[1]
