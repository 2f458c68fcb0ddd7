"""`map` of a whole kernel half, offline and over the gdbstub: what it costs beside reading the table bytes once."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gdbtools.analysis.mappings import mappings
from gdbtools.arch.model import Read, Run
from gdbtools.arch.runs import Runs
from gdbtools.arch.scan import Scanner
from gdbtools.children.processes import DIES_WITH_PARENT, Qemu, find_gdb
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source
from gdbtools.places import gdbinit

RAM = 0x4400_0000
"""Where the tables lie: the live guest's own image is below."""
TABLE = 1 << 12
KERNEL = 0xFFFF << 48
"""Where the upper half begins."""
ENTRIES = 512
GUEST = Path(__file__).resolve().parent.parent / "fixtures/guests/access_flag/access_flag.elf"
IN_GDB = Path(__file__).with_name("map_in_gdb.py")
LEAF = 0x0060_0000_0000_0713
"""A kernel's page: UXN, PXN, AF, Inner Shareable, read/write, memory attribute 4."""


@dataclass(frozen=True)
class Half:
    """A kernel half of 4 KiB pages: how many last-level entries, and after how many of them the run ends."""

    entries: int
    run: int

    @property
    def last_level_tables(self) -> int:
        return self.entries // ENTRIES


def image(half: Half) -> bytes:
    """Lay the tables of a half from RAM on: a root, level 1, level 2 tables, and the last level."""
    lasts = half.last_level_tables
    middles = -(-lasts // ENTRIES)
    ram = bytearray((2 + middles + lasts) * TABLE)

    def put(table: int, index: int, value: int) -> None:
        at = table * TABLE + index * 8
        ram[at : at + 8] = value.to_bytes(8, "little")

    put(0, 256, RAM + TABLE | 3)
    for middle in range(middles):
        put(1, middle, RAM + (2 + middle) * TABLE | 3)
    for last in range(lasts):
        put(2 + last // ENTRIES, last % ENTRIES, RAM + (2 + middles + last) * TABLE | 3)
    page = 0
    for last in range(lasts):
        for index in range(ENTRIES):
            # A gap in the output after each run, so that it does not go on.
            output = 0x8000_0000 + (page + page // half.run) * TABLE
            put(2 + middles + last, index, output | LEAF)
            page += 1
    return bytes(ram)


def registers() -> dict[str, str]:
    values = {
        "SCTLR_EL1": 0x30D5_D99D, "TCR_EL1": 0x5_B510_3510, "TTBR0_EL1": 0x7F00_0000, "TTBR1_EL1": RAM,
        "MAIR_EL1": 0xFF_440C_0400, "ID_AA64MMFR0_EL1": 0x1124, "ID_AA64MMFR1_EL1": 0, "ID_AA64MMFR2_EL1": 0,
        "HCR_EL2": 0, "cpsr": 5,
    }  # fmt: skip
    values["TCR_EL1"] |= 1 << 7  # EPD0: only the kernel's half
    return {name: hex(value) for name, value in values.items()}


def opened(half: Half, folder: Path) -> Machine:
    (folder / "ram.bin").write_bytes(image(half))
    (folder / "registers.json").write_text(json.dumps(registers()))
    return open_source(f"{folder}/ram.bin@{RAM:#x}", folder / "registers.json")


def timed(task: Callable[[], object], rounds: int = 5) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        task()
        best = min(best, time.perf_counter() - started)
    return best


def runs_of(machine: Machine) -> list[Run]:
    found = mappings(machine.architecture, machine.register, machine.memory.read)
    return [each for each in found if isinstance(each, Run)]


def columns_of(machine: Machine) -> list[Runs]:
    """Scan without making an object of each run."""
    regimes = machine.architecture.regimes(machine.register)
    return [Scanner(regime, machine.memory.read).runs() for regime in regimes if regime.levels]


def read_once(machine: Machine, tables: int) -> None:
    for table in range(tables):
        machine.memory.read(RAM + table * TABLE, TABLE)


def plain_walk(read: Read, root: int, base: int) -> int:
    """What a plain Python walker does with every table: unpack, test each entry, collect address and attributes."""
    leaves = []

    def descend(table: int, level: int, base: int) -> None:
        for index, entry in enumerate(struct.unpack("<512Q", read(table, TABLE))):
            if not entry & 1:
                continue
            at = base + (index << 12 + 9 * (3 - level))
            if level < 3 and entry & 2:
                descend(entry & 0xFFFF_FFFF_F000, level + 1, at)
            else:
                leaves.append((at, entry & 0xFFFF_FFFF_F000, entry & 0xFFF0_0000_0000_0FFF))

    descend(root & 0xFFFF_FFFF_F000, 0, base)
    return len(leaves)


def offline(half: Half) -> None:
    with tempfile.TemporaryDirectory(prefix="gdbtools-bench-") as name:
        machine = opened(half, Path(name))
        found = runs_of(machine)
        assert sum(run.size_bytes for run in found) == half.entries * TABLE
        tables = (Path(name) / "ram.bin").stat().st_size // TABLE
        ours = timed(lambda: runs_of(machine))
        bare = timed(lambda: read_once(machine, tables))
        columns = timed(lambda: columns_of(machine))
        plain = timed(lambda: plain_walk(machine.memory.read, RAM, KERNEL), rounds=2)
        print(
            f"  {half.entries:9} {len(found):8} {tables:6} {1000 * ours:8.1f} ms {1000 * columns:8.1f} ms "
            f"{1000 * bare:8.1f} ms {1000 * plain:8.1f} ms {1e6 * ours / tables:8.1f} us {plain / ours:7.2f}x "
            f"{plain / columns:7.2f}x"
        )


def live(half: Half, past_stub: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="gdbtools-bench-") as name:
        folder = Path(name)
        opened(half, folder)
        loader = ("-device", f"loader,file={folder}/ram.bin,addr={RAM:#x},force-raw=on")
        with Qemu(GUEST, extra=loader) as qemu:
            found = in_gdb(qemu.gdbstub, {"BENCH_REGISTERS": str(folder / "registers.json")}, past_stub)
    counts = f"{half.entries:9} {found.count:8} {found.tables:6}"
    times = f"{1000 * found.asked:8.1f} ms {1000 * found.bare:8.1f} ms {found.asked / found.bare:7.2f}x"
    print(f"  {counts} {times}  {found.through}")


@dataclass(frozen=True)
class Live:
    """What map_in_gdb.py printed: seconds of what was asked and of the bare transfer, and what each of them counted."""

    asked: float
    bare: float
    count: int
    tables: int
    through: str


def in_gdb(gdbstub: Path, environment: Mapping[str, str], past_stub: bool, asked: str = "map") -> Live:
    """Ask what a guest maps, in GDB, from its RAM's file if that can be had and may be used."""
    words = [*DIES_WITH_PARENT, find_gdb(), "-nx", "-batch"]
    for command in (f"target remote {gdbstub}", f"source {gdbinit()}", f"source {IN_GDB}"):
        words += ["-ex", command]
    run = subprocess.run(
        words,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "BENCH_PAST_STUB": str(int(past_stub)), "BENCH_ASKED": asked},
    )
    told = {
        name: (float(seconds), int(count))
        for name, seconds, count in re.findall(r"(asked|bare) (\S+) (\d+)", run.stdout)
    }
    (through,) = re.findall(r"(?m)^through (.+)$", run.stdout)
    return Live(told["asked"][0], told["bare"][0], told["asked"][1], told["bare"][1], through)


def report(smallest: bool = False) -> None:
    sizes, runs = ((4096,), (64,)) if smallest else ((131_072, 1_048_576), (1 << 30, 64))
    print("map of a kernel half of 4 KiB pages, offline, read through a mapped image:")
    print(
        "    entries     runs tables         map     columns   read once       plain   per table  plain/map  /columns"
    )
    for entries in sizes:
        for run in (*runs, 8, 1):
            offline(Half(entries, run))
    print("the same inside GDB, live:")
    print("    entries     runs tables         map   read once  map/read  read through")
    for past_stub in (True, False):
        for entries in sizes:
            for run in runs:
                live(Half(entries, run), past_stub)
