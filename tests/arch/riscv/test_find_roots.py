"""`find-roots` on an image without registers: root pages of Sv39, Sv48 and Sv57, and a guest's told apart."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.arch.riscv.machine import AD, RAM, G, R, U, V, W, X, pte

MEGA = 1 << 20
SIZE = 16 * MEGA
KERNEL, TABLES, GUEST = RAM + 4 * MEGA, RAM + 5 * MEGA, RAM + 8 * MEGA
PROCESSES = [RAM + 7 * MEGA + n * 0x10_0000 // 4 for n in range(3)]


class Memory:
    """Some megabytes: noise in front, where code would be, and tables where they are put."""

    def __init__(self, depth: int, bits: int = 64) -> None:
        self.depth, self.bits, self.entry_bytes = depth, bits, bits // 8
        self.index_bits = 9 if bits == 64 else 10
        noise = random.Random(1).randbytes(2 * MEGA).translate(bytes(each & 0x7F for each in range(256)))
        self.data = bytearray(noise) + bytearray(SIZE - 2 * MEGA)
        self.free = TABLES

    def put(self, at: int, entry: int) -> None:
        self.data[at - RAM : at - RAM + self.entry_bytes] = entry.to_bytes(self.entry_bytes, "little")

    def entry(self, at: int) -> int:
        return int.from_bytes(self.data[at - RAM : at - RAM + self.entry_bytes], "little")

    def map(self, root: int, va: int, pa: int, flags: int, level: int = 0, depth: int | None = None) -> None:
        table, usual = root, (1 << self.index_bits) - 1
        for number in range((depth or self.depth) - 1, level, -1):
            wide = 4 * usual + 3 if depth and number == depth - 1 else usual
            at = table + (va >> 12 + self.index_bits * number & wide) * self.entry_bytes
            if not self.entry(at):
                self.put(at, pte(self.free, V))
                self.free += 0x1000
            table = (self.entry(at) >> 10) << 12
        at = table + (va >> 12 + self.index_bits * level & usual) * self.entry_bytes
        self.put(at, pte(pa, V | AD | flags))

    @property
    def upper(self) -> int:
        """Where the kernel is: of 32 bits, where Linux has it."""
        return (1 << 64) - (1 << 12 + 9 * self.depth - 1) if self.bits == 64 else 0xC000_0000


def linux(depth: int, bits: int = 64) -> Memory:
    """A kernel whose linear map has all of memory, three processes that share it, and pointers into it."""
    memory = Memory(depth, bits)
    for offset in range(0, SIZE, 0x1000):
        memory.map(KERNEL, memory.upper + offset, RAM + offset, R | G | (X if offset < 0x4000 else W))
    for number, root in enumerate(PROCESSES):
        for at in range(0x800 if bits == 64 else 0xC00, 0x1000, memory.entry_bytes):
            memory.put(root + at, memory.entry(KERNEL + at))
        for page in range(24 + number):
            memory.map(root, 0x1_0000 + page * 0x1000, RAM + 10 * MEGA + page * 0x1000, R | U | (X if page < 8 else W))
    pointers = struct.Struct("<4Q" if bits == 64 else "<2I4I")
    for number in range(64):
        at = RAM + 3 * MEGA + number * 0x1000
        first = (0x1_2345_6789_ABCE,) if bits == 64 else (0x6789_ABCE, 0x1_2344, memory.upper)
        pointers.pack_into(memory.data, at - RAM, *first, *(memory.upper + 0x5000 * n for n in (number, 7, 9)))
    return memory


def with_guest(memory: Memory) -> None:
    """A virtual machine of 4 MiB, and its root of 16 KiB, Sv39x4: all is granted, and all is user mode's."""
    depth = 3 if memory.bits == 64 else 2
    for offset in range(0, 4 * MEGA, 0x1000):
        memory.map(GUEST, 0x8000_0000 + offset, RAM + 11 * MEGA + offset, R | W | X | U, depth=depth)


def ask(capsys: pytest.CaptureFixture[str], memory: Memory, folder: Path, *words: str, status: int = 0) -> Any:
    (folder / "ram.bin").write_bytes(memory.data)
    source = ["-s", f"{folder / 'ram.bin'}@{RAM:#x}", "--arch", f"riscv{memory.bits}"]
    assert main(["find-roots", *source, *words, "--json"]) == status
    return json.loads(capsys.readouterr().out)["result"]


