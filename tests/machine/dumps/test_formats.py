"""Every form of dump, from bytes that are written here: what each says, and what is said of those that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from gdbtools.errors import GdbtoolsError, Malformed, Unreadable, UsageError
from gdbtools.machine.dumps.dump import RANGES, disjoint
from gdbtools.machine.dumps.elfcore import CPUS, open_core
from gdbtools.machine.dumps.magic import NEARLY
from gdbtools.machine.layers import MemoryRange, Ranges
from gdbtools.machine.sources import open_source
from tests.machine.dumps.formats import PHNUM, PN_XNUM, SHENTSIZE, SHOFF, Segment, lime, note, status, vmcore

PA = 0x4000_0000
NT_PRSTATUS = 1


def page(text: str) -> bytes:
    return (text * 4096)[:4096].encode()


def test_lime_has_each_range_where_its_header_says(made) -> None:
    memory = open_source(made(lime([(PA, page("a")), (PA + 0x10000, page("b") * 2)])), architecture="aarch64").memory
    assert memory.read(PA + 4092, 4) == b"aaaa"
    assert memory.read(PA + 0x10000, 8192) == page("b") * 2
    for pa in (PA + 4093, PA + 0x10000 - 1, PA + 0x12000 - 3):
        with pytest.raises(Unreadable):
            memory.read(pa, 4)


def test_a_tilde_is_a_home_directory_where_no_shell_made_it_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ram").write_bytes(page("r"))
    (tmp_path / "registers").write_text('{"TTBR0_EL1": "0x40000000"}')
    machine = open_source(f"~/ram@{PA:#x}", "~/registers")
    assert machine.memory.read(PA, 4) == b"rrrr"
    assert machine.register("TTBR0_EL1") == PA


def test_neighbours_are_read_across(made) -> None:
    memory = open_source(made(lime([(PA + 4096, page("b")), (PA, page("a"))])), architecture="aarch64").memory
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


def test_a_core_of_a_process_is_told_apart(made) -> None:
    """It has virtual addresses only; taken for physical ones, all would lie at 0."""
    process = vmcore([Segment(0, page("a"), va=0x40_0000), Segment(0, page("b"), va=0x50_0000)])
    with pytest.raises(Malformed, match="of a process"):
        open_source(made(process))


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


@pytest.mark.parametrize("order", [1, -1])
def test_ranges_that_share_one_byte_give_it_to_the_first(order: int) -> None:
    given = [
        MemoryRange(at, 3, lambda at, size, text=text: text[at : at + size]) for at, text in ((0, b"aaa"), (2, b"bbb"))
    ]
    assert Ranges(disjoint(given[::order]), "ranges").read(0, 5) == (b"aaabb" if order == 1 else b"aabbb")


@pytest.mark.parametrize("seed", range(50))
def test_disjoint_ranges_are_what_a_byte_by_byte_look_says(seed: int) -> None:
    import random

    draw = random.Random(seed)
    given = []
    for number in range(draw.randrange(1, 12)):
        data = bytes([number]) * draw.randrange(1, 30)
        given.append(MemoryRange(draw.randrange(0, 60), len(data), lambda at, size, data=data: data[at : at + size]))
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
    with pytest.raises(Malformed, match="a part of its notes is missing"):
        open_source(made(bytes(data)))


@pytest.mark.parametrize("magic", NEARLY)
def test_what_is_nearly_a_dump_is_told_how_to_become_one(made, magic: bytes) -> None:
    with pytest.raises(UsageError) as raised:
        open_source(made(magic + bytes(100)))
    assert ";" in str(raised.value)


def test_raw_images_together_are_one_memory_in_any_order(made) -> None:
    names = [f"{made(page(text), text)}@{PA + at:#x}" for text, at in (("b", 4096), ("a", 0), ("c", 1 << 30))]
    memory = open_source(names, architecture="aarch64").memory
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
    memory = open_source(f"{path}@{PA:#x}", architecture="aarch64").memory
    assert memory.read(PA, 5) == b"first"
    assert memory.read(PA + size - 4, 4) == b"last"
    assert memory.read(PA + (33 << 30), 4096) == bytes(4096)
    assert path.stat().st_blocks < 64


def test_more_cpus_than_any_machine_has_are_refused(made) -> None:
    with pytest.raises(Malformed, match="which no machine has"):
        open_source(made(vmcore([], note(b"CORE", NT_PRSTATUS, status()) * (CPUS + 1))))


def test_evidence_in_any_form_is_never_written(made) -> None:
    for data in (lime([(PA, page("a"))]), vmcore([Segment(PA, page("a"))])):
        with pytest.raises(GdbtoolsError, match="evidence"):
            open_source(made(data), architecture="aarch64").memory.write(PA, bytes(8))
