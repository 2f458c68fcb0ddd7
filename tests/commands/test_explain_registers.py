"""`explain` of systems that print registers and no tables: each is the capture's, and the syndrome is decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdbtools.commands.explain.view import view
from gdbtools.machine.sources import open_source
from gdbtools.render.text import render
from tests.commands.test_explain import LOGS, REGISTERS_ALONE, asked, one
from tests.places import ROOT

PRINTED = [each for each in LOGS if each.stem.startswith(REGISTERS_ALONE) and not each.stem.startswith("qemu-")]
ROW = (ROOT / "fixtures/logs/osv-access-flag.log").read_text()


def text(name: str) -> str:
    return (ROOT / "fixtures/logs" / f"{name}.log").read_text()


@pytest.mark.parametrize("log", PRINTED, ids=lambda log: log.stem)
def test_each_register_of_a_log_is_the_captures(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    core = log.with_suffix(".core")
    status, answer = asked(["explain", str(log)], capsys)
    _, dumped = asked(["fault", "-s", str(core)], capsys)
    assert status == 1
    assert answer["fault"] is None
    if not log.stem.startswith("osv-x86-"):
        # OSv prints no error code there.
        for each in ("value", "fault", "access"):
            assert answer["syndrome"][each] == dumped["syndrome"][each], each
    assert answer["crash"]["contradictions"] == []
    stated = one(log.read_bytes()).crash.stated
    registers = open_source(str(core)).cpu.registers
    # On x86-64 the handler's first instruction has a stack, and on it are these.
    same = {name for name in stated if name not in ("error_code", "rip", "rsp", "eflags")}
    assert {name: registers.read(name) for name in same} == {name: stated[name] for name in same}
    assert stated[next(name for name in stated if name.startswith("FAR_") or name == "cr2")] == int(
        dumped["address"], 16
    )


@pytest.mark.parametrize("log", [log for log in PRINTED if "-x86-" not in log.stem], ids=lambda log: log.stem)
def test_what_is_asked_for_is_where_the_tables_are(log: Path) -> None:
    crash = one(log.read_bytes()).crash
    (syndrome,) = (name for name in crash.stated if name.startswith("ESR_"))
    system = crash.system.removesuffix(" on AArch64")
    register = syndrome.replace("ESR", "TTBR0")
    assert crash.wanted == (
        f"the tables and {register}, which {system} does not print: `mmu capture FILE` in GDB, or a dump",
    )


def test_the_report_that_this_project_began_with_is_an_access_flag_fault() -> None:
    """OSv's issue 1131: flags that the page scanner had cleared, met by cache maintenance."""
    answer = one("""\
page fault outside application, addr: 0x0000100000000000
[registers]
PC: 0x000000004047a070 <???+1078435952>
X30: 0x00000000401e4ac4 SP:  0x00002000001000e0 ESR: 0x000000009600014b
PSTATE: 0x0000000080000345
""")
    shown = " ".join(render(view(answer)).split())
    assert "access flag fault, level 3, cache maintenance address FAR_EL1 0x100000000000" in shown


def test_a_kernels_half_has_a_root_of_its_own() -> None:
    upper = ROW.replace("0x0000000080002010", "0xffff800080002010")
    assert one(upper).crash.wanted[0].startswith("the tables and TTBR1_EL1, ")


def test_of_osv_on_x86_64_there_is_no_error_code() -> None:
    crash = one(text("osv-x86-absent")).crash
    assert "error_code" not in crash.stated
    assert crash.wanted[0].startswith("the error code, CR3 and the tables")


def test_illumos_and_solaris_may_have_no_blank_between_control_registers() -> None:
    whole, line = text("illumos-x86-read-only"), "cr2: 40001000cr3: 203000cr8: 0"
    assert line in whole
    spaced = whole.replace(line, "cr2: 40001000 cr3: 203000 cr8: 0")
    assert one(spaced).crash.stated == one(whole).crash.stated
    assert one(whole).crash.stated["cr3"] == 0x203000
    elsewhere = one(whole.replace("addr=40001000", "addr=40001008")).crash
    assert elsewhere.doubts == ("the fault is of 0x40001008, and cr2 has 0x40001000",)
    torn = one(whole[: whole.index("cr0:")]).crash
    assert torn.wanted[0] == "the lines of registers, from `cr0: ...` on"
    assert torn.deduced.values["cr2"] == 0x40001000


def test_another_level_is_the_states_own() -> None:
    """XNU may run at EL2."""
    crash = one(text("xnu-absent").replace("cpsr: 0x600003c5", "cpsr: 0x600003c9").replace("03c5", "03c9")).crash
    assert "FAR_EL2" in crash.stated


def test_xnus_first_line_and_registers_are_held_against_each_other() -> None:
    changed = text("xnu-absent").replace("at pc 0x0000000040", "at pc 0x0000000050")
    (doubt,) = one(changed).crash.doubts
    assert doubt.startswith("the first line and the registers have another pc: 0x50")


@pytest.mark.parametrize(
    ("line", "of"),
    [
        ('panic(cpu 1 caller 0xfffffe0017a3f264): "ubc_msync failed!, error 22"\n', "it is of no exception"),
        ("vm fault on data at address 0x2 with status 0x4\n", "its status is not AArch64's"),
        ("panic[cpu0]/thread=1: BAD TRAP: type=8 (#df Double fault) rp=fffffe00 addr=0\n", "only page faults are"),
        (
            "WARNING: Stage-2 page fault: pc=0x1f9ce23800, vmid=0x8001, vcpu=0, vaddr=0x0, ipaddr=0x0, mode=0x2 0x7c\n",
            "a fault of a guest is printed without its syndrome",
        ),
    ],
)
def test_what_the_shape_does_not_tell_is_named_and_not_read(line: str, of: str) -> None:
    assert one(line).crash.unread.startswith(of)


def test_nil_is_an_address() -> None:
    crash = one("vm fault on code at address (nil) with status 0x82000006\n").crash
    assert crash.stated["FAR_EL1"] == 0


def test_an_address_that_the_syndrome_denies_is_left_out() -> None:
    """FnV: Hafnium prints that it is invalid, others a stale one."""
    denied = ROW.replace("0x000000009600000b", "0x0000000096000410")
    assert "FAR_EL1" not in one(denied).crash.stated


def test_freebsd_14_has_symbols_behind_registers() -> None:
    named = text("freebsd-absent").replace(" elr:         40200340", " elr: ffff0000003b1c44 (vm_page_free + 0x2c)")
    crash = one(named).crash
    assert crash.where == "vm_page_free + 0x2c"
    assert crash.stated["ELR_EL1"] == 0xFFFF0000003B1C44
