"""`explain` on what firmware prints: it states registers, and no tables; what it leaves out is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gdbtools.commands.explain.run import Explained
from gdbtools.commands.explain.view import view
from gdbtools.render.text import render
from tests.commands.test_explain import FIRMWARE, LOGS, asked, explained, one
from tests.places import ROOT

WITH_A_SYNDROME = [each for each in LOGS if each.stem.startswith(FIRMWARE) and each.stem != "edk2-2022.11-execute"]


def log(name: str) -> str:
    return (ROOT / f"fixtures/logs/{name}.log").read_text()


def stated(answer: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in answer["crash"]["stated"]}


@pytest.mark.parametrize("log", WITH_A_SYNDROME, ids=lambda log: log.stem)
def test_firmware_states_the_registers_of_the_dump(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer = asked(["explain", str(log)], capsys)
    dump_status, dumped = asked(["fault", "-s", str(log.with_suffix(".core"))], capsys)
    assert status == dump_status == 1
    assert dumped["verdict"] == "tables agree"
    found = answer["fault"] or answer["syndrome"]
    syndrome = found["syndrome"] if answer["fault"] else found
    for each in ("value", "fault"):
        assert syndrome[each] == dumped["syndrome"][each], each
    values = stated(answer)
    for name, of_dump in (("FAR", "address"), ("cr2", "address"), ("ELR", "return_address"), ("SPSR", "saved_state")):
        # Of several levels the highest took it.
        mine = sorted((known, value) for known, value in values.items() if re.fullmatch(rf"{name}(_EL[123])?", known))
        assert not mine or mine[-1][1] == dumped[of_dump], name
    assert answer["fault"] or answer["crash"]["wanted"] or answer["why"]
    assert answer["crash"]["contradictions"] == []


@pytest.mark.parametrize("log", WITH_A_SYNDROME, ids=lambda log: log.stem)
def test_what_firmware_does_not_print_is_not_made_up(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was read or assumed of a register is its value in the dump, as far as it decides anything."""
    _, answer = asked(["explain", str(log)], capsys)
    known = stated(answer) | {each["name"]: each["value"] for each in answer["crash"]["deduced"]}
    for name in ("TTBR0_EL1", "TTBR0_EL3", "TCR_EL3", "MAIR_EL1", "MAIR_EL3", "SCTLR_EL3", "cr0", "cr3", "cr4"):
        if name in known:
            _, dumped = asked(["regs", name, "-s", str(log.with_suffix(".core"))], capsys)
            assert int(known[name], 16) == int(dumped["value"], 16), name


