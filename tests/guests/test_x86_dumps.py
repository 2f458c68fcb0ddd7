"""A real Linux for x86-64, its dumps and a capture: what is said of each is what is said live, and roots are found.

QEMU leaves cr0 to cr4 and the IDT in a note of its own, in an ELF dump and in a kdump alike; EFER is in none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.children.mi import Gdb
from gdbtools.children.processes import find_gdb
from gdbtools.cli import main
from gdbtools.errors import Unavailable
from gdbtools.machine.sources import open_source
from gdbtools.systems import registers_from_notes, vmcoreinfo
from gdbtools.systems.vmcoreinfo import FIRST_KEY
from tests.guests.x86.linux import COMMAND_LINES, PAGE_BYTES, X86Linux, booted
from tests.live.session import INIT, INSIDE, Session
from tests.machine.dumps.formats import rearranged

pytestmark = pytest.mark.guest

QUICK = "4-level, PTI"
MEMORY_BYTES = 128 << 20
UPPER = 1 << 63
NAMES = ("cr0", "cr2", "cr3", "cr4", "efer", "eflags", "cs", "rip", "rsp", "idtr")
X86 = ARCHITECTURES["x86_64"]
USER_MODE = "while :; do /bin/busybox true; done"
FLAGS = 0x1F
"""What of cr3 is no address without process-context identifiers, which TCG has none of."""


@dataclass(frozen=True)
class Dumped:
    """What was made of the guest at one stop in user mode, the live answers to `questions`, and what it says itself."""

    folder: Path
    isolated: bool
    registers: Mapping[str, int]
    questions: tuple[tuple[str, ...], ...]
    live: list[Any]
    faulted: Any
    notes: Mapping[str, str]
    init_top_pgt: int

    @property
    def root(self) -> int:
        return self.registers["cr3"] & ~FLAGS

    @property
    def written(self) -> str:
        return str(self.folder / "registers.json")

    @property
    def raw(self) -> str:
        return f"{self.folder / 'raw'}@0x0"


@contextmanager
def in_user_mode(guest: X86Linux, gdb: Gdb) -> Iterator[Session]:
    """Hold the guest in a process's own code."""
    session = Session(gdb)
    session.say(f"source {INSIDE}")
    for _ in range(500):
        session.say(f"target remote {guest.gdbstub}")
        if session.value("$cs") & 3:
            break
        session.say("detach")
        time.sleep(0.02)
    else:
        raise Unavailable("the guest was not seen in user mode")
    try:
        yield session
    finally:
        session.say("detach")


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=() if each == QUICK else pytest.mark.full) for each in COMMAND_LINES],
)
def dumped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dumped:
    folder = tmp_path_factory.mktemp("x86-dumps")
    try:
        gdb_path = find_gdb()
        started = replace(booted(request.param), memory_bytes=MEMORY_BYTES)
    except Unavailable as missing:
        pytest.skip(str(missing))
    with started as guest, guest.process(USER_MODE):
        symbol = int(guest.run("grep ' init_top_pgt$' /proc/kallsyms").split()[0], 16)
        where, size = (int(each, 16) for each in guest.run("cat /sys/kernel/vmcoreinfo").split())
        note = guest.ram[where:][:size]
        with Gdb(gdb_path, INIT) as gdb, in_user_mode(guest, gdb) as session:
            text, stack = session.value("$pc"), session.value("$rsp")
            questions = (
                ("walk", f"{text:#x}", f"{stack:#x}", "0xffffffff81000000", "0x0", "0x800000000000"),
                ("walk", f"{text:#x}", f"{stack:#x}", "--access", "execute", "--privilege", "supervisor"),
                ("map",),
            )
            live = [session.ask(" ".join(words)) for words in questions]
            session.say(f"monitor dump-guest-memory {folder}/elf")
            session.say(f"monitor dump-guest-memory -z {folder}/kdump-flat")
            session.ask(f"capture {folder}/capture")
            (folder / "raw").write_bytes(guest.ram[:])
            # At the first instruction of #PF's handler the stack has the error code.
            session.say("mmu catch translation")
            session.say("continue")
            faulted = session.ask("fault")
            session.say(f"monitor dump-guest-memory {folder}/faulted-elf")
            session.ask(f"capture {folder}/faulted-capture")
            session.say("delete")
    (folder / "kdump").write_bytes(rearranged((folder / "kdump-flat").read_bytes()))
    held = open_source(str(folder / "capture")).cpu.registers
    registers = {name: held.read(name) for name in NAMES}
    (folder / "registers.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    notes = vmcoreinfo.parse(note[note.index(vmcoreinfo.FIRST_KEY) :])
    isolated = "pti=on" in COMMAND_LINES[request.param]
    return Dumped(folder, isolated, registers, questions, live, faulted, notes, symbol)


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> list[Any]:
    main([*words, "--json"])
    out, err = capsys.readouterr()
    assert not err, err
    return [json.loads(line)["result"] for line in out.splitlines()]


SOURCES = ("elf", "kdump", "kdump-flat", "capture")


@pytest.mark.parametrize("name", SOURCES)
def test_every_dump_says_what_the_live_guest_says(capsys: Any, dumped: Dumped, name: str) -> None:
    given = () if name == "capture" else ("--registers", dumped.written)
    for words, expected in zip(dumped.questions, dumped.live, strict=True):
        assert ask(capsys, *words, "-s", str(dumped.folder / name), *given) == expected, words
    assert len(dumped.live[2][0]["runs"]) > 10


@pytest.mark.parametrize("name", ["elf", "capture"])
def test_a_fault_is_told_offline_as_it_was_live(capsys: Any, dumped: Dumped, name: str, tmp_path: Path) -> None:
    """The stack has the error code; of the registers, EFER alone is not in QEMU's dump."""
    (tmp_path / "efer.json").write_text(json.dumps({"efer": hex(dumped.registers["efer"])}))
    given = () if name == "capture" else ("--registers", str(tmp_path / "efer.json"))
    assert ask(capsys, "fault", "-s", str(dumped.folder / f"faulted-{name}"), *given) == dumped.faulted
    assert dumped.faulted[0]["verdict"] == "tables agree"


@pytest.mark.parametrize("name", SOURCES)
def test_a_dumps_own_notes_are_the_registers_at_the_stop(dumped: Dumped, name: str) -> None:
    machine = open_source(str(dumped.folder / name))
    wanted = {each: value for each, value in dumped.registers.items() if each != "efer" or name == "capture"}
    assert {each: machine.register(each) for each in wanted} == wanted


@pytest.mark.parametrize("name", ["elf", "kdump"])
def test_without_efer_a_map_is_that_of_the_guest_and_says_what_it_took_for_granted(
    capsys: Any, dumped: Dumped, name: str
) -> None:
    (answer,) = ask(capsys, "map", "-s", str(dumped.folder / name))
    (live,) = dumped.live[2]
    assert answer["runs"] == live["runs"]
    # 0x400000 is no address that shows long mode: what does is the stack's.
    assert any(each.startswith("efer: LMA=1") for each in answer["assumed"])


def test_a_capture_is_small_and_status_says_the_same_ranges_of_it(capsys: Any, dumped: Dumped) -> None:
    assert (dumped.folder / "capture").stat().st_size < 2 << 20
    (captured,) = ask(capsys, "status", "-s", str(dumped.folder / "capture"))
    (given,) = ask(capsys, "status", "-s", dumped.raw, "--registers", dumped.written)
    assert captured["regimes"] == given["regimes"]
    assert captured["isolation"] == given["isolation"]
    assert (captured["isolation"] is not None) == dumped.isolated


def test_what_the_kernel_wrote_down_is_its_own_root_and_the_levels_in_force(dumped: Dumped) -> None:
    derived = registers_from_notes(X86, dumped.notes, X86.supervisor)
    assert dumped.init_top_pgt in derived.places
    assert derived.places[dumped.init_top_pgt] == derived.values["cr3"]
    la57 = 1 << 12
    assert derived.values["cr4"] & la57 == dumped.registers["cr4"] & la57


def swapper(dumped: Dumped) -> int:
    return registers_from_notes(X86, dumped.notes, X86.supervisor).values["cr3"]


def test_the_kernels_root_is_first_without_a_register_and_named(capsys: Any, dumped: Dumped, tmp_path: Path) -> None:
    written = tmp_path / "found.json"
    (answer,) = ask(capsys, "find-roots", "-s", dumped.raw, "--arch", "x86_64", "--write", str(written))
    first, *others = answer["roots"]
    bits = 57 if dumped.registers["cr4"] >> 12 & 1 else 48
    assert (int(first["root"], 16), first["register"], first["input_bits"]) == (swapper(dumped), "cr3", bits)
    assert [int(each["root"], 16) for each in answer["vmcoreinfo"]] == [swapper(dumped)]
    in_force = next(each for each in others if int(each["root"], 16) == dumped.root)
    assert (in_force["owner"], in_force["input_bits"]) == ("user", bits)
    # Of an isolated process both roots are there: the one in force is the page above its full one.
    assert int(in_force.get("full", "0x0"), 16) == (dumped.root - PAGE_BYTES if dumped.isolated else 0)
    assert ("reduced" in first) == dumped.isolated
    # The kernel's half under what was written is that of the process's own full root.
    full = tmp_path / "full.json"
    root = dumped.root & ~PAGE_BYTES if dumped.isolated else dumped.root
    full.write_text(json.dumps({name: hex(dumped.registers[name]) for name in NAMES} | {"cr3": hex(root)}))
    own, ours = (upper(capsys, dumped, each) for each in (full, written))
    assert ours == own
    assert sum(size for _, size, _, _ in own) > MEMORY_BYTES


def upper(capsys: pytest.CaptureFixture[str], dumped: Dumped, registers: Path) -> list[Any]:
    """Return the runs of the kernel's half."""
    (answer,) = ask(capsys, "map", "-s", dumped.raw, "--registers", str(registers))
    kernels = [run for run in answer["runs"] if int(run["first"], 16) >= UPPER]
    return [(run["first"], run["size"], run["output"], run["attributes"]["rights"]) for run in kernels]


def test_without_vmcoreinfo_a_kernels_root_is_first_all_the_same(capsys: Any, dumped: Dumped, tmp_path: Path) -> None:
    """Some roots have nothing but the kernel: which of those is its own, nothing but its name says."""
    data = (dumped.folder / "raw").read_bytes()
    (tmp_path / "raw").write_bytes(data.replace(FIRST_KEY, b"NOTHING!!!"))
    (answer,) = ask(capsys, "find-roots", "-s", f"{tmp_path / 'raw'}@0x0", "--arch", "x86_64")
    assert answer["vmcoreinfo"] == []
    first = answer["roots"][0]
    assert (first["owner"], first["likely"]) == ("kernel", True)
    assert dumped.root in [int(each["root"], 16) for each in answer["roots"]]
    same = [each for each in answer["roots"] if each["mapped"] == first["mapped"]]
    assert swapper(dumped) in [int(each["root"], 16) for each in same]


@pytest.mark.parametrize("name", ["elf", "kdump-flat"])
def test_a_dumps_own_registers_settle_which_root_is_in_use(capsys: Any, dumped: Dumped, name: str) -> None:
    (answer,) = ask(capsys, "find-roots", "-s", str(dumped.folder / name))
    assert [int(each, 16) for each in answer["chosen"]] == [dumped.root]
    assert [int(each["root"], 16) for each in answer["vmcoreinfo"]] == [swapper(dumped)]