def roots(result: Any) -> dict[int, tuple[str, int, str]]:
    return {int(each["root"], 16): (each["register"], each["input_bits"], each["owner"]) for each in result["roots"]}


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_the_kernels_root_is_first_and_every_process_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, depth: int
) -> None:
    bits = 12 + 9 * depth
    result = ask(capsys, linux(depth), tmp_path)
    assert int(result["roots"][0]["root"], 16) == KERNEL
    found = roots(result)
    assert found == {KERNEL: ("satp", bits, "kernel"), **dict.fromkeys(PROCESSES, ("satp", bits, "user"))}
    assert [int(each, 16) for each in result["chosen"]] == [KERNEL]


def test_a_root_that_has_been_filled_with_empty_tables_is_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As Linux does for vmalloc: its root leads to more empty tables than to others."""
    memory = linux(4)
    for entry in range(300, 490):
        memory.put(KERNEL + 8 * entry, pte(RAM + 12 * MEGA + 0x1000 * entry, V))
    result = ask(capsys, memory, tmp_path)
    assert int(result["roots"][0]["root"], 16) == KERNEL
    assert roots(result)[KERNEL] == ("satp", 48, "kernel")


def test_a_guests_root_is_told_from_a_kernels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    memory = linux(4)
    with_guest(memory)
    found = roots(ask(capsys, memory, tmp_path))
    assert found[GUEST] == ("hgatp", 41, "virtual machine")
    assert found[KERNEL] == ("satp", 48, "kernel")


def test_what_is_written_makes_a_map(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    memory, file = linux(4), tmp_path / "registers.json"
    ask(capsys, memory, tmp_path, "--write", str(file))
    source = ["-s", f"{tmp_path / 'ram.bin'}@{RAM:#x}", "--registers", str(file)]
    assert main(["map", *source, "--json"]) == 0
    mapped = json.loads(capsys.readouterr().out)["result"]
    assert [(int(run["first"], 16), run["size"], int(run["output"], 16)) for run in mapped["runs"]] == [
        (memory.upper, 0x4000, RAM), (memory.upper + 0x4000, SIZE - 0x4000, RAM + 0x4000)
    ]  # fmt: skip
    words = ["--root", f"{PROCESSES[1]:#x}", "--write", str(file)]
    ask(capsys, memory, tmp_path, *words)
    assert main(["walk", *source, "0x10000", "--access", "execute", "--privilege", "u", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["output"] == f"{RAM + 10 * MEGA:#018x}"


def test_a_register_settles_which_root_is_in_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(
        json.dumps({"satp": hex(9 << 60 | PROCESSES[2] >> 12), "priv": "0", "pc": "0x10000"})
    )
    result = ask(capsys, linux(4), tmp_path, "--registers", str(tmp_path / "r.json"))
    assert [int(each, 16) for each in result["chosen"]] == [PROCESSES[2]]


def test_roots_of_sv32_are_found_and_what_is_written_makes_a_map(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Entries of four bytes, one range without halves, and a guest's root of 16 KiB."""
    memory, file = linux(2, 32), tmp_path / "registers.json"
    with_guest(memory)
    result = ask(capsys, memory, tmp_path, "--write", str(file))
    assert roots(result) == {
        KERNEL: ("satp", 32, "kernel"), **dict.fromkeys(PROCESSES, ("satp", 32, "user")),
        GUEST: ("hgatp", 34, "virtual machine"),
    }  # fmt: skip
    assert KERNEL in [int(each, 16) for each in result["chosen"]]
    source = ["-s", f"{tmp_path / 'ram.bin'}@{RAM:#x}", "--registers", str(file), "--arch", "riscv32"]
    assert main(["map", *source, "--regime", "s", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["result"]["runs"]
    assert [(int(run["first"], 16), run["size"], int(run["output"], 16)) for run in runs] == [
        (memory.upper, 0x4000, RAM), (memory.upper + 0x4000, SIZE - 0x4000, RAM + 0x4000)
    ]  # fmt: skip
