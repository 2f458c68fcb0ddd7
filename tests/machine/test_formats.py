"""Every form of dump, from bytes that are written here: what each says, and what is said of those that lie."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from gdbtools.errors import GdbtoolsError, Malformed, Unavailable, Unreadable, UsageError
from gdbtools.machine import NEARLY, kdump, kdump_reader, open_source
from gdbtools.machine.dump import RANGES, Range, disjoint
from gdbtools.machine.elfcore import open_core
from gdbtools.machine.model import Machine, Ranges
from tests.machine.formats import (
    COMPRESSIONS,
    PHNUM,
    PN_XNUM,
    SHENTSIZE,
    SHOFF,
    Compression,
    Segment,
    compression,
    flattened,
    lime,
    note,
    rearranged,
    recompressed,
    status,
    vmcore,
)
from tests.machine.formats import (
    kdump as written_kdump,
)

PA = 0x4000_0000
NT_PRSTATUS = 1
TOO_OLD = ".so.10"
"""libkdumpfile 0.5.1, which Debian 12 has."""


def page(text: str) -> bytes:
    return (text * 4096)[:4096].encode()


@pytest.fixture
def made(tmp_path: Path) -> Callable[[bytes], str]:
    """Write a file, and give its name: which says nothing about what is in it."""

    def make(data: bytes, name: str = "file.txt") -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return make


def test_lime_has_each_range_where_its_header_says(made) -> None:
    memory = open_source(made(lime([(PA, page("a")), (PA + 0x10000, page("b") * 2)]))).memory
    assert memory.read(PA + 4092, 4) == b"aaaa"
    assert memory.read(PA + 0x10000, 8192) == page("b") * 2
    for pa in (PA + 4093, PA + 0x10000 - 1, PA + 0x12000 - 3):
        with pytest.raises(Unreadable):
            memory.read(pa, 4)


def test_neighbours_are_read_across(made) -> None:
    memory = open_source(made(lime([(PA + 4096, page("b")), (PA, page("a"))]))).memory
    assert memory.read(PA + 4090, 12) == b"aaaaaabbbbbb"


def test_a_vmcore_counts_by_physical_address_and_its_kernels_text_is_there_twice(made) -> None:
    """As Linux writes it: first the text mapping, which lies over the RAM that follows."""
    ram = page("r") + page("t") + page("u")
    text = Segment(PA + 4096, ram[4096:8192], va=0xFFFF_8000_0800_0000)
    notes = note(b"CORE", NT_PRSTATUS, status(pc=5, x1=7)) + note(b"CORE", NT_PRSTATUS, status(pc=6))
    notes += note(b"VMCOREINFO", 0, b"OSRELEASE=6.1\nPAGESIZE=4096\n\0")
    path = made(vmcore([text, Segment(PA, ram, va=0xFFFF_0000_0000_0000), Segment(1 << 40, page("h"))], notes))
    machine = open_source(path)
    assert machine.memory.read(PA, len(ram)) == ram
    assert machine.memory.read(1 << 40, 4096) == page("h")
    assert [cpu.registers.read("pc") for cpu in machine.cpus] == [5, 6]
    assert machine.register("x1") == 7
    assert open_core(Path(path)).vmcoreinfo.splitlines() == [b"OSRELEASE=6.1", b"PAGESIZE=4096"]


def test_of_segments_that_contradict_one_another_the_first_counts(made) -> None:
    segments = [Segment(PA + 4096, page("1")), Segment(PA, page("2") * 3), Segment(PA + 8192, page("3") * 2)]
    assert open_source(made(vmcore(segments))).memory.read(PA, 4 * 4096) == page("2") + page("1") + page("2") + page(
        "3"
    )


def test_a_core_of_a_thousand_segments_is_read_by_looking_at_one(made) -> None:
    """As a vmcore of a machine with holes in its memory; each is found, from first to last."""
    segments = [Segment(PA + 0x10000 * number, struct.pack("<Q", number)) for number in range(1000)]
    memory = open_source(made(vmcore(segments[::-1]))).memory
    assert [memory.read(each.pa, 8) for each in segments] == [each.data for each in segments]


@pytest.mark.parametrize("seed", range(50))
def test_disjoint_ranges_are_what_a_byte_by_byte_look_says(seed: int) -> None:
    import random

    draw = random.Random(seed)
    given = []
    for number in range(draw.randrange(1, 12)):
        data = bytes([number]) * draw.randrange(1, 30)
        given.append(Range(draw.randrange(0, 60), len(data), lambda at, size, data=data: data[at : at + size]))
    memory = Ranges(disjoint(given), "ranges")
    for pa in range(100):
        holds = [number for number, each in enumerate(given) if each.pa <= pa < each.end]
        if holds:
            assert memory.read(pa, 1) == bytes([holds[0]])
        else:
            with pytest.raises(Unreadable):
                memory.read(pa, 1)
    assert all(before.end <= after.pa for before, after in zip(memory.ranges, memory.ranges[1:], strict=False))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lime([(PA, page("a"))])[:20], "header"),
        (lime([(PA, page("a"))])[:-1], "cut short"),
        (lime([(PA, page("a"))]) + b"more, but no header, and long enough", "no LiME header at offset 0x1020"),
        (lime([(PA, page("a"))]).replace(struct.pack("<I", 1), struct.pack("<I", 2), 1), "version 2"),
        (struct.pack("<IIQQQ", 0x4C694D45, 1, PA, PA - 1, 0), "from 0x40000000 to 0x3fffffff"),
        (vmcore([Segment((1 << 64) - 4096, page("a") * 2)]), "past the last address"),
        (vmcore([Segment(PA, page("a"), at=1 << 40)]), "cut short"),
        (vmcore([Segment(PA, page("a"), at=(1 << 64) - 1)]), "cut short"),
        (vmcore([Segment(PA, page("a"))])[:100], "cut short|cannot be read|can be read"),
        (vmcore([], note(b"CORE", 1, bytes(392))[:-100]), "note that is cut short"),
        (vmcore([], b"\xff" * 12), "note that is cut short"),
        (vmcore([Segment(PA, page("a"))]).replace(struct.pack("<HH", 56, 2), struct.pack("<HH", 9, 2), 1), "9 bytes"),
    ],
)
def test_a_dump_that_is_cut_short_or_lies_is_one_line(made, content: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says) as raised:
        open_source(made(content))
    assert "\n" not in str(raised.value)


def test_more_segments_than_any_dump_has_are_refused_and_not_gone_through(made) -> None:
    data = bytearray(vmcore([Segment(PA, page("a"))]))
    struct.pack_into("<H", data, PHNUM, PN_XNUM)
    struct.pack_into("<Q", data, SHOFF, len(data))
    struct.pack_into("<HH", data, SHENTSIZE, 64, 1)
    for count in (2, RANGES + 1, (1 << 32) - 1):
        section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, count, 0, 0)
        name = made(bytes(data) + section)
        if count == 2:
            assert open_source(name).memory.read(PA, 4096) == page("a")
            continue
        with pytest.raises(Malformed, match=f"{count} program headers"):
            open_source(name)
    many = lime([(PA + 2 * number, b"x") for number in range(RANGES + 1)])
    with pytest.raises(Malformed, match="no dump has"):
        open_source(made(many))


def test_notes_that_are_told_of_again_and_again_are_not_read_again_and_again(made) -> None:
    data = bytearray(vmcore([Segment(0, b"", at=0)] * 1000, note(b"CORE", 1, status(pc=1)) * 100))
    first = data[64 : 64 + 56]
    for number in range(1000):
        data[64 + 56 * number : 64 + 56 * number + 56] = first
    with pytest.raises(Malformed, match="notes"):
        open_source(made(bytes(data)))


@pytest.mark.parametrize("magic", NEARLY)
def test_what_is_nearly_a_dump_is_told_how_to_become_one(made, magic: bytes) -> None:
    with pytest.raises(UsageError) as raised:
        open_source(made(magic + bytes(100)))
    assert ";" in str(raised.value)


def test_raw_images_together_are_one_memory_in_any_order(made) -> None:
    names = [f"{made(page(text), text)}@{PA + at:#x}" for text, at in (("b", 4096), ("a", 0), ("c", 1 << 30))]
    memory = open_source(names).memory
    assert memory.read(PA + 4094, 4) == b"aabb"
    assert memory.read(PA + (1 << 30), 4096) == page("c")
    assert "raw images a, b, c" in memory.description
    with pytest.raises(Unreadable):
        memory.read(PA + 8190, 4)


def test_raw_images_that_overlap_or_are_mixed_with_others_are_refused(made) -> None:
    a, b = made(page("a"), "a"), made(page("b"), "b")
    with pytest.raises(UsageError, match="both hold physical address 0x40000800"):
        open_source([f"{a}@{PA:#x}", f"{b}@{PA + 0x800:#x}"])
    with pytest.raises(UsageError, match="all are raw images"):
        open_source([f"{a}@{PA:#x}", made(lime([(PA, page("c"))]), "c")])
    with pytest.raises(UsageError, match="past the last address"):
        open_source(f"{a}@0xfffffffffffff800")


def test_a_file_of_64_gib_that_holds_almost_nothing_is_read_by_what_it_holds(tmp_path: Path) -> None:
    """Sparse: two tables at its ends.  Reading it all would take minutes, and be seen in the blocks that it gets."""
    path, size = tmp_path / "sparse", 64 << 30
    with path.open("wb") as file:
        file.write(b"first")
        file.seek(size - 4)
        file.write(b"last")
    memory = open_source(f"{path}@{PA:#x}").memory
    assert memory.read(PA, 5) == b"first"
    assert memory.read(PA + size - 4, 4) == b"last"
    assert memory.read(PA + (33 << 30), 4096) == bytes(4096)
    assert path.stat().st_blocks < 64


PAGES = {PA + 4096 * number: page(f"page {number} ") for number in range(20)} | {PA + (1 << 24): bytes(range(256)) * 16}
NOTES = note(b"CORE", NT_PRSTATUS, status(pc=0x1234, x5=9)) + note(b"CORE", NT_PRSTATUS, status(sp=8))


def libraries() -> list[str]:
    """Give each libkdumpfile that there is here: drgn's, and the system's."""
    found = []
    for each in kdump.libraries():
        try:
            kdump_reader.loaded([each])
        except kdump_reader.Refused:
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


def test_a_kdump_that_does_not_say_whose_it_is_is_taken_for_aarch64_and_one_that_does_is_believed(
    made, library
) -> None:
    """QEMU knows the machine's name only of a Linux guest that told it."""
    holds_the_pages(open_source(made(written_kdump(PAGES, NOTES, machine=b""))))
    with pytest.raises(Malformed, match="x86_64"):
        open_source(made(written_kdump(PAGES, b"", machine=b"x86_64")))


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
    import gc

    gc.collect()
    assert process.poll() is not None


def test_evidence_in_any_form_is_never_written(made, library: str) -> None:
    for data in (lime([(PA, page("a"))]), vmcore([Segment(PA, page("a"))]), packed("zlib")):
        with pytest.raises(GdbtoolsError, match="evidence"):
            open_source(made(data)).memory.write(PA, bytes(8))
