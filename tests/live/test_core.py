"""`gdb vmlinux core`: the commands take the core file that GDB has open as their source, by themselves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gdbtools.arch.aarch64 import GENERAL, IDENTITY
from gdbtools.cli import main
from gdbtools.machine.dumps.capture import core_bytes
from gdbtools.machine.sources import open_source
from tests.guests.dumps import dump, monitored
from tests.live.session import STORM, Session, gdb_session
from tests.machine.dumps.formats import Segment, lime, note, status, vmcore
from tests.places import ROOT

CAPTURES = ROOT / "fixtures/captures"
OSV, DEMO = CAPTURES / "osv-1131.core", CAPTURES / "access-flag.core"
QUESTIONS = {OSV: ("fault", "walk 0x100000120e40 0xfc0000000", "map", "regs TCR_EL1", "status"), DEMO: ("fault", "map")}
CPUS = 4
SAY = "say: set architecture aarch64|riscv:rv64|riscv:rv32|i386:x86-64|arm"


@pytest.fixture(scope="module")
def session(gdb_path: str):
    with gdb_session(gdb_path) as found:
        yield found


def offline(capsys: pytest.CaptureFixture[str], *words: str) -> list[object]:
    main([*words, "--json"])
    return [json.loads(line)["result"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_a_core_file_says_in_gdb_what_it_says_outside(capsys, session: Session, path: Path) -> None:
    session.say(f"core-file {path}")
    for question in QUESTIONS[path]:
        assert session.ask(question) == offline(capsys, *question.split(), "-s", str(path))
        assert session.ask_mi(question) == session.ask(question)


def test_an_address_may_be_an_expression_of_gdbs(session: Session) -> None:
    session.say(f"core-file {OSV}")
    (found,) = session.ask("walk $pc")
    assert int(found["input"], 16) == session.value("$pc") == open_source(str(OSV)).register("pc")


def test_the_core_file_and_the_symbols_are_not_written_over(session: Session, tmp_path: Path) -> None:
    core, elf = tmp_path / "o.core", tmp_path / "e.elf"
    shutil.copy(OSV, core)
    shutil.copy(ROOT / "fixtures/guests/access_flag/access_flag.elf", elf)
    (tmp_path / "link").symlink_to(core)
    session.say(f"core-file {core}")
    session.say(f"file {elf}")
    try:
        for command in (f"fault -o {core}", f"capture {tmp_path / 'link'}", f"esr 0x96000006 -o {elf}"):
            assert "is read for this answer" in session.refusal(f"mmu {command}")
    finally:
        session.say("file")
    assert core.read_bytes() == OSV.read_bytes()


def test_another_core_file_is_another_source_and_none_is_none(session: Session) -> None:
    session.say(f"core-file {OSV}")
    first = session.ask("fault")
    session.say(f"core-file {DEMO}")
    assert session.ask("fault") != first
    session.say("core-file")
    assert "nothing is attached" in session.refusal("mmu fault")


def test_a_core_file_that_was_taken_again_is_read_again(session: Session, tmp_path: Path) -> None:
    core = tmp_path / "core"
    shutil.copy(OSV, core)
    session.say(f"core-file {core}")
    first = session.ask("fault")
    # Not in place: GDB has the old one mapped.
    core.unlink()
    shutil.copy(DEMO, core)
    session.say(f"core-file {core}")
    assert session.ask("fault") != first


def test_what_needs_a_guest_that_runs_says_so_and_so_does_what_would_change_one(session: Session) -> None:
    session.say(f"core-file {OSV}")
    for command in ("mmu catch any", "mmu service", "mmu watch $pc", "mmu tlbi all", "mmu probe $pc", "mmu fixup"):
        assert "live guest" in session.refusal(command)
    assert "live guest" in session.refusal("mmu pte 0x100000120e40 AF=1")


def test_a_capture_of_a_core_file_is_one_again(session: Session, tmp_path: Path) -> None:
    session.say(f"core-file {OSV}")
    first = session.ask("fault")
    session.say(f"mmu capture {tmp_path / 'again'}")
    session.say(f"core-file {tmp_path / 'again'}")
    assert session.ask("fault") == first


def test_the_selected_thread_is_the_cpu(session: Session, tmp_path: Path) -> None:
    core = tmp_path / "core"
    cpus = [{**dict.fromkeys(GENERAL, 0), "pc": 0x1000 * n, "TCR_EL1": n} for n in range(CPUS)]
    core.write_bytes(core_bytes(IDENTITY, cpus, 2, {0x4000_0000: bytes(4096)}))
    session.say(f"core-file {core}")
    for number in (3, 0, 1, 2):
        session.say(f"thread {number + 1}")
        (found,) = session.ask("regs TCR_EL1")
        assert int(found["value"], 16) == number


def test_threads_that_gdb_makes_one_of_are_still_told_apart_by_pc(session: Session, tmp_path: Path) -> None:
    """As idle CPUs, whose process numbers are all 0 in Linux's vmcore."""
    core = tmp_path / "core"
    notes = b"".join(note(b"CORE", 1, status(pc=0x1000 * n, sp=0x100 * n)) for n in range(CPUS))
    core.write_bytes(vmcore([Segment(0x4000_0000, bytes(4096))], notes))
    if error := session.gdb.run(f"core-file {core}").error:
        pytest.skip(f"this GDB does not open such a core: {error}")
    threads = session.inside("[each.num for each in gdb.selected_inferior().threads()]")
    for number in threads:
        session.say(f"thread {number}")
        (found,) = session.ask("status")
        assert session.value("$pc") == 0x1000 * found["cpu"]


