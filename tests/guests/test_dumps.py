"""One guest, every source: whatever a dump is, `walk`, `map` and `fault` say of it what they say of the live guest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gdbtools.cli import main
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.sources import open_source, opened
from tests.guests import packages
from tests.guests.dumps import MEMORY_BYTES, RAM, Monitored, dump, monitored, save
from tests.live.session import GUEST, gdb_session
from tests.machine.dumps.formats import COMPRESSIONS, compression, lime, rearranged, recompressed

pytestmark = pytest.mark.guest

QUESTIONS = (
    ("walk", "0x40200000", "0x600000000010", "0xffff900000000000", "0x3000000", "--access", "write"),
    ("map",),
    ("fault",),
)
"""A page, the one that the guest died of, one of the other half, one that is not mapped."""
HALF = MEMORY_BYTES // 2


@dataclass(frozen=True)
class Dumped:
    """A guest that has died, QEMU and all, with what was made of it in `folder`."""

    guest: Monitored
    folder: Path

    def words(self, source: str) -> list[str]:
        """Return the words for a source; but for a capture and QEMU itself, none has the system's registers."""
        given = [word for each in SOURCES[source] for word in ("-s", each.format(self.folder))]
        return [*given, "--registers", str(self.folder / "registers.json")]


SOURCES = {
    "elf": ("{}/elf",),
    "elf-paging": ("{}/elf-paging",),
    "kdump-zlib, flattened": ("{}/kdump-flat",),
    "kdump-zlib": ("{}/kdump-zlib",),
    "kdump-lzo": ("{}/kdump-lzo",),
    "kdump-snappy": ("{}/kdump-snappy",),
    "kdump-zstd": ("{}/kdump-zstd",),
    "raw": (f"{{}}/raw@{RAM:#x}",),
    "raw, in two files": (f"{{}}/raw-high@{RAM + HALF:#x}", f"{{}}/raw-low@{RAM:#x}"),
    "lime": ("{}/lime",),
}


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[object]]:
    """Return the exit status and the answers; nothing may be said on stderr."""
    status = main([*words, "--json"])
    out, err = capsys.readouterr()
    assert not err, err
    return status, [json.loads(line) for line in out.splitlines()]


def make(guest: Monitored, folder: Path) -> None:
    """Write the guest in every form."""
    with guest.monitor() as qmp:
        dump(qmp, folder / "elf")
        dump(qmp, folder / "elf-paging", paging=True)
        dump(qmp, folder / "kdump-flat", "kdump-zlib")
        save(qmp, folder / "raw")
        save(qmp, folder / "raw-low", size_bytes=HALF)
        save(qmp, folder / "raw-high", RAM + HALF, HALF)
    whole = (folder / "raw").read_bytes()
    (folder / "lime").write_bytes(lime([(RAM, whole[:HALF]), (RAM + HALF, whole[HALF:])]))
    plain = rearranged((folder / "kdump-flat").read_bytes())
    (folder / "kdump-zlib").write_bytes(plain)
    for name in COMPRESSIONS:
        with suppress(Unavailable):
            (folder / f"kdump-{name}").write_bytes(recompressed(plain, compression(name)))
    write_registers(guest, folder / "registers.json")


def write_registers(guest: Monitored, path: Path) -> None:
    """Write what `--registers` takes: all of the first CPU's."""
    with opened(guest.source) as machine:
        registers = machine.cpu.registers
        path.write_text(json.dumps({name: hex(registers.read(name)) for name in registers.names()}))


@pytest.fixture(scope="module")
def dumped(qemu: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dumped]:
    folder = tmp_path_factory.mktemp("dumps")
    with monitored(GUEST, cpus=2) as guest:
        guest.wait("shutdown")
        make(guest, folder)
        yield Dumped(guest, folder)


@pytest.fixture(scope="module")
def live(dumped: Dumped, gdb_path: str) -> list[object]:
    """What GDB's face says of the guest itself, over a gdbstub."""
    stub = dumped.folder / "gdb"
    with dumped.guest.monitor() as qmp:
        assert "Could not" not in qmp.monitor(f"gdbserver unix:{stub},server=on,wait=off")
    with gdb_session(gdb_path) as session:
        session.say(f"target remote {stub}")
        found = [session.ask(" ".join(words)) for words in QUESTIONS]
        session.say("disconnect")
    with dumped.guest.monitor() as qmp:
        qmp.monitor("gdbserver none")
    return found


