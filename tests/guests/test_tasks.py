"""What a stock kernel's own memory says of its tasks, against what the kernel says of them: /proc, without symbols.

A name in parentheses in /proc/PID/stat may be longer than the one in the task: that of a kernel's worker has what it
works on behind it, and is left out.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gdbtools.addresses import PA, VA
from gdbtools.analysis.own_kernel import own_kernel
from gdbtools.arch.model import Read
from gdbtools.cli import main
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.dumps.extents import data_of
from gdbtools.machine.sources import open_source
from gdbtools.systems.linux.kernel.own import OwnLinux
from gdbtools.systems.tasks import OwnKernel
from gdbtools.units import PAGE_BYTES
from tests.guests.linux import FRAME, PRESENT, LinuxGuest, areas, pagemap
from tests.guests.packages import kernel
from tests.guests.riscv.linux import RiscvLinux
from tests.guests.x86.linux import X86Linux

pytestmark = pytest.mark.guest

KERNEL_THREADS = 2
"""kthreadd, whose children are all threads of the kernel's own."""
REGISTERS = {
    "arm64": ("TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "SCTLR_EL1", "MAIR_EL1", "ID_AA64MMFR0_EL1", "cpsr"),
    "amd64": ("cr0", "cr3", "cr4", "efer", "eflags", "cs"),
    "riscv64": ("satp", "mstatus", "priv"),
}
ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64", "riscv64": "riscv64"}
USER = {"arm64": "EL0", "amd64": "user", "riscv64": "U"}
PAGES = 1000
ROUNDS = 2000 if os.environ.get("GDBTOOLS_FULL") == "1" else 60
MOST_READS = 50_000


@dataclass(frozen=True)
class Stock:
    """A kernel of Debian's, on a CPU."""

    guest: type[LinuxGuest]
    kernel: str
    cpu: str
    page_bytes: int = 4096


STOCK = (
    Stock(LinuxGuest, "6.1-4k", "cortex-a57"),
    Stock(LinuxGuest, "6.12-4k", "max"),
    Stock(LinuxGuest, "6.12-16k", "max", 16384),
    Stock(X86Linux, "6.1-amd64", "qemu64"),
    Stock(RiscvLinux, "6.12-riscv64", "rv64"),
)
"""The first in every run, all in a full one."""


@dataclass
class Said:
    """A guest's memory and registers as files, and what the guest said just before of itself."""

    stock: Stock
    source: list[str]
    symbols: list[tuple[int, str, str]]
    processes: dict[int, tuple[str, int]]
    maps: dict[int, list[str]]
    frames: dict[int, dict[int, int]] = field(default_factory=dict)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(each, id=each.kernel, marks=() if not at else pytest.mark.full) for at, each in enumerate(STOCK)
    ],
)
def said(request: pytest.FixtureRequest, qemu: str, tmp_path_factory: pytest.TempPathFactory) -> Said:
    stock: Stock = request.param
    folder = tmp_path_factory.mktemp("tasks")
    try:
        started = stock.guest(kernel(stock.kernel), stock.cpu)
    except Unavailable as missing:
        pytest.skip(str(missing))
    with (
        started as guest,
        guest.process("exec sleep 1000") as sleeps,
        guest.process("exec tail -f /bin/busybox > /dev/null") as follows,
    ):
        pids = (1, sleeps, follows)
        settled = f"until grep -q S /proc/{follows}/stat; do :; done"
        guest.run(settled)
        text = guest.run("cat /proc/kallsyms", 240)
        rows = [line.split() for line in text.splitlines() if "\t[" not in line]
        found = Said(
            stock,
            [],
            sorted((int(at, 16), kind, name) for at, kind, name in rows),
            dict(map(_process, guest.run("cat /proc/[0-9]*/stat").splitlines())),
            {pid: guest.run(f"cat /proc/{pid}/maps").splitlines() for pid in pids},
        )
        # The first is the shell that is asked, whose pages move with each answer.
        for pid in (sleeps, follows):
            each = [pagemap(guest, pid, area, stock.page_bytes) for area in areas(guest, pid) if area.name != "[vvar]"]
            words = [(va, word) for area in each for va, word in area.items() if word & PRESENT]
            found.frames[pid] = {va: (word & FRAME) * stock.page_bytes for va, word in words[:PAGES]}
        found.source = _saved(guest, folder, stock)
    return found


def _process(line: str) -> tuple[int, tuple[str, int]]:
    """Return the number, the name and the parent's number of a line of /proc/PID/stat."""
    matched = re.fullmatch(r"(\d+) \((.*)\) \S (\d+) .*", line)
    assert matched is not None, line
    return int(matched[1]), (matched[2], int(matched[3]))


def _saved(guest: LinuxGuest, folder: Path, stock: Stock) -> list[str]:
    """Save a guest's RAM and the registers of its first CPU, and return the words that ask them."""
    guest.stop()
    values = guest.registers()
    (folder / "ram").write_bytes(guest.ram[:])
    guest.cont()
    wanted = REGISTERS[stock.guest.architecture]
    (folder / "registers.json").write_text(json.dumps({name: hex(values[name]) for name in wanted if name in values}))
    return ["-s", f"{folder}/ram@{stock.guest.ram_base:#x}", "--registers", str(folder / "registers.json")]


