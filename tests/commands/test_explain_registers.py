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
    for each in ("value", "fault", "access"):
        assert answer["syndrome"][each] == dumped["syndrome"][each], each
    assert answer["crash"]["contradictions"] == []
    stated = one(log.read_bytes()).crash.stated
    registers = open_source(str(core)).cpu.registers
    assert {name: registers.read(name) for name in stated} == dict(stated)
    assert stated[next(name for name in stated if name.startswith("FAR_"))] == int(dumped["address"], 16)


@pytest.mark.parametrize("log", PRINTED, ids=lambda log: log.stem)
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
    crash = one("""\
page fault outside application, addr: 0x0000200085790000
[registers]
RIP: 0x000000004037efbf <sched::thread::complete()+143>
RFL: 0x0000000000010202  CS:  0x0000000000000008  SS:  0x0000000000000010
RAX: 0x0000200085790920  RBX: 0x000000004086ea60  RCX: 0x00004000023e9090  RDX: 0x0000000000000000
""").crash
    assert (crash.system, crash.where) == ("OSv on x86-64", "sched::thread::complete()+143")
    assert (crash.stated["cr2"], crash.stated["eflags"]) == (0x200085790000, 0x10202)
    assert crash.wanted[0].startswith("the error code, CR3 and the tables")


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
        ("panic[cpu0]/thread=1: BAD TRAP: type=e (#pf Page fault) rp=fffffe00 addr=10 occurred\n", "its registers are"),
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
