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

    def __init__(self, depth: int) -> None:
        self.depth = depth
        noise = random.Random(1).randbytes(2 * MEGA).translate(bytes(each & 0x7F for each in range(256)))
        self.data = bytearray(noise) + bytearray(SIZE - 2 * MEGA)
        self.free = TABLES

    def put(self, at: int, entry: int) -> None:
        struct.pack_into("<Q", self.data, at - RAM, entry)

    def entry(self, at: int) -> int:
        return int(struct.unpack_from("<Q", self.data, at - RAM)[0])

    def map(self, root: int, va: int, pa: int, flags: int, level: int = 0, depth: int | None = None) -> None:
        table = root
        for number in range((depth or self.depth) - 1, level, -1):
            wide = 0x7FF if depth and number == depth - 1 else 0x1FF
            at = table + (va >> 12 + 9 * number & wide) * 8
            if not self.entry(at):
                self.put(at, pte(self.free, V))
                self.free += 0x1000
            table = (self.entry(at) >> 10) << 12
        self.put(table + (va >> 12 + 9 * level & 0x1FF) * 8, pte(pa, V | AD | flags))

    @property
    def upper(self) -> int:
        return (1 << 64) - (1 << 12 + 9 * self.depth - 1)


def linux(depth: int) -> Memory:
    """A kernel whose linear map has all of memory, three processes that share it, and pointers into it."""
    memory = Memory(depth)
    for offset in range(0, SIZE, 0x1000):
        memory.map(KERNEL, memory.upper + offset, RAM + offset, R | G | (X if offset < 0x4000 else W))
    entry = 256 * 8
    for number, root in enumerate(PROCESSES):
        memory.put(root + entry, memory.entry(KERNEL + entry))
        for page in range(24 + number):
            memory.map(root, 0x1_0000 + page * 0x1000, RAM + 10 * MEGA + page * 0x1000, R | U | (X if page < 8 else W))
    for number in range(64):
        at = RAM + 3 * MEGA + number * 0x1000
        struct.pack_into(
            "<4Q", memory.data, at - RAM, 0x1_2345_6789_ABCE, *(memory.upper + 0x5000 * n for n in (number, 7, 9))
        )
    return memory


def with_guest(memory: Memory) -> None:
    """A virtual machine of 4 MiB, and its root of 16 KiB, Sv39x4: all is granted, and all is user mode's."""
    for offset in range(0, 4 * MEGA, 0x1000):
        memory.map(GUEST, 0x8000_0000 + offset, RAM + 11 * MEGA + offset, R | W | X | U, depth=3)


def ask(capsys: pytest.CaptureFixture[str], memory: Memory, folder: Path, *words: str, status: int = 0) -> Any:
    (folder / "ram.bin").write_bytes(memory.data)
    source = ["-s", f"{folder / 'ram.bin'}@{RAM:#x}", "--arch", "riscv64"]
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


def test_the_narrow_one_has_no_looks_yet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "ram.bin").write_bytes(bytes(0x1000))
    assert main(["find-roots", "-s", f"{tmp_path / 'ram.bin'}@{RAM:#x}", "--arch", "riscv32"]) == 3
    assert "for RISC-V (32 bits) no looks of tables are known here" in capsys.readouterr().err