def ask(capsys: pytest.CaptureFixture[str], said: Said, *words: str) -> Any:
    main([*words, *said.source, "--json"])
    out, err = capsys.readouterr()
    assert not err, err
    return json.loads(out.splitlines()[0])["result"]


def own(said: Said) -> OwnKernel:
    machine = open_source(said.source[1], said.source[3])
    return own_kernel(machine, data_of(machine.memory)).own


def test_every_symbol_is_where_the_kernel_has_it(said: Said) -> None:
    found = own(said)
    assert isinstance(found, OwnLinux)
    symbols = found.kernel.symbols
    assert sorted(zip(symbols.addresses, symbols.kinds, symbols.names, strict=True)) == said.symbols
    assert found.symbol(VA(symbols.address("_stext") or 0)) in {
        name for at, _, name in said.symbols if at == symbols.address("_stext")
    }


def test_the_tasks_are_those_of_ps(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    found = {each["pid"]: each for each in ask(capsys, said, "tasks", "--all")["tasks"]}
    # What made the list of processes is one of them, and gone.
    gone = {pid for pid, (name, _) in said.processes.items() if name == "cat"}
    assert found.keys() == said.processes.keys() - gone
    for pid, (name, parent) in said.processes.items():
        if pid in gone:
            continue
        own = parent == KERNEL_THREADS or pid == KERNEL_THREADS
        assert found[pid]["parent"] == parent
        assert (found[pid]["root"] is None) == own
        assert name.startswith(found[pid]["name"]) if own else found[pid]["name"] == name
    assert [each["pid"] for each in ask(capsys, said, "tasks")["tasks"]] == sorted(said.maps)


def test_an_image_of_memory_needs_no_registers(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    bare = replace(said, source=[*said.source[:2], "--arch", ARCHITECTURES[said.stock.guest.architecture]])
    assert ask(capsys, bare, "tasks") == ask(capsys, said, "tasks")
    pid, frames = next(iter(said.frames.items()))
    address, frame = next(iter(frames.items()))
    assert int(ask(capsys, bare, "walk", hex(address), "--task", str(pid))["output"], 16) == frame


def test_another_architecture_and_another_base_are_told(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    own_name = ARCHITECTURES[said.stock.guest.architecture]
    other = next(name for name in ARCHITECTURES.values() if name != own_name)
    assert main(["tasks", *said.source[:2], "--arch", other]) == 3
    assert capsys.readouterr().err.endswith(f": --arch {own_name}\n")
    path, _, base = said.source[1].rpartition("@")
    assert main(["tasks", "-s", f"{path}@{int(base, 16) + (1 << 32):#x}", "--arch", own_name]) == 3
    assert capsys.readouterr().err.endswith("is this where the image begins?\n")


def test_a_task_is_named_by_what_one_has(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    for words, expected in (
        (("tasks", "sleeep"), "did you mean sleep?"),
        (("tasks", "kthreadd"), "a thread of the kernel's own"),
        (("walk", "0", "--task", "sleep", "--root", "0x1000"), "leave one out"),
    ):
        assert main([*words, *said.source]) in (2, 3)
        err = capsys.readouterr().err
        assert expected in err
        assert len(err.splitlines()) == 1


def test_each_area_is_that_of_proc_maps(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    for pid, lines in said.maps.items():
        found = ask(capsys, said, "tasks", str(pid))["areas"]
        mine = [
            f"{int(each['first'], 16):08x}-{int(each['last'], 16) + 1:08x} {each['rights']} "
            f"{int(each['offset'], 16):08x} {each['what']}".rstrip()
            for each in found
        ]
        # The device and the inode of a file are left out.
        assert mine == [re.sub(r"^(\S+ \S+ \S+) \S+ \S+ *", r"\1 ", line).rstrip() for line in lines]


def test_pagemap_has_the_frames_that_a_tasks_tables_lead_to(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    for pid, frames in said.frames.items():
        assert len(frames) > 30
        main(["walk", *map(hex, frames), "--task", str(pid), *said.source, "--json"])
        out, err = capsys.readouterr()
        assert not err, err
        answers = [json.loads(line)["result"] for line in out.splitlines()]
        assert {int(each["input"], 16): int(each["output"], 16) for each in answers} == frames


def test_an_address_is_named_by_the_area_or_the_region_that_it_is_in(
    capsys: pytest.CaptureFixture[str], said: Said
) -> None:
    pid = next(reversed(said.maps))
    first, end = (int(each, 16) for each in said.maps[pid][0].split()[0].split("-"))
    place = ask(capsys, said, "walk", hex(first), "--task", str(pid))["place"]
    assert (place["task"]["pid"], place["area"]["what"]) == (pid, "/bin/busybox")
    assert (int(place["area"]["first"], 16), int(place["area"]["last"], 16) + 1) == (first, end)
    if said.stock.guest.architecture == "arm64":
        tagged = ask(capsys, said, "walk", hex(first | 0x5A << 56), "--task", str(pid))["place"]
        assert tagged["area"] == place["area"]
    wild = ask(capsys, said, "walk", "0x1000", "--task", str(pid))["place"]
    assert (wild["task"]["pid"], wild["area"], wild["region"]) == (pid, None, None)
    code = next(at for at, _, name in said.symbols if name == "vfs_read")
    place = ask(capsys, said, "walk", hex(code), "--names")["place"]
    assert (place["region"], place["symbol"], place["task"]) == ("kernel code", "vfs_read", None)
    # The root of a process is reached by the kernel through its linear map.
    at = next(task.root for task in own(said).tasks() if task.root is not None)
    assert ask(capsys, said, "walk", hex(at), "--names")["place"]["region"] == "linear map"


def test_an_address_of_neither_is_said_to_be_of_none(capsys: pytest.CaptureFixture[str], said: Said) -> None:
    """In the kernel's half no process is asked, and where nothing is mapped of a region, that is said."""
    pid = next(reversed(said.maps))
    linear = next(each for each in own(said).regions() if each.name == "linear map")
    main(["walk", hex(linear.end - said.stock.page_bytes), "--task", str(pid), *said.source])
    assert "of which the kernel's tables map nothing here" in " ".join(capsys.readouterr().out.split())
    regions = own(said).regions()
    bounds = sorted({at for each in regions for at in (each.first - 1, each.end) if at < 1 << 64})
    between = [at for at in bounds if not any(each.first <= at < each.end for each in regions)]
    places = [ask(capsys, said, "walk", hex(at), "--task", str(pid)).get("place") for at in between]
    # What lies outside the range of the tables is at no place at all.
    inside = [place for place in places if place is not None]
    assert inside
    assert all(place == {"region": None, "symbol": None, "task": None, "area": None} for place in inside)


def test_what_the_tables_refuse_is_told_by_what_the_area_permits(
    capsys: pytest.CaptureFixture[str], said: Said
) -> None:
    pid = next(reversed(said.maps))
    text = next(line.split("-")[0] for line in said.maps[pid] if " r-xp " in line)
    main(
        [
            "walk",
            "0x" + text,
            "--task",
            str(pid),
            "--access",
            "write",
            "--privilege",
            USER[said.stock.guest.architecture],
            *said.source,
        ]
    )
    assert "does not permit this either (r-xp)" in " ".join(capsys.readouterr().out.split())
    main(["walk", "0x1000", "--task", str(pid), *said.source])
    assert "the access is outside every area" in " ".join(capsys.readouterr().out.split())


def test_whatever_is_in_the_structures_is_read_or_refused(said: Said) -> None:
    """Words of them are overwritten with others: loops, lists that lie, pointers to nowhere."""
    machine = open_source(said.source[1], said.source[3])
    kernel = own_kernel(machine, data_of(machine.memory))
    seen = dict[int, bytes]()

    def noted(pa: PA, size_bytes: int) -> bytes:
        if size_bytes == PAGE_BYTES:
            seen[pa] = machine.memory.read(pa, size_bytes)
        return machine.memory.read(pa, size_bytes)

    whole = everything(kernel.at(noted).own)
    assert whole > 40
    draw, pages = random.Random(19), sorted(seen)
    words = [int.from_bytes(page[at : at + 8], "little") for page in seen.values() for at in range(0, PAGE_BYTES, 8)]
    pointers = [word for word in words if word >> 40]
    outcomes = set[bool]()
    for _ in range(ROUNDS):
        changed = dict[int, bytearray]()
        for _ in range(draw.choice((1, 4, 64))):
            page = draw.choice(pages)
            at = draw.randrange(0, PAGE_BYTES, 8)
            word = draw.choice((0, draw.choice(pointers), draw.getrandbits(64), page + at, draw.choice(pointers) ^ 1))
            changed.setdefault(page, bytearray(seen[page]))[at : at + 8] = word.to_bytes(8, "little")
        try:
            outcomes.add(everything(kernel.at(Lying(machine.memory.read, changed)).own) == whole)
        except (Unavailable, Unreadable):
            outcomes.add(False)
    assert outcomes == {True, False}


@dataclass
class Lying:
    """Memory of which some pages are as somebody has overwritten them; nobody reads it without end."""

    under: Read
    changed: Mapping[int, bytes]
    reads: int = 0

    def __call__(self, pa: PA, size_bytes: int) -> bytes:
        self.reads += 1
        assert self.reads < MOST_READS
        whole = pa in self.changed and size_bytes == PAGE_BYTES
        return bytes(self.changed[pa]) if whole else self.under(pa, size_bytes)


def everything(kernel: OwnKernel) -> int:
    """Return how many tasks and areas are read."""
    found = list(kernel.tasks())
    return len(found) + sum(len(list(kernel.areas(task))) for task in found)
