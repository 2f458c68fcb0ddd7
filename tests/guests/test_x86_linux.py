"""A real Linux for x86-64: our map against QEMU's `info tlb` page for page, and against a process's own pagemap."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gdbtools.analysis.isolation import isolation
from gdbtools.analysis.mappings import mappings
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Run, Stub
from gdbtools.children.processes import DIES_WITH_PARENT
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from gdbtools.machine.sources import open_source
from gdbtools.places import gdbinit
from tests.guests.audits import PASSED, audited, checks_itself, unexplained
from tests.guests.linux import FRAME, PRESENT, Area, areas, pagemap
from tests.guests.packages import QEMU_SUITES
from tests.guests.x86.linux import COMMAND_LINES, PAGE_BYTES, X86Linux, booted, info_tlb
from tests.said import say
from tests.tables import reader

QUICK = [("system", "5-level"), ("system", "4-level, PTI")]
SHAPES = [(name, shape) for name in ("system", *QEMU_SUITES) for shape in COMMAND_LINES]
X86 = ARCHITECTURES["x86_64"]
USER, SUPERVISOR = X86.privileges
GDBINIT = gdbinit()
GUARDED = 0x1000_0000
"""As in fixtures/guests/x86/linux/guarded.c."""

pytestmark = pytest.mark.guest


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=() if each in QUICK else pytest.mark.full) for each in SHAPES],
    ids=lambda each: "-".join(each).replace(", ", "-"),
)
def guest(request: pytest.FixtureRequest) -> Iterator[X86Linux]:
    name, shape = request.param
    try:
        guest = booted(shape, name)
    except Unavailable as why:
        pytest.skip(str(why))
    with guest:
        say(f"{shape}: QEMU {guest.qemu.version}, booted in {guest.boot_seconds:.1f} s")
        yield guest


def mapped(guest: X86Linux) -> list[Run]:
    """Return every run of a stopped guest that is mapped."""
    found = mappings(X86, reader(guest.registers()), guest.read)
    return [each for each in found if isinstance(each, Run) and each.output is not None]


def told(run: Run) -> frozenset[str]:
    """Return the flags of `info tlb` that a run says: of the last entry alone, but for what the path withholds."""
    attributes = run.attributes
    flags = {
        "G": attributes.is_global,
        "D": bool(attributes.dirty),
        "A": attributes.accessed,
        "PS": run.leaf_bytes > PAGE_BYTES,
    }
    return frozenset(name for name, is_set in flags.items() if is_set)


def test_the_map_is_what_info_tlb_lists_page_for_page(guest: X86Linux) -> None:
    guest.stop()
    try:
        listed = {each.va: each for each in info_tlb(guest)}
        runs = mapped(guest)
    finally:
        guest.cont()
    say(f"{len(listed)} pages, small and large, in {len(runs)} runs")
    # At a stop in user mode the root may be the one that page-table isolation leaves to users.
    assert len(listed) > 300
    found = {}
    for run in runs:
        for at in range(0, run.size_bytes, run.leaf_bytes):
            found[run.first + at] = (run.output + run.offset_of(run.first + at), told(run))
    assert found == {va: (each.pa, each.flags & {"G", "D", "A", "PS"}) for va, each in listed.items()}


def test_rights_are_no_more_than_each_entry_gives(guest: X86Linux) -> None:
    """`info tlb` prints the last entry's own bits, which the tables above it may withhold."""
    guest.stop()
    try:
        listed = {each.va: each.flags for each in info_tlb(guest)}
        runs = mapped(guest)
    finally:
        guest.cont()
    for run in runs:
        flags, rights = listed[run.first], run.attributes.rights
        assert rights[USER].read <= ("US" in flags)
        assert rights[USER].write <= ("RW" in flags)
        assert rights[SUPERVISOR].write <= ("RW" in flags)
        assert rights[SUPERVISOR].execute <= ("NX" not in flags)
    users = [run for run in runs if run.attributes.rights[USER].read]
    assert all(run.first < 1 << 56 or run.attributes.rights[USER] != run.attributes.rights[SUPERVISOR] for run in users)


