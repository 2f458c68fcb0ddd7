"""RAM past the gdbstub: found by what the monitor says, and believed only for what it has shown."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gdbtools.errors import Refused
from gdbtools.machine.live.process import Mapping, covering
from gdbtools.machine.live.qemu_ram import GuestRam, RamRange, Window, backing, look_into, ram_ranges, windows

BASE = 0x4000_0000
MTREE = """FlatView #0
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-000000000000ffff (prio 0, i/o): io

FlatView #1
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-0000000003ffffff (prio 0, romd): virt.flash0
  0000000009000000-0000000009000fff (prio 0, i/o): pl011
  0000000040000000-00000000bfffffff (prio 0, ram): mach-virt.ram
  0000004000000000-000000407fffffff (prio 0, ram): mach-virt.ram @0000000080000000 KVM
"""


@dataclass
class Stub:
    """The stub's memory: zeros but for what is written."""

    data: bytearray = field(default_factory=lambda: bytearray(0x2000))
    reads: int = 0
    description: str = "through the stub"

    def read(self, pa: int, size_bytes: int) -> bytes:
        self.reads += 1
        return bytes(self.data[pa - BASE : pa - BASE + size_bytes])

    def write(self, pa: int, data: bytes) -> None:
        self.data[pa - BASE : pa - BASE + len(data)] = data


def window(data: bytearray) -> Window:
    def write(at: int, new: bytes) -> None:
        data[at : at + len(new)] = new

    return Window(BASE, len(data), lambda at, size: bytes(data[at : at + size]), write, "a window")


def test_ram_is_what_the_first_cpu_sees_as_ram() -> None:
    assert ram_ranges(MTREE) == [
        RamRange(BASE, 0x8000_0000, "mach-virt.ram", 0),
        RamRange(0x40_0000_0000, 0x8000_0000, "mach-virt.ram", 0x8000_0000),
    ]
    assert list(ram_ranges("unknown command: 'info mtree -f'")) == []


def test_what_answers_at_an_address_is_what_the_first_cpu_finds_there() -> None:
    assert backing(MTREE, BASE) == backing(MTREE, 0xBFFF_FFFF) == "RAM mach-virt.ram"
    assert backing(MTREE, 0xC000_0000) == "", "nothing"
    assert backing(MTREE, 0x0900_0FFF) == "the device pl011"
    assert backing(MTREE, 0x0900_1000) == ""
    assert backing(MTREE, 0) == "flash virt.flash0", "and not another address space's"
    assert backing("unknown command: 'info mtree -f'", BASE) is None


def test_a_window_that_shows_what_the_stub_shows_is_believed() -> None:
    stub = Stub()
    stub.data[8] = 1
    ram = GuestRam(stub, lambda: [window(stub.data)])
    assert ram.read(BASE, 16) == bytes(stub.data[:16])
    assert stub.reads == 1
    for _ in range(5):
        assert ram.read(BASE, 16) == bytes(stub.data[:16])
    assert stub.reads == 1
    assert "a window, compared with the gdbstub" in ram.description


def test_zeros_prove_nothing() -> None:
    stub = Stub()
    ram = GuestRam(stub, lambda: [window(bytearray(0x2000))])
    ram.read(BASE, 16)
    stub.data[0] = 1
    assert ram.read(BASE, 16)[0] == 1
    assert ram.windows == []


def test_a_window_that_shows_other_bytes_is_never_used_again() -> None:
    stub, other = Stub(), bytearray(b"\1" * 0x2000)
    ram = GuestRam(stub, lambda: [window(other)])
    assert ram.read(BASE, 16) == bytes(16)
    ram.write(BASE, b"\2")
    assert (stub.data[0], other[0]) == (2, 1)
    assert "a window showed other bytes, and is not used" in ram.description


def test_nothing_is_written_through_a_window_before_it_is_believed() -> None:
    stub = Stub()
    other = bytearray(stub.data)
    ram = GuestRam(stub, lambda: [window(other)])
    ram.write(BASE, b"\2")
    assert (stub.data[0], other[0]) == (2, 0)


def test_the_first_write_has_to_show_in_the_stub_or_is_made_there() -> None:
    stub = Stub()
    stub.data[0] = 1
    copy = bytearray(stub.data)
    ram = GuestRam(stub, lambda: [window(copy)])
    ram.read(BASE, 8)
    ram.write(BASE + 8, b"\7")
    assert stub.data[8] == 7
    assert ram.windows == []


def test_what_lies_outside_or_across_the_end_is_the_stubs() -> None:
    stub = Stub()
    stub.data[:] = b"\1" * 0x2000
    ram = GuestRam(stub, lambda: [window(bytearray(stub.data[:0x1000]))])
    ram.read(BASE, 8)
    reads = stub.reads
    ram.read(BASE + 0xFF8, 16)
    ram.read(BASE + 0x1000, 8)
    assert stub.reads == reads + 2


