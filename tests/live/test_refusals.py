"""Bad input and wrong moments: one line that says what to do, the guest as it was, GDB alive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gdbtools.commands import COMMANDS
from tests.live.session import LANDING, Live, Session, attached, symbol

pytestmark = pytest.mark.guest

SOURCELESS = ("trace", "explain")
"""Commands that look at a file, and at no guest."""
WORDS = {
    "walk": "walk 0x40200000",
    "rmap": "rmap 0x40200000",
    "syndrome": "syndrome",
    "catch": "catch any",
    "capture": "capture /tmp/nothing",
    "redact": "redact /tmp/nothing",
    "pte": "pte 0x40200000 AF=1",
    "clear-af": "clear-af 0x40200000",
    "probe": "probe 0x40200000",
    "watch": "watch 0x40200000",
    "who": "who 0x40200000",
    "working-set": "working-set 0x40200000",
    "diff": "diff /tmp/nothing",
    "hardware-af": "hardware-af on",
}
EVERY = [WORDS.get(name, name) for name in COMMANDS if name not in SOURCELESS]
NONSENSE = {
    "nosuch": "mmu has no command 'nosuch'",
    "walk": "ADDRESS is missing",
    "walk --nosuch 0": "there is no option --nosuch",
    "walk 0 --access fly": "shadow-stack-read or shadow-stack-write, not 'fly'",
    "walk 0 --access": "--access needs a value: read, write, execute, read-code",
    "walk 0 --el 4": "--el is 0, 1, 2 or 3, not '4'",
    "walk 0 --el 2": "EL2 does not run in EL1&0 stage 1",
    "walk 0 --regime el9": "not 'el9'",
    "walk 0 --regime el3": "this gdbstub does not give TCR_EL3",
    "walk 0 --with TCR_EL1.HPD0": "changes nothing; write REGISTER.FIELD=VALUE",
    "walk 0 --with NOSUCH=1": "NOSUCH is not a register that is decoded here",
    "walk 0 --with TCR_EL1.NOSUCH=1": "TCR_EL1 has no field NOSUCH; it has:",
    "walk 0 --with TCR_EL1.HPD0=2": "HPD0 has 1 bit: 0x2 does not fit",
    "walk 0 --pte 0x40200000.NOSUCH=1": "has no field NOSUCH; it has:",
    "map 1,": "is no range; write FIRST,END",
    "map 0x3000-0x1000": "it ends at 0x1000, before it begins, at 0x3000",
    "map 2,1": "before it begins, at 0x2; write FIRST,END",
    "map --perm q": "are no permissions",
    "map --size 4q": "is no size",
    "map --el0 --el1": "exclude each other",
    "walk $nosuch": "$nosuch has no value here",
    'walk "$nosuch"': "$nosuch has no value here",
    "walk nosuch": "nosuch: No symbol",
    "walk 1+": "A syntax error in expression",
    "walk 1/0": "Division by zero",
    "walk $v0.q": "is not an address",
    "walk 0x10000000000000000": "does not fit 64 bits",
    'walk \'"text"': "give an address",
    "walk 1.5": "is a floating-point number",
    "status extra": "'extra' is one word too many",
    "regs nosuch": "nosuch is not a register that is decoded here",
    "regs --nosuch": "there is no option --nosuch",
    "syndrome 1 2": "'2' is one word too many",
    "syndrome $nosuch": "has no value here",
    "fault extra": "'extra' is one word too many",
    "catch": "KIND is missing",
    "catch nosuch": "not 'nosuch'",
    "fixup --resume=1": "--resume takes no value",
    "service --count": "--count needs a value",
    "service --count 0": "from 1 on",
    "service --count -1": "",
    "service --count many": "'many' is not a number",
    "pte": "ADDRESS|VALUE is missing",
    "pte 0x40200000 --tlbi": "--tlbi is of a change, and nothing is to change",
    "pte 0x40200000 AF": "changes nothing; write FIELD=VALUE",
    "pte 0x40200000 AF=": "changes nothing; write FIELD=VALUE",
    "pte 0x40200000 AF=yes": "'yes' is not a number",
    "pte 0x40200000 AF=2": "AF has 1 bit: 0x2 does not fit",
    "pte 0x40200000 NOSUCH=1": "has no field NOSUCH; it has:",
    "pte 0x40200000 AF=1": "is so already",
    "pte 0x40200000 SH=0": "a live entry may not change SH",
    "pte 0x40200000 OutputAddress=0x40200001": "OutputAddress is a multiple of 0x1000, and 0x40200001 is none",
    "pte 0x40200000 AF=0 --level 4": "has no level 4 descriptor to change; it has: ",
    "pte 0xdead0000000 AF=1 --level 3": "has no level 3 descriptor to change; it has: ",
    "pte 0x40200000 AF=0 --break --live": "exclude each other",
    "clear-af": "RANGE is missing",
    "clear-af 1,": "is no range",
    "clear-af 0xdead000": "nothing is mapped there",
    "clear-af 0x40200000": "maps the exception vectors of CPU 0",
    "tlbi asid=": "is not a number",
    "tlbi asid=65536": "is no identifier of an address space; they have ",
    "tlbi nosuch": "nosuch: No symbol",
    "probe": "ADDRESS is missing",
    "probe 0x40200000 --access execute": "--access is read, write or read-code, not 'execute'",
    "probe 0x40200000": "is in the exception vectors",
    "probe 0x40200000 --overwrite": "is in the exception vectors",
    "probe 0x40200000 --by at": "the guest has no address translation (AT)",
    "probe 0x40200000 --by at --overwrite": "nothing to --overwrite",
    "undo": "nothing was written in this session",
    "undo --all": "nothing was written in this session",
    "undo many": "'many' is not a number",
    "capture": "FILE is missing",
    "capture /nosuch/folder/file": "No such file or directory",
    "capture /": "",
}


def test_with_nothing_attached_it_is_said_how_to_attach(alone: Session) -> None:
    for command in EVERY:
        assert "nothing is attached; start QEMU with -s" in alone.refusal(f"mmu {command}")


@pytest.mark.parametrize("words", NONSENSE)
def test_nonsense_is_one_line_and_changes_nothing(shared_fault: Live, words: str) -> None:
    before = shared_fault.state()
    assert NONSENSE[words] in shared_fault.refusal(f"mmu {words}")
    assert shared_fault.state() == before
    assert before["mode"] == "0"


def test_a_dump_needs_no_guest_but_a_process_is_not_one(alone: Session) -> None:
    alone.say("file /bin/true")
    reply = alone.gdb.run("starti")
    if reply.error:
        pytest.skip(f"this GDB cannot run a process here: {reply.error}")
    for command in EVERY:
        assert "not a gdbstub with an MMU" in alone.refusal(f"mmu {command}")


@pytest.mark.parametrize("va", [0, 0x40200000, symbol("cpu_main")])
def test_with_the_mmu_off_each_address_is_its_own(shared_reset: Live, va: int) -> None:
    (answer,) = shared_reset.ask(f"walk {va}")
    assert (answer["outcome"], int(answer["output"], 16), answer["steps"]) == ("mapped", va, [])
    assert "MMU off" in shared_reset.say("mmu status")


@pytest.mark.parametrize("command", ["catch any", "service", "service --count 1"])
def test_before_the_guest_has_vectors_it_is_said_to_run_it_first(shared_reset: Live, command: str) -> None:
    before = shared_reset.state()
    assert "the guest has not set its vectors yet; run it until it has" in shared_reset.refusal(f"mmu {command}")
    assert shared_reset.state() == before
    assert shared_reset.inside("breakpoints()") == []


def test_before_any_exception_there_is_no_fault_to_explain_or_repair(shared_reset: Live) -> None:
    assert "No exception has been taken since reset" in shared_reset.say("mmu fault")
    assert "nothing to repair" in shared_reset.refusal("mmu fixup")


def test_a_running_guest_is_to_be_interrupted_first(qemu: str, gdb_path: str) -> None:
    with attached(gdb_path) as live:
        live.to_scan()
        # For ever: as a second CPU, in a barrier that never fills.
        live.set_registers(pc=LANDING, x0=1)
        live.say("continue&")
        for command in EVERY:
            assert "interrupt it first" in live.refusal(f"mmu {command}")
        live.interrupt()
        assert live.physical_mode() == "0"
        assert "MMU on" in live.say("mmu status")


@pytest.fixture(scope="module")
def at_el2(qemu: str, gdb_path: str) -> Iterator[Live]:
    """The same guest where QEMU gives it EL2 to begin with."""
    with attached(gdb_path, machine="virt,virtualization=on") as live:
        yield live


def test_at_el2_its_own_regime_is_asked_and_others_by_name(at_el2: Live, tmp_path: Path) -> None:
    before = at_el2.state()
    assert at_el2.ask("status")[0]["regimes"][0]["name"] == "EL2 stage 1, MMU off (SCTLR_EL2.M is 0)"
    assert at_el2.ask("walk 0x40000000")[0]["output"] == "0x0000000040000000"
    assert at_el2.ask("walk 0x40000000 --regime el1")[0]["regime"] == "EL1&0 stage 1, MMU off (SCTLR_EL1.M is 0)"
    assert at_el2.ask("walk 0x40000000 --regime stage2")[0]["output"] == "0x0000000040000000", "stage 2 is off"
    at_el2.say(f"mmu capture {tmp_path / 'core'}")
    assert at_el2.state() == before


def test_a_syndrome_that_is_given_needs_no_target(alone: Session) -> None:
    assert "cache maintenance" in alone.say("mmu esr 0x9600014b")


def test_numbers_are_read_as_logs_write_them_and_a_range_is_no_subtraction(shared_fault: Live) -> None:
    said = shared_fault.say("mmu esr 96000006")
    assert "96000006 is read as hexadecimal: 0x96000006" in said
    first, end = symbol("_start"), symbol("_start") + 0x2000
    expected = shared_fault.ask(f"map {first:#x},{end:#x}")
    assert expected[0]["runs"]
    for words in (f"{first:#x}-{end:#x}", f"{first:016x}-{end:016x}", "_start-(char*)&_start+0x2000"):
        assert shared_fault.ask(f"map {words}") == expected, words
    assert shared_fault.ask(f"walk {first:016x}") == shared_fault.ask("walk _start")
    assert "has no level -1 descriptor; it has: 0, 1, 2, 3" in shared_fault.refusal("mmu watch _start --level=-1")