def test_a_process_is_where_its_own_pagemap_says(guest: X86Linux) -> None:
    with guest.process("while :; do :; done") as pid:
        said = {va: word for area in areas(guest, pid) for va, word in pagemap(guest, pid, area, PAGE_BYTES).items()}
        frames = {va: (word & FRAME) * PAGE_BYTES for va, word in said.items() if word & PRESENT}
        own: dict[int, int] = {}
        for _ in range(50):  # until a stop finds it, or the kernel on its behalf
            guest.stop()
            found = {
                run.first + at: run.output + run.offset_of(run.first + at)
                for run in mapped(guest)
                if run.first < 1 << 56
                for at in range(0, run.size_bytes, PAGE_BYTES)
            }
            guest.cont()
            own = {va: found[va] for va in frames if va in found}
            if own.keys() == frames.keys():
                break
    assert len(frames) > 20
    assert own == frames


def test_a_dump_has_the_registers_that_its_notes_have_and_the_map_of_the_guest(
    guest: X86Linux, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """QEMU leaves cr0 to cr4 and the descriptor tables in a note of its own; EFER is not in it, and that is said."""
    dump = tmp_path / "dump"
    guest.dump(dump)
    registers = open_source(str(dump)).register
    assert main(["map", "-s", str(dump), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "efer: LMA=1, which addresses of 64 bits show, and NXE=1" in answer["result"]["assumed"]
    values = {name: registers(name) for name in ("cr0", "cr3", "cr4", "cs", "idtr", "rip")}
    known = mappings(X86, reader(values | {"efer": 0xD01}), open_source(str(dump)).memory.read)
    runs = [each for each in known if isinstance(each, Run) and each.output is not None]
    assert len(runs) > 30
    said = [(int(each["first"], 16), int(each["output"], 16)) for each in answer["result"]["runs"]]
    assert said == [(run.first, run.output) for run in runs]


def at_a_stop(guest: X86Linux) -> dict[str, int]:
    """Return the registers of a stopped guest, with what its monitor says beside."""
    registers = guest.registers()
    shown = X86.from_stub("idtr", Stub(0, registers.get, guest.monitor, str))
    assert shown is not None
    return {**registers, "idtr": shown}


def test_a_process_of_an_isolated_kernel_has_a_second_root_which_is_proven(guest: X86Linux) -> None:
    """The full root is the one that the same process has in the kernel: a stop there shows it."""
    isolated = "pti=on" in guest.append
    proven, in_kernel = set[int](), set[int]()
    with guest.process("while :; do :; done"):
        for _ in range(200):
            guest.stop()
            registers = at_a_stop(guest)
            if registers["cs"] & 3:
                found = isolation(X86, reader(registers), guest.read)
                proven |= set() if found is None or found.full is None else {int(found.full.root)}
            else:
                in_kernel.add(registers["cr3"] & ~0x18)
            guest.cont()
            if proven & in_kernel or (not isolated and registers["cs"] & 3):
                break
    if isolated:
        assert proven & in_kernel
    else:
        assert not proven


def inside_gdb(guest: X86Linux, *lines: str) -> str:
    """Return what GDB prints, its monitor's words included, of these lines on a guest that runs."""
    debugger = shutil.which("gdb-multiarch")
    if debugger is None:
        pytest.skip("gdb-multiarch is not installed; on Debian and Ubuntu: apt-get install gdb-multiarch")
    attach = ["set confirm off", f"target remote {guest.gdbstub}", f"source {GDBINIT}"]
    words = [word for line in (*attach, *lines) for word in ("-ex", line)]
    run = [*DIES_WITH_PARENT, debugger, "-nx", "-q", "-batch", *words]
    # What a monitor says goes to standard error.
    out, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.run(run, stdout=out, stderr=both, text=True, timeout=120, check=True).stdout


def results(said: str) -> list[dict[str, Any]]:
    return [json.loads(line)["result"] for line in said.splitlines() if line.startswith("{")]


def test_inside_gdb_it_is_read_as_the_hardware_reads_it_and_nothing_changes(guest: X86Linux) -> None:
    asked = ["mmu status", "mmu walk $pc $rsp --json", "mmu map --limit 3", "mmu regs"]
    said = inside_gdb(guest, "monitor info registers", *asked, "monitor info registers")
    states = re.findall(r"^RAX=.*?^EFER=\w+", said, re.MULTILINE | re.DOTALL)
    assert len(states) == 2
    assert states[0] == states[1]
    pc, sp = (int(re.search(rf"{name}=(\w+)", states[0])[1], 16) for name in ("RIP", "RSP"))  # type: ignore[index]
    walks = results(said)
    assert [int(each["input"], 16) for each in walks] == [pc, sp]
    guest.stop()
    try:
        # The kernel's own code is where it was, if this root has it; what is a process's may be gone by now.
        assert guest.gva2gpa(pc) in (int(walks[0]["output"], 16), None) or pc < 1 << 56
    finally:
        guest.cont()
    assert "x86_64, CPU 0 of 1, at " in said
    assert "paging), upper half" in said
    assert re.search(r"^cr3 +0x\w{16} +ROOT=", said, re.MULTILINE)
    # What system management mode sees is another view of memory: there the legacy video memory is RAM.
    ranges = re.findall(r"0x\w+-0x\w+(?=\s+in\s)", said)
    assert "0x0-0x9ffff" in ranges
    assert len(ranges) == len(set(ranges))
    assert "0x0-0xbffff" not in ranges


def test_catch_sees_demand_paging_and_copy_on_write(guest: X86Linux) -> None:
    guest.run("(while :; do /bin/busybox true; done) & echo $! > /load")
    try:
        said = inside_gdb(
            guest,
            *("mmu catch translation", *(["continue", "mmu fault --json"] * 3), "delete"),
            *("mmu catch permission", *(["continue", "mmu fault --json"] * 3), "delete"),
        )
    finally:
        guest.run("kill -9 $(cat /load)")
    found = results(said)
    assert len(found) == 6, said
    assert {each["verdict"] for each in found} == {"tables agree"}
    absent, refused = found[:3], found[3:]
    for each in absent:
        assert int(each["syndrome"]["value"], 16) & 1 == 0
        assert each["predicted"]["deciding"]["cause"] == "not present"
    for each in refused:
        assert int(each["syndrome"]["value"], 16) & 3 == 3
        assert each["predicted"]["deciding"]["cause"] == "read only"
    for each in found:
        status = each["predicted"]["status"]
        assert status is None or int(status, 16) == int(each["syndrome"]["value"], 16)


def test_a_page_that_may_not_be_touched_is_told_from_one_that_is_not_there(guest: X86Linux) -> None:
    """mprotect: the entry is not present, and has the page's address inverted: that which pagemap has."""
    with guest.process("exec /bin/guarded") as pid:
        said = inside_gdb(guest, "mmu catch translation", *(["continue", "mmu fault --json"] * 5), "delete")
        frame = pagemap(guest, pid, Area(GUARDED, GUARDED + PAGE_BYTES, "---p", ""), PAGE_BYTES)[GUARDED] & FRAME
    found = [each for each in results(said) if int(each["address"], 16) == GUARDED]
    assert found, said
    for each in found:
        assert (each["verdict"], each["access"]["privilege"]) == ("tables agree", "supervisor")
        assert each["software"] == (
            "by Linux's convention: PROT_NONE, or NUMA balancing waits for it: bit 8 is set; the page is at PA "
            f"{frame * PAGE_BYTES:#x}, inverted in the entry"
        )


def test_what_cannot_be_done_is_refused_before_the_guest_runs(guest: X86Linux) -> None:
    said = inside_gdb(guest, "mmu service --count 1", "mmu catch any --regime el1", "mmu tlbi asid=4096", "print 1")
    assert "there is nothing to serve: x86-64's hardware sets A and D" in said
    assert "el1 is no regime of x86-64; say one of linear" in said
    assert "4096 is no identifier of an address space" in said or "the CPU is at CPL 3" in said


def test_an_audit_finds_nothing_but_the_trampoline_of_real_mode(guest: X86Linux) -> None:
    """What starts other CPUs runs below 1 MiB: Linux makes its text executable where it is, in the linear map."""
    checked = checks_itself(guest).splitlines()
    assert checked
    assert all(PASSED in line for line in checked)
    guest.stop()
    try:
        found = audited(guest, "x86_64", at_a_stop(guest))
    finally:
        guest.cont()
    assert unexplained(found, executable_linear_map=1) == []
    assert all(each.output is not None and each.output < 1 << 20 for each in found.findings)