def test_a_process_that_has_gone_is_the_stubs_again() -> None:
    stub = Stub()
    stub.data[0] = 1

    def gone(at: int, size: int) -> bytes:
        raise OSError("no such process")

    dead = Window(BASE, 0x2000, gone, lambda at, data: None, "a window", proved=True)
    assert GuestRam(stub, lambda: [dead]).read(BASE, 8) == bytes(stub.data[:8])


def test_without_a_process_there_is_nothing_to_look_into() -> None:
    def monitor(command: str) -> str:
        raise Refused("not asked")

    assert look_into(None, monitor) == ()


SIZE_BYTES = 0x2000
AT = 0x1000
"""Where in the file the guest's RAM begins."""


@dataclass
class Backed:
    """This process in a QEMU's place: it maps a file, and its monitor says where."""

    path: Path
    address: int

    def monitor(self, command: str) -> str:
        last = BASE + SIZE_BYTES - 1
        answers = {
            "info mtree -f": f'FlatView #0\n AS "cpu-memory-0", root: system\n'
            f"  {BASE:016x}-{last:016x} (prio 0, ram): ram @{AT:016x}\n",
            "qom-get /objects/ram mem-path": f'"{self.path}"\n',
            "qom-get /objects/ram share": "true\n",
            f"gpa2hva {BASE:#x}": f"Host virtual address for {BASE:#x} (ram) is {self.address:#x}",
        }
        return answers[command]


@pytest.fixture
def backed(tmp_path: Path) -> Iterator[Backed]:
    path = tmp_path / "ram"
    path.write_bytes(b"\5" * (AT + SIZE_BYTES))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        held = ctypes.c_char.from_buffer(view)
        yield Backed(path, ctypes.addressof(held) + AT)
        del held


def test_a_shared_file_is_used_at_the_place_where_the_process_maps_it(backed: Backed) -> None:
    (found,) = windows(os.getpid(), backed.monitor)
    assert found.where == f"file {backed.path}"
    found.write(0x10, b"\6")
    assert backed.path.read_bytes()[AT + 0x10] == 6


def test_a_file_made_anew_under_the_same_name_is_another_guests(backed: Backed) -> None:
    backed.path.unlink()
    backed.path.write_bytes(b"\5" * (AT + SIZE_BYTES))
    (found,) = windows(os.getpid(), backed.monitor)
    found.write(0x10, b"\6")
    assert found.read(0x10, 1) == b"\6"
    assert ctypes.string_at(backed.address + 0x10, 1) == b"\6", "what is written is what this process maps"
    assert 6 not in backed.path.read_bytes()


def test_a_file_that_the_process_does_not_map_is_not_touched(backed: Backed, tmp_path: Path) -> None:
    """A monitor can name any file, and any address: another host's, or one that would have us write somewhere."""
    other = tmp_path / "other"
    other.write_bytes(backed.path.read_bytes())
    # Beyond its end is whatever this process has there; a range that ends beyond it is in no one mapping.
    for address in (0x1000, 1 << 63, backed.address + SIZE_BYTES // 2):
        assert list(windows(os.getpid(), Backed(other, address).monitor)) == []


def test_who_answers_for_another_is_no_qemu(backed: Backed) -> None:
    """A tunnel or a proxy holds the other end of the socket, and none of the guest's RAM."""
    assert look_into(os.getpid(), backed.monitor) == ()


def test_memory_that_may_only_be_read_is_no_guests_ram(tmp_path: Path) -> None:
    path = tmp_path / "ram"
    path.write_bytes(bytes(SIZE_BYTES))
    maps = [Mapping(0x1000, 0x1000 + SIZE_BYTES, False, True, False, 0, (0, 1), 2, str(path))]
    assert covering(maps, 0x1000, SIZE_BYTES) is None


def test_pieces_of_one_file_are_one_and_of_two_files_are_not() -> None:
    pieces = [
        Mapping(0x1000, 0x2000, True, True, False, 0, (0, 1), 2, "ram"),
        Mapping(0x2000, 0x3000, True, True, False, 0x1000, (0, 1), 2, "ram"),
        Mapping(0x3000, 0x4000, True, True, False, 0x2000, (0, 1), 3, "ram"),
        Mapping(0x4000, 0x5000, True, True, False, 0x9000, (0, 1), 3, "ram"),
    ]
    found = covering(pieces, 0x1800, 0x1000)
    assert found is not None
    assert (found.first, found.end, found.inode) == (0x1000, 0x3000, 2)
    assert covering(pieces, 0x1800, 0x2000) is None
    assert covering(pieces, 0x3800, 0x1000) is None, "another place of the same file"
