"""`find-roots` on an image without registers: roots of 4 levels and 5, with the second root of an isolated process."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from gdbtools.cli import main
from tests.places import ROOT

MEGA, PAGE = 1 << 20, 1 << 12
SIZE = 16 * MEGA
P, W, U, A, D, PS, G, NX = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8, 1 << 63
TABLE = P | W | U | A | D
KERNEL, TABLES, EMPTY = 4 * MEGA, 5 * MEGA, 12 * MEGA
PROCESSES = [7 * MEGA + n * 4 * PAGE for n in range(3)]
UPPER_ENTRIES = PAGE // 2
TEXT, IMAGE = 0xFFFF_FFFF_8100_0000, 8 * MEGA


class Memory:
    """Some megabytes: noise in front, where code would be, and tables where they are put."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        noise = random.Random(1).randbytes(MEGA // 8).translate(bytes(each & 0x7F for each in range(256)))
        self.data = bytearray(noise) + bytearray(SIZE - MEGA // 8)
        self.free = TABLES

    @property
    def upper(self) -> int:
        """The lowest address of the kernel's half."""
        return (1 << 64) - (1 << 12 + 9 * self.depth - 1)

    def put(self, at: int, entry: int) -> None:
        self.data[at : at + 8] = entry.to_bytes(8, "little")

    def entry(self, at: int) -> int:
        return int.from_bytes(self.data[at : at + 8], "little")

    def map(self, root: int, va: int, pa: int, flags: int) -> None:
        """Map a small page, or a large one where `flags` have PS."""
        table, level = root, self.depth - 1
        while level > bool(flags & PS):
            at = table + (va >> 12 + 9 * level & 511) * 8
            if not self.entry(at):
                self.put(at, self.free | TABLE)
                self.free += PAGE
            table, level = self.entry(at) & 0xF_FFFF_FFFF_F000, level - 1
        self.put(table + (va >> 12 + 9 * level & 511) * 8, pa | P | A | D | flags)


def linux(depth: int, isolated: bool = False, notes: str = "", prepared: bool = False) -> Memory:
    """A kernel whose linear map has all of memory, three processes that share it, and pointers into it.

    With isolation, the root that a process runs by is the page above its full one, with a few of the kernel's pages
    alone.  `prepared` is how Linux fills its root for vmalloc: with tables in which there is nothing yet.
    """
    memory = Memory(depth)
    for offset in range(0, SIZE, PAGE):
        memory.map(KERNEL, memory.upper + offset, offset, W | NX | (0 if isolated else G))
    for offset in range(0, IMAGE, PAGE):
        memory.map(KERNEL, TEXT + offset, offset, 0)
    for entry in range(300, 364) if prepared else ():
        memory.put(KERNEL + 8 * entry, EMPTY + PAGE * (entry - 3) | TABLE)
    for number, root in enumerate(PROCESSES):
        memory.data[root + UPPER_ENTRIES : root + PAGE] = memory.data[KERNEL + UPPER_ENTRIES : KERNEL + PAGE]
        for page in range(24 + number):
            flags = U | (0 if page < 8 else W | NX)
            memory.map(root, 0x40_0000 + page * PAGE, 10 * MEGA + page * PAGE, flags)
        if isolated:
            memory.data[root + PAGE : root + PAGE + UPPER_ENTRIES] = memory.data[root : root + UPPER_ENTRIES]
            for at in range(root, root + UPPER_ENTRIES, 8):
                memory.put(at, memory.entry(at) | (NX if memory.entry(at) else 0))
            memory.map(root + PAGE, TEXT + 8 * PAGE, 8 * PAGE, 0)
    pointers = struct.Struct("<4Q")
    for number in range(64):
        words = (0x1_2345_6789_ABCE, *(memory.upper + 0x5000 * each for each in (number, 7, 9)))
        pointers.pack_into(memory.data, 3 * MEGA + number * PAGE, *words)
    text = notes.encode()
    memory.data[9 * MEGA : 9 * MEGA + len(text)] = text
    return memory


def vmcoreinfo(depth: int, root: int, moved: int = 0) -> str:
    """What a kernel writes of itself whose image begins `moved` bytes after the start of memory."""
    base = moved - (TEXT - 0xFFFF_FFFF_8000_0000)
    said = {
        "OSRELEASE": "6.1.0-test",
        "SYMBOL(_stext)": f"{TEXT:x}",
        "SYMBOL(init_top_pgt)": f"{root - base + 0xFFFF_FFFF_8000_0000:x}",
        "NUMBER(phys_base)": base,
        "NUMBER(pgtable_l5_enabled)": int(depth == 5),
        "KERNELOFFSET": "0",
        "NUMBER(KERNEL_IMAGE_SIZE)": 1 << 30,
        "NUMBER(sme_mask)": 0,
    }
    return "".join(f"{key}={value}\n" for key, value in said.items())


def ask(capsys: pytest.CaptureFixture[str], memory: Memory, folder: Path, *words: str) -> Any:
    (folder / "ram.bin").write_bytes(memory.data)
    assert main(["find-roots", "-s", f"{folder / 'ram.bin'}@0x0", "--arch", "x86_64", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["result"]


def found(result: Any) -> dict[int, tuple[int, str]]:
    return {int(each["root"], 16): (each["input_bits"], each["owner"]) for each in result["roots"]}


@pytest.mark.parametrize("depth", [4, 5])
def test_the_kernels_root_is_first_and_every_process_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, depth: int
) -> None:
    bits = 12 + 9 * depth
    result = ask(capsys, linux(depth, prepared=True), tmp_path)
    assert int(result["roots"][0]["root"], 16) == KERNEL
    assert found(result) == {KERNEL: (bits, "kernel"), **dict.fromkeys(PROCESSES, (bits, "user"))}
    assert [int(each, 16) for each in result["chosen"]] == [KERNEL]


def test_that_others_have_the_same_upper_half_speaks_for_each_of_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    memory = linux(4)
    memory.put(PROCESSES[2] + 0xFF8, 0)
    result = ask(capsys, memory, tmp_path)
    shared = {
        int(each["root"], 16): [one["count"] for one in each["evidence"] if one["sign"] == "same upper half"]
        for each in result["roots"]
    }
    assert shared == {KERNEL: [2], PROCESSES[0]: [2], PROCESSES[1]: [2], PROCESSES[2]: []}


@pytest.mark.parametrize("depth", [4, 5])
def test_two_roots_of_one_process_are_told_as_full_and_reduced(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, depth: int
) -> None:
    result = ask(capsys, linux(depth, isolated=True), tmp_path)
    pairs = {int(each["root"], 16): int(each["reduced"], 16) for each in result["roots"] if "reduced" in each}
    assert pairs == {root: root + PAGE for root in PROCESSES}
    full = {int(each["root"], 16): int(each["full"], 16) for each in result["roots"] if "full" in each}
    assert full == {root + PAGE: root for root in PROCESSES}
    order = [int(each["root"], 16) for each in result["roots"]]
    assert all(order.index(root + PAGE) == order.index(root) + 1 for root in PROCESSES)
    assert [int(each, 16) for each in result["chosen"]] == [KERNEL]


def test_a_page_above_that_leads_elsewhere_is_no_second_root_of_the_same_process(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    memory = linux(4, isolated=True)
    memory.map(PROCESSES[0] + PAGE, TEXT + 8 * PAGE, 9 * PAGE, 0)
    result = ask(capsys, memory, tmp_path)
    assert [int(each["root"], 16) for each in result["roots"] if "reduced" in each] == PROCESSES[1:]


def test_a_register_settles_that_the_reduced_root_is_in_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    registers = {"cr0": 0x8005_0033, "cr3": PROCESSES[1] + PAGE, "cr4": 0xA0, "efer": 0xD01, "cs": 0x33}
    (tmp_path / "r.json").write_text(json.dumps({name: hex(value) for name, value in registers.items()}))
    result = ask(capsys, linux(4, isolated=True), tmp_path, "--registers", str(tmp_path / "r.json"))
    assert [int(each, 16) for each in result["chosen"]] == [PROCESSES[1] + PAGE]


def test_what_is_written_makes_the_kernels_map(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    memory, file = linux(5), tmp_path / "registers.json"
    ask(capsys, memory, tmp_path, "--write", str(file))
    assert main(["map", "-s", f"{tmp_path / 'ram.bin'}@0x0", "--registers", str(file), "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["result"]["runs"]
    places = [(int(run["first"], 16), run["size"], int(run["output"], 16)) for run in runs]
    assert places == [(memory.upper, SIZE, 0), (TEXT, IMAGE, 0)]


def test_a_linear_map_of_memory_that_is_empty_is_no_table_of_tables(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its entries grant all that a table's do, and lead to nothing but zeros, and a table among them."""
    memory = Memory(4)
    for offset in range(0, SIZE, PAGE):
        memory.map(KERNEL, memory.upper + offset, offset, W)
    assert found(ask(capsys, memory, tmp_path)) == {KERNEL: (48, "kernel")}


def test_vmcoreinfo_is_believed_where_the_tables_lead_where_it_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    result = ask(capsys, linux(4, notes=vmcoreinfo(4, KERNEL)), tmp_path)
    assert [int(each["root"], 16) for each in result["vmcoreinfo"]] == [KERNEL]
    assert "named" in [one["sign"] for one in result["roots"][0]["evidence"]]


@pytest.mark.parametrize(("depth", "root", "moved"), [(4, KERNEL, PAGE), (5, KERNEL, 0), (4, PROCESSES[0] + PAGE, 0)])
def test_notes_of_another_kernel_than_the_tables_are_not_believed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, depth: int, root: int, moved: int
) -> None:
    """Its text is elsewhere; it has other levels; what it names is no root with a kernel in it."""
    result = ask(capsys, linux(4, notes=vmcoreinfo(depth, root, moved)), tmp_path)
    (told,) = result["vmcoreinfo"]
    assert told["root"] is None
    assert told["why"].startswith("is not believed: the tables that it names ")
    assert not [one for each in result["roots"] for one in each["evidence"] if one["sign"] == "named"]


def test_the_root_of_nested_tables_is_not_taken_for_cr3_s(capsys: pytest.CaptureFixture[str]) -> None:
    """A hypervisor's register has it, and so it is no address space of the guest's."""
    assert main(["find-roots", "-s", str(ROOT / "fixtures/captures/nested.core"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["result"]["roots"] == []