@pytest.mark.parametrize("source", SOURCES)
def test_every_dump_says_what_the_live_guest_says(capsys, dumped: Dumped, live: list[object], source: str) -> None:
    if source.endswith(COMPRESSIONS):
        try:
            compression(source.rpartition("-")[2])
        except Unavailable as missing:
            pytest.skip(str(missing))
    for words, expected in zip(QUESTIONS, live, strict=True):
        status, answers = ask(capsys, *words, *dumped.words(source))
        assert [each["result"] for each in answers] == expected
        assert status == (0 if words[0] == "map" else 1)


def test_qemu_itself_says_what_the_live_guest_says(capsys, dumped: Dumped, live: list[object]) -> None:
    for words, expected in zip(QUESTIONS, live, strict=True):
        assert [each["result"] for each in ask(capsys, *words, "-s", dumped.guest.source)[1]] == expected


def test_a_capture_of_qemu_says_what_the_live_guest_says(capsys, dumped: Dumped, live: list[object]) -> None:
    core = str(dumped.folder / "capture")
    ask(capsys, "capture", core, "-s", dumped.guest.source)
    assert Path(core).stat().st_size < 1 << 20
    for words, expected in zip(QUESTIONS, live, strict=True):
        assert [each["result"] for each in ask(capsys, *words, "-s", core)[1]] == expected


def test_every_dump_has_the_same_bytes(dumped: Dumped) -> None:
    """Not through a walk: pages all over, the last one, and what goes from one file into the next."""
    whole = (dumped.folder / "raw").read_bytes()
    places = [(at, 4096) for at in range(0, MEMORY_BYTES, 5 << 20)] + [(MEMORY_BYTES - 8, 8), (HALF - 4, 8)]
    for source, names in SOURCES.items():
        memory = open_source([name.format(dumped.folder) for name in names], architecture="aarch64").memory
        for at, size in places:
            assert memory.read(RAM + at, size) == whole[at : at + size], source
        for pa, size in ((RAM - 4, 8), (RAM + MEMORY_BYTES - 4, 8), (RAM - 4096, 8), (1 << 63, 8), ((1 << 64) - 4, 8)):
            with pytest.raises(Unreadable):
                memory.read(pa, size)


@pytest.mark.parametrize("source", ["elf", "kdump-zlib", "kdump-zlib, flattened"])
def test_a_dumps_general_registers_are_each_cpus_own(dumped: Dumped, source: str) -> None:
    (name,) = SOURCES[source]
    machine = open_source(name.format(dumped.folder))
    with opened(dumped.guest.source) as live:
        assert [cpu.number for cpu in machine.cpus] == [cpu.number for cpu in live.cpus] == [0, 1]
        for ours, its in zip(machine.cpus, live.cpus, strict=True):
            for register in machine.architecture.general:
                assert ours.registers.read(register) == its.registers.read(register)
        with pytest.raises(Unavailable, match=r"TCR_EL1.*--registers"):
            machine.register("TCR_EL1")


@pytest.mark.parametrize("name", packages.QEMU_SUITES)
def test_dumps_of_other_versions_of_qemu_say_what_their_guest_says(capsys, tmp_path: Path, name: str) -> None:
    """Every format that it offers; from 8.2 on there are kdumps that are not flattened."""
    try:
        packages.qemu(name)
    except Unavailable as missing:
        pytest.skip(str(missing))
    with monitored(GUEST, cpus=2, qemu=name) as guest:
        guest.wait("shutdown")
        with guest.monitor() as qmp:
            formats = qmp.ask("query-dump-guest-memory-capability")["formats"]
            assert "kdump-raw-zlib" in formats
            for form in formats:
                dump(qmp, tmp_path / form, form)
        given = ("--registers", str(tmp_path / "registers.json"))
        write_registers(guest, tmp_path / "registers.json")
        for words in QUESTIONS:
            expected = ask(capsys, *words, "-s", guest.source)
            for form in formats:
                assert ask(capsys, *words, "-s", str(tmp_path / form), *given) == expected, form