def test_registers_that_a_core_lacks_are_asked_for_and_can_be_given(capsys, session: Session, tmp_path: Path) -> None:
    core, file = tmp_path / "core", tmp_path / "registers.json"
    core.write_bytes(OSV.read_bytes().replace(b"gdbtools\0", b"nobodies\0"))
    machine = open_source(str(OSV))
    file.write_text(json.dumps({name: hex(machine.register(name)) for name in machine.cpu.registers.names()}))
    session.say(f"core-file {core}")
    assert "set mmu-registers FILE" in session.refusal("mmu walk $pc")
    session.say(f"set mmu-registers {file}")
    assert str(file) in session.say("show mmu-registers")
    assert session.ask("fault") == offline(capsys, "fault", "-s", str(OSV))
    os.mkfifo(tmp_path / "pipe")
    for nothing in (tmp_path / "none", tmp_path / "pipe", tmp_path):
        assert "is no file; name a JSON object" in session.gdb.run(f"set mmu-registers {nothing}").error
        assert str(file) in session.say("show mmu-registers"), "what was there is kept"
    session.say("set mmu-registers")
    assert "none" in session.say("show mmu-registers")
    assert "set mmu-registers FILE" in session.refusal("mmu walk $pc")


def test_a_core_that_gdb_takes_and_gdbtools_does_not_is_one_line(session: Session, tmp_path: Path) -> None:
    core = tmp_path / "core"
    core.write_bytes(OSV.read_bytes().replace(b'{"version": 1', b'{"version": 7'))
    session.say(f"core-file {core}")
    assert "another version" in session.refusal("mmu fault")
    core.unlink()
    core.write_bytes(lime([(0, b"x")]))
    said = session.refusal("mmu fault")
    assert said == f"nothing says which architecture this is of; {SAY}"


def test_the_advice_to_say_the_architecture_is_gdbs_and_works(session: Session, tmp_path: Path) -> None:
    """Of an image that says nothing itself: GDB has no `--arch`, and does know an architecture when it is told."""
    (tmp_path / "ram").write_bytes(bytes(4096))
    image = f"{tmp_path / 'ram'}@0x80000000"
    words = f"mmu diff {image} {image}"
    assert session.refusal(words).endswith(SAY)
    session.say("set architecture riscv:rv64")
    assert "has no satp" in session.refusal(words)
    assert "0x80000000" in session.say("mmu pte 0x20000001"), "that says where it leads by RISC-V's figure"
    session.say("set architecture auto")


@pytest.mark.guest
def test_qemus_dump_of_four_cpus_has_gdbs_threads_in_its_order(session: Session, qemu: str, tmp_path: Path) -> None:
    with monitored(STORM, cpus=CPUS) as guest:
        guest.wait("shutdown", 120)
        with guest.monitor() as qmp:
            core = dump(qmp, tmp_path / "core")
    machine = open_source(str(core))
    session.say(f"core-file {core}")
    for cpu in machine.cpus:
        session.say(f"thread {cpu.number + 1}")
        (found,) = session.ask("status")
        assert found["cpu"] == cpu.number
        assert session.value("$pc") == cpu.registers.read("pc")
        assert session.value("$sp") == cpu.registers.read("sp")
