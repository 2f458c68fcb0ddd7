"""kdump-compressed files: every compression, each library there is, and what it does to a file that is damaged."""

from __future__ import annotations

import gc
import struct
from pathlib import Path

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Malformed, Refused, Unavailable, Unreadable
from gdbtools.machine.dumps import kdump, kdump_reader
from gdbtools.machine.dumps.extents import data_of, memory_of
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source
from tests.machine.dumps.formats import (
    COMPRESSIONS,
    Compression,
    compression,
    flattened,
    note,
    rearranged,
    recompressed,
    status,
)
from tests.machine.dumps.formats import kdump as written_kdump
from tests.machine.dumps.test_formats import NT_PRSTATUS, PA, page

TOO_OLD = ".so.10"
"""libkdumpfile 0.5.1, which Debian 12 has."""
PAGES = {PA + 4096 * number: page(f"page {number} ") for number in range(20)} | {PA + (1 << 24): bytes(range(256)) * 16}
NOTES = note(b"CORE", NT_PRSTATUS, status(pc=0x1234, x5=9)) + note(b"CORE", NT_PRSTATUS, status(sp=8))


def libraries() -> list[str]:
    """Return each libkdumpfile that there is here: drgn's, and the system's."""
    found = []
    for each in kdump.libraries():
        try:
            kdump_reader.loaded([each])
        except kdump_reader.LibraryRefused:
            continue
        found.append(each)
    return found


@pytest.fixture(params=["carried by drgn", "the system's"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    wanted = [each for each in libraries() if ("/" in each) == (request.param == "carried by drgn")]
    if not wanted:
        pytest.skip(f"libkdumpfile, {request.param}, is not here: {kdump.INSTALL}")
    monkeypatch.setattr(kdump, "libraries", lambda: wanted[:1])
    return wanted[0]


def packed(name: str) -> bytes:
    plain = written_kdump(PAGES, NOTES)
    if name not in COMPRESSIONS:
        return plain
    try:
        return recompressed(plain, compression(name))
    except Unavailable as missing:
        pytest.skip(str(missing))


def holds_the_pages(machine: Machine) -> None:
    for pa, data in PAGES.items():
        assert machine.memory.read(pa, 4096) == data
    assert machine.memory.read(PA + 4094, 4) == PAGES[PA][-2:] + PAGES[PA + 4096][:2]
    for pa in (PA - 4, PA + 20 * 4096, PA + (1 << 24) + 4094, 1 << 50, (1 << 64) - 4):
        with pytest.raises(Unreadable, match="does not have it"):
            machine.memory.read(pa, 8)


@pytest.mark.parametrize("name", ["zlib", *COMPRESSIONS])
def test_a_kdump_in_any_compression_has_its_pages_and_registers(made, library: str, name: str) -> None:
    machine = open_source(made(packed(name)))
    holds_the_pages(machine)
    assert [cpu.registers.read("pc") for cpu in machine.cpus] == [0x1234, 0]
    assert machine.cpus[1].registers.read("sp") == 8
    with pytest.raises(Unavailable, match=r"TCR_EL1.*--registers"):
        machine.register("TCR_EL1")


def test_packing_made_a_difference() -> None:
    """So that the test above tests what it says."""
    plain = written_kdump(PAGES, NOTES)
    assert len({packed(name) for name in COMPRESSIONS} | {plain}) == 1 + len(COMPRESSIONS)
    assert recompressed(plain, Compression(0, lambda page: page)) != plain


@pytest.mark.parametrize("name", ["zlib", "zstd"])
def test_a_flattened_kdump_is_read_where_the_library_can_and_else_told_how(made, library: str, name: str) -> None:
    data = flattened(packed(name))
    assert rearranged(data) == packed(name)
    if library.endswith(TOO_OLD):
        with pytest.raises(Unavailable, match="makedumpfile -R"):
            open_source(made(data))
    else:
        holds_the_pages(open_source(made(data)))


def test_the_librarys_own_words_are_one_line(made, library: str) -> None:
    """Found by fuzzing: of a type that it does not know, 0.5.5 speaks in two."""
    data = bytearray(flattened(packed("zlib")))
    data[16] ^= 1
    with pytest.raises((Malformed, Unavailable)) as raised:
        open_source(made(bytes(data)))
    assert len(str(raised.value).splitlines()) == 1


def test_a_kdump_that_does_not_say_whose_it_is_is_taken_for_aarch64_and_one_that_does_is_believed(
    made, library
) -> None:
    """QEMU knows the machine's name only of a Linux guest that told it."""
    machine = open_source(made(written_kdump(PAGES, NOTES, machine=b"")))
    holds_the_pages(machine)
    assert machine.register("pc") == 0x1234
    with pytest.raises(Malformed, match="ppc64"):
        open_source(made(written_kdump(PAGES, b"", machine=b"ppc64")))


def test_a_kdump_of_linux_counts_in_its_own_blocks_whatever_linux_says(made, library: str) -> None:
    """QEMU's have blocks of 64 KiB, and Linux's own word for the size of its pages beside."""
    block = 1 << 16
    pages = {PA + block * number: page(f"{number}") * 16 for number in range(4)}
    linux = b"OSRELEASE=6.1.0\nPAGESIZE=4096\n"
    notes = NOTES + note(b"VMCOREINFO", 0, linux)
    for form in (bytes, flattened):
        if form is flattened and library.endswith(TOO_OLD):
            continue
        path = made(form(written_kdump(pages, notes, block_bytes=block)))
        memory = open_source(path).memory
        assert memory.read(PA + 3 * block + 8192, 4096) == page("3")
        assert memory.read(PA + block - 2, 4) == b"0011"
        with pytest.raises(Unreadable):
            memory.read(PA + 4 * block, 8)
        assert kdump.open_kdump(Path(path)).vmcoreinfo == linux


def test_without_the_library_it_is_said_what_to_install(made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kdump, "libraries", lambda: ("libkdumpfile.so.nowhere",))
    with pytest.raises(Unavailable, match=r"pip install 'gdbtools\[kdump\]'.*apt-get install"):
        open_source(made(packed("zlib")))


@pytest.mark.parametrize("keep", [8, 100, 500, 4096, 5000, 8192, 9000, 12288, 20000])
def test_a_kdump_that_is_cut_short_is_one_line(made, library: str, keep: int) -> None:
    with pytest.raises((Malformed, Unreadable)) as raised:
        holds_the_pages(open_source(made(packed("zlib")[:keep])))
    assert "\n" not in str(raised.value)
    assert "SIGBUS" not in str(raised.value), "the library is told not to map what may be cut short"


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass", "SIGXCPU|SIGKILL"),
        ("sys.exit(3)", "status 3"),
        ("sys.stdout.buffer.write(b'\\x01\\xff\\xff\\xff\\x7f'); sys.exit(4)", "status 4"),
    ],
)
def test_a_library_that_crashes_or_spins_ends_with_one_line(
    made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, says: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"import os, resource, sys\n{does}\n")
    monkeypatch.setattr(kdump_reader, "__file__", str(child))
    with pytest.raises(Malformed, match=says) as raised:
        open_source(made(packed("zlib")))
    assert "\n" not in str(raised.value)


