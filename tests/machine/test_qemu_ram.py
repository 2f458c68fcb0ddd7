"""RAM past the gdbstub: found by what the monitor says, and believed only for what it has shown."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from gdbtools.errors import Refused
from gdbtools.machine.qemu_ram import GuestRam, RamRange, Window, backing, look_into, ram_ranges

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


def test_a_shared_backends_file_is_used_and_a_private_ones_is_not(tmp_path: Path) -> None:
    file = tmp_path / "ram"
    file.write_bytes(b"\5" * 0x8000)
    answers = {
        "info mtree -f": MTREE.replace("mach-virt.ram", "ram")
        .replace("bfffffff", "40001fff")
        .partition("  0000004")[0],
        "qom-get /objects/ram mem-path": f'"{file}"\n',
        "qom-get /objects/ram share": "true\n",
        f"gpa2hva {BASE:#x}": "No memory is mapped at address 0x40000000",
    }
    (found,) = look_into(os.getpid(), lambda command: answers[command])
    assert found.where == f"file {file}"
    found.write(0x10, b"\6")
    assert file.read_bytes()[0x10] == 6
    answers["qom-get /objects/ram share"] = "false\n"
    assert look_into(os.getpid(), lambda command: answers[command]) == ()


def test_without_a_process_there_is_nothing_to_look_into() -> None:
    def monitor(command: str) -> str:
        raise Refused("not asked")

    assert look_into(None, monitor) == ()
