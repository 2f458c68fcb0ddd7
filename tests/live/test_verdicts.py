"""One cause planted, one fault, and what `mmu fault` says first; each bit that it names is where the guest has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from gdbtools.children.mi import Gdb
from tests.live.denials import ADDRESSES, CLEAR, DENIALS, MAX, NEWER_DENIALS, NOT_VALID, Denial
from tests.live.verdicts import HOLE_PA, PAGE, PAGE_IPA, UPPER_HALF, Planted, planted, symbol

pytestmark = pytest.mark.guest

GUEST_OF_A_HYPERVISOR: Mapping[str, Any] = {"hypervisor": True}
SOFT_INVALID = "its valid bit alone is clear (soft-invalid, as Xen leaves it for the next access)"


# --- The tables agree: the deciding bit, its value, and where it is.


def named(denial: Denial) -> str:
    return f"{denial.scenario}, {denial.needs['cpu']}" if denial.needs else denial.scenario


@pytest.mark.parametrize("denial", DENIALS, ids=named)
def test_the_deciding_bit_is_named_first_and_is_where_the_guest_has_it(gdb: Gdb, denial: Denial) -> None:
    with planted(gdb, denial.scenario, **denial.needs or {}) as live:
        live.to_fault()
        assert_denied(live, denial)


def assert_denied(live: Planted, denial: Denial) -> None:
    sentence, answer = live.verdict()
    assert sentence == denial.sentence
    assert answer["verdict"] == "tables agree"
    assert answer["suspicions"] == []
    deciding = answer["predicted"]["deciding"]
    assert (deciding["field"], int(deciding["value"], 16)) == (denial.field, denial.value)
    assert (deciding["holder"], deciding["level"]) == (denial.holder, denial.level)
    if denial.level is None:
        holder = live.register("SPSR_EL1" if denial.holder == "PSTATE" else denial.holder)
    else:
        at = live.descriptor_address(denial.address, denial.level)
        assert int(deciding["descriptor_address"], 16) == at
        holder = live.descriptor(at)
    high, low = (int(each) for each in (re.findall(r"\d+", deciding["bits"]) * 2)[:2])
    in_place = holder & (1 << high + 1) - (1 << low)
    assert (in_place if denial.field in ADDRESSES else in_place >> low) == denial.value


@pytest.mark.parametrize("denial", NEWER_DENIALS, ids=named)
def test_what_newer_hardware_denies_is_named_too(gdb: Gdb, newest: tuple[str, ...], denial: Denial) -> None:
    with planted(gdb, denial.scenario, program=newest, **denial.needs or {}) as live:
        live.to_fault()
        assert_denied(live, denial)


# --- The access flag, and who sets it.


@pytest.mark.parametrize(
    ("scenario", "needs", "said"),
    [
        ("not_accessed", {}, "TCR_EL1.HA=0, ID_AA64MMFR1_EL1.HAFDBS=0b0000: software sets the access flag"),
        ("left_to_hardware", {}, "TCR_EL1.HA=1, ID_AA64MMFR1_EL1.HAFDBS=0b0000: software sets the access flag"),
        ("not_accessed", MAX, "TCR_EL1.HA=0, ID_AA64MMFR1_EL1.HAFDBS=0b0010: software sets the access flag"),
    ],
)
def test_what_kept_hardware_from_setting_the_flag_is_said(
    gdb: Gdb, scenario: str, needs: Mapping[str, Any], said: str
) -> None:
    with planted(gdb, scenario, **needs) as live:
        live.to_fault()
        assert said in " ".join(live.say("mmu fault").split())
        tcr, hafdbs = live.ask("fault")[0]["hardware"]
        assert int(tcr["value"], 16) == live.value("$TCR_EL1") >> 39 & 1
        assert int(hafdbs["value"], 16) == live.value("$ID_AA64MMFR1_EL1") & 0xF


def test_where_hardware_sets_the_flag_there_is_no_fault(gdb: Gdb) -> None:
    with planted(gdb, "left_to_hardware", **MAX) as live:
        leaf = live.descriptor_address(PAGE, 3)
        assert not live.descriptor(leaf) & 1 << 10
        live.to_the_end()
        assert live.descriptor(leaf) & 1 << 10
        assert live.counted() == 0


def test_an_address_that_is_too_large_is_held_against_the_size_that_there_is(gdb: Gdb) -> None:
    with planted(gdb, "output_too_large") as live:
        live.to_fault()
        assert live.value("$TCR_EL1") >> 32 & 7 == 4, "44 bits"
        assert "output size   44 bits, up to 0xfffffffffff\n" in live.say("mmu fault")


# --- Nothing answers.


@pytest.mark.parametrize(
    ("scenario", "level", "address", "met"),
    [("table_in_a_hole", 3, PAGE, [0, 1, 2]), ("root_in_a_hole", 0, PAGE | UPPER_HALF, [])],
)
def test_an_abort_on_the_walk_names_what_is_not_there(
    gdb: Gdb, scenario: str, level: int, address: int, met: list[int]
) -> None:
    with planted(gdb, scenario) as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == (
            f"EL1 read of {address:#x}: external abort, level {level} on the table walk: "
            f"nothing answers at PA {HOLE_PA:#x}, where the level {level} descriptor would be."
        )
        assert answer["verdict"] == "walk aborted"
        assert int(answer["aborted"]["descriptor_address"], 16) == HOLE_PA
        assert answer["backing"] == ""
        # QEMU's monitor, which knows what is mapped there, and its stub, which reads zeros.
        assert "No memory is mapped" in live.inside(f"gdb.execute('monitor gpa2hva {HOLE_PA:#x}', to_string=True)")
        assert live.descriptor(HOLE_PA) == 0
        said = live.say("mmu fault")
        assert [int(each) for each in re.findall(r"(?m)^ +(\d) +\d+ +0x", said)] == met


def test_an_abort_of_the_access_itself_names_where_the_tables_lead(gdb: Gdb) -> None:
    with planted(gdb, "page_in_a_hole") as live:
        live.to_fault()
        sentence, answer = live.verdict()
        assert sentence == (
            f"EL1 read of {PAGE:#x}: external abort: not a matter of the translation tables: "
            f"nothing answers at PA {HOLE_PA:#x}, where they lead."
        )
        assert (answer["verdict"], answer["backing"]) == ("access aborted", "")


# --- Stage 2: the same verdict for the hypervisor's tables.


@pytest.mark.parametrize(
    ("scenario", "access", "fault", "why", "field", "value"),
    [
        ("stage2_unmapped", "EL1 read", "translation", SOFT_INVALID, "VALID", 0),
        ("stage2_read_only", "EL1 write", "permission", "stage 2 lets nobody write", "S2AP", 0b01),
        ("stage2_not_accessed", "EL1 read", "access flag", CLEAR, "AF", 0),
    ],
)
def test_a_fault_of_stage_2_is_decided_in_the_hypervisors_table(
    gdb: Gdb, scenario: str, access: str, fault: str, why: str, field: str, value: int
) -> None:
    with planted(gdb, scenario, **GUEST_OF_A_HYPERVISOR) as live:
        live.to_fault(symbol("vectors_el2"))
        sentence, answer = live.verdict()
        assert sentence == f"{access} of {PAGE:#x}: stage 2 {fault} fault, level 3, and the tables agree: {why}."
        deciding = answer["predicted"]["deciding"]
        assert (deciding["field"], int(deciding["value"], 16), deciding["level"]) == (field, value, 3)
        assert int(deciding["descriptor_address"], 16) == live.stage2_descriptor_address(PAGE_IPA)
        if fault != "permission":
            # HPFAR_EL2 is not valid for one: DDI 0487, "HPFAR_EL2".
            assert int(answer["ipa"], 16) == PAGE_IPA == live.value("$HPFAR_EL2") >> 4 << 12
        if fault == "access flag":
            assert [each["register"] for each in answer["hardware"]] == ["VTCR_EL2", "ID_AA64MMFR1_EL1"]


def test_a_table_that_stage_2_does_not_map_is_the_hypervisors_matter_too(gdb: Gdb) -> None:
    with planted(gdb, "stage2_no_table", **GUEST_OF_A_HYPERVISOR) as live:
        assert_no_table(live, level=3)
        # The level of the lookup at stage 1, which is not the manual's: said, and no reason to disagree.
        assert "level         3 is that of the descriptor to be fetched, as QEMU 7.2" in live.say("mmu fault")


def test_its_level_is_that_of_stage_2_where_qemu_follows_the_manual(gdb: Gdb, newest: tuple[str, ...]) -> None:
    with planted(gdb, "stage2_no_table", program=newest, **GUEST_OF_A_HYPERVISOR) as live:
        assert_no_table(live, level=2)
        assert "to be fetched" not in live.say("mmu fault")


def assert_no_table(live: Planted, level: int) -> None:
    """QEMU's device tree lies in the memory that the guest has one to one, which is all of the machine's."""
    live.to_fault(symbol("vectors_el2"))
    sentence, answer = live.verdict()
    whose = "a device tree that is not shown to be the guest's"
    assert sentence == (
        f"EL1 read of {PAGE:#x}: stage 2 translation fault of a stage 1 table walk, level {level}, "
        f"and the tables agree: {NOT_VALID}, and {whose} has nothing at IPA {HOLE_PA:#x}."
    )
    assert int(answer["ipa"], 16) == HOLE_PA == live.value("$HPFAR_EL2") >> 4 << 12
    assert answer["predicted"]["deciding"]["level"] == 2


# --- No table's matter.


@pytest.mark.parametrize(
    ("scenario", "needs", "said"),
    [
        ("alignment", {}, f"EL1 read of {PAGE + 1:#x}: alignment fault: "),
        ("supervisor_call", {}, "EL0 SVC #0x0 (Linux: system call number in x8): "),
        ("set_way", GUEST_OF_A_HYPERVISOR, "EL1 DC CSW, XZR: trapped to EL2 by HCR_EL2.TSW=1: "),
    ],
)
def test_what_no_table_decides_is_said_to_be_so(gdb: Gdb, scenario: str, needs: Mapping[str, Any], said: str) -> None:
    with planted(gdb, scenario, **needs) as live:
        live.to_fault(symbol("vectors_el2") if needs else None)
        sentence, answer = live.verdict()
        assert sentence == f"{said}not a matter of the translation tables."
        assert (answer["verdict"], answer["suspicions"]) == ("not the tables", [])