def test_firmware_that_has_all_but_the_tables_gives_a_verdict_where_none_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An address outside the range of TTBR0_EL3 needs none."""
    name = ROOT / "fixtures/logs/tf-a-2.12-execute"
    _, answer = asked(["explain", f"{name}.log"], capsys)
    _, dumped = asked(["fault", "-s", f"{name}.core"], capsys)
    for each in ("verdict", "sentence", "syndrome", "address", "access", "predicted"):
        assert answer["fault"][each] == dumped[each], each


def test_where_a_table_is_missing_it_is_said_which() -> None:
    shown = " ".join(render(view(one(log("tf-a-2.12-write")))).split())
    assert "no verdict cannot read 8 bytes at physical address 0x13008" in shown
    assert "FAR_EL3 0x50000000" in shown


U_BOOT = log("u-boot-2025.01-el2-write")


def test_where_u_boots_code_is_in_its_file_is_no_pc() -> None:
    crash = one(U_BOOT).crash
    moved, in_file = (int(re.search(rf"elr: (\w+) .*{end}$", U_BOOT, re.M)[1], 16) for end in (r"\w{16}", r"\(reloc\)"))  # type: ignore[index]
    assert crash.stated["ELR_EL1"] == moved != in_file
    assert crash.told == (("in its file", f"the code is at {in_file:#x}: it moved itself after that"),)


def test_before_2023_07_u_boot_names_no_address() -> None:
    assert one(log("u-boot-2023.01-write")).crash.wanted[0] == "the fault address: U-Boot prints it since 2023.07"
    assert "address" not in one(U_BOOT).crash.wanted[0]


def test_the_fault_of_u_boot_as_it_prints_its_code_is_a_crash_of_its_own() -> None:
    """Where it went nowhere there is nothing to print, and that faults again, in the same line."""
    first, _, rest = U_BOOT.partition("Code: ")
    answers = explained(f'{first}Code: "Synchronous Abort" handler, esr 0x96000004, far 0x3ffffffffffff0\n{rest}')
    assert [each.crash.stated["FAR_EL1"] for each in answers] == [0x7FFFFFF000, 0x3FFFFFFFFFFFF0]


@pytest.mark.parametrize("handler", ["Irq", "Fiq"])
def test_an_interrupt_of_u_boot_has_no_syndrome(handler: str) -> None:
    crash = one(U_BOOT.replace("Synchronous Abort", handler)).crash
    assert crash.unread.startswith("it is an interrupt that nobody handles")


TF_A = log("tf-a-2.12-read-only")


@pytest.mark.parametrize(
    "mixed",
    [
        TF_A.replace("x7 ", "x6 "),
        TF_A.replace("Unhandled Exception in EL3.", "x30            = 0xUnhandled Exception in EL3."),
    ],
    ids=["a register twice", "a line in a line"],
)
def test_lines_of_several_cpus_of_tf_a_are_refused(mixed: str) -> None:
    crash = one(mixed).crash
    assert crash.unread == "the lines of several CPUs are mixed: none of them says whose it is"
    assert not crash.stated


@pytest.mark.parametrize("first", ["PANIC in EL3.", "Unhandled Interrupt Exception in EL3."])
def test_a_death_of_tf_a_by_no_exception_has_no_syndrome(first: str) -> None:
    crash = one(TF_A.replace("Unhandled Exception in EL3.", first)).crash
    assert crash.unread.startswith("it is no exception's")


OP_TEE = log("op-tee-4.5-write")


@pytest.mark.parametrize(
    ("text", "system"),
    [
        (re.sub(r"esr (0x\w+ )", r"fsr \1", OP_TEE), "OP-TEE on 32-bit Arm"),
        ("data abort\npc : [<9ff5b1c4>]          lr : [<9ff5b1b3>]\n", "U-Boot on 32-bit Arm"),
        ("!!!! IA32 Exception Type - 0E(#PF - Page-Fault)  CPU Apic ID - 00000000 !!!!\n", "edk2 on 32-bit x86"),
    ],
)
def test_the_same_firmware_on_32_bits_is_named_and_not_read(text: str, system: str) -> None:
    crash = one(text).crash
    assert (crash.system, bool(crash.unread), crash.stated) == (system, True, {})


def test_an_application_of_op_tee_has_regions() -> None:
    """Its own pages are printed, as they were asked for; the tables may have others."""
    own = OP_TEE[: OP_TEE.index("E/TC:0 0 TEE load address")]
    text = own.replace("Core data-abort at address 0x10 ", "User TA data-abort at address 0x40005010 ")
    region = "E/LD:   region  1: va 0x40004000 pa 0x0e300000 size 0x002000 flags rw-RW (ldelf)\n"
    assert one(text + region).crash.told[0][1].startswith("1, rw-RW: from va 0x40004000")
    assert one(text + region.replace("0x40004000", "0x40008000")).crash.told == (
        ("region", "none of those that are printed has the address"),
    )


def test_a_root_of_op_tee_may_lie_anywhere_at_32_bytes() -> None:
    """Four entries of 8 bytes are all of its level 1; above them is the ASID."""
    answer = one(OP_TEE.replace("ttbr0 0x0e1d0000", "ttbr0 0x000200000e1d0060"))
    assert "physical address 0xe1d0060" in answer.why


EDK2 = log("edk2-2022.11-execute")


def test_of_edk2_as_it_is_shipped_there_is_a_pc_and_what_to_ask_for() -> None:
    """Both the serial port and the console have its only line."""
    for text in (EDK2, f"{EDK2}\n\n{EDK2}"):
        crash = one(text).crash
        assert crash.stated == {"ELR_EL1": 0x80_0000_0000}
        assert crash.wanted == ("the registers, ESR and FAR among them, which a build for debugging (-b DEBUG) prints",)


def test_a_build_of_edk2_for_debugging_says_where_the_code_is_from() -> None:
    crash = one(log("edk2-debug-read-only")).crash
    assert crash.where.endswith(", in Verdicts.dll")
    assert crash.stated["SPSR_EL1"] == 0x6000_03C5
    at_el2 = one(log("edk2-debug-read-only").replace("SPSR 0x600003C5", "SPSR 0x600003C9")).crash
    assert "ESR_EL2" in at_el2.stated


ZEPHYR = log("zephyr-read-only")


def test_zephyrs_walk_is_held_against_itself_and_its_registers() -> None:
    assert one(ZEPHYR.replace("PTE walk for 0x50000000", "PTE walk for 0x50000008")).crash.doubts == (
        "the address of the walk is 0x50000008, and FAR_EL1 has 0x50000000",
    )
    for torn, doubt in (
        ("L1[1]", "the levels or indices of the walk are not those of its address"),
        ("@ 0x40224008", "the entries are not printed from where the ones before them lead to"),
    ):
        changed = ZEPHYR.replace(torn, torn.replace("1]", "2]").replace("4008", "4010"))
        crash = one(changed).crash
        assert crash.doubts == (doubt,)
        assert not crash.descriptors


def test_zephyr_without_its_walk_is_asked_for_it() -> None:
    answer = one("".join(line for line in ZEPHYR.splitlines(keepends=True) if " @ " not in line and "PTE" not in line))
    assert isinstance(answer, Explained)
    assert answer.fault is None
    assert answer.crash.wanted == ("the walk, `PTE walk for ...`, which newer builds print, or a capture",)