def test_a_library_that_crashes_while_it_reads_makes_that_unreadable(made, library: str) -> None:
    machine = open_source(made(packed("zlib")))
    machine.memory.reader._process.kill()  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(Unreadable, match="SIGKILL"):
            machine.memory.read(PA, 8)


def test_nobody_is_left_when_a_dump_is_no_longer_used(made, library: str) -> None:
    machine = open_source(made(packed("zlib")))
    process = machine.memory.reader._process  # type: ignore[attr-defined]
    assert process.poll() is None
    del machine
    gc.collect()
    assert process.poll() is not None


def test_a_kdump_is_never_written(made, library: str) -> None:
    with pytest.raises(Refused, match="evidence"):
        open_source(made(packed("zlib"))).memory.write(PA, bytes(8))


def x86_notes(cr3: int) -> bytes:
    """What QEMU leaves of a CPU of x86-64: `elf_prstatus`, and its own note, whose header has version and size."""
    layout = ARCHITECTURES.identity("x86_64").status
    general = dict.fromkeys(layout.names, 0) | {"rip": 0xFFFF_FFFF_8100_0000}
    known = bytes(layout.registers_offset) + layout.registers.pack(*general.values()) + bytes(8)
    segments = b"".join(struct.pack("<4IQ", 0x10 if number == 0 else 0, 0, 0, 0, number << 40) for number in range(10))
    registers = struct.pack("<18Q", *(general.get(name, 0) for name in ("rax",) * 16 + ("rip", "eflags")))
    own = struct.pack("<2I", 1, 0) + registers + segments + struct.pack("<5Q", 0x8005_0033, 0, 0x1000, cr3, 0xA0)
    return note(b"CORE", NT_PRSTATUS, known) + note(b"QEMU", 0, own)


@pytest.mark.parametrize("form", [bytes, flattened])
def test_a_kdump_of_x86_has_the_control_registers_that_qemu_leaves_in_a_note(made, library: str, form) -> None:
    if form is flattened and library.endswith(TOO_OLD):
        pytest.skip("libkdumpfile 0.5.1 reads nothing that is flattened")
    data = written_kdump(PAGES, x86_notes(0x1000) + x86_notes(0x2000), machine=b"x86_64")
    machine = open_source(made(form(data)))
    assert [cpu.registers.read("cr3") for cpu in machine.cpus] == [0x1000, 0x2000]
    for name, value in {"cr0": 0x8005_0033, "cr2": 0x1000, "cr4": 0xA0, "cs": 0x10, "idtr": 9 << 40}.items():
        assert machine.register(name) == value


@pytest.mark.parametrize("form", [bytes, flattened])
def test_a_kdump_says_where_memory_is_and_what_of_it_was_left_out(made, library: str, form) -> None:
    if form is flattened and library.endswith(TOO_OLD):
        pytest.skip("libkdumpfile 0.5.1 reads nothing that is flattened")
    data = bytearray(written_kdump(PAGES, NOTES))
    kept = 4096 * (2 + int.from_bytes(data[436:440], "little") // 2)
    memory = open_source(made(form(bytes(data)))).memory
    pages = [(PA, 20 * 4096), (PA + (1 << 24), 4096)]
    assert (memory_of(memory), data_of(memory)) == (pages, pages)
    # The second bitmap has what is in the file: the last page of the first run is left out.
    data[kept + (PA // 4096 + 19) // 8] &= ~(1 << 3)
    memory = open_source(made(form(bytes(data)))).memory
    assert (memory_of(memory), data_of(memory)) == (pages, [(PA, 19 * 4096), pages[1]])


def test_a_bitmap_with_more_runs_than_any_memory_has_says_nothing() -> None:
    assert kdump_reader.runs(b"\xff\xff\x01\x00\x06") == [(0, 17), (33, 2)]
    assert kdump_reader.runs(b"\x55" * kdump_reader.RUNS) == []
