"""`map` of a Linux kernel half for riscv64 beside gdb-pt-dump, in one GDB: of the same stopped guest, in turns.

gdb-pt-dump is not ours and not fetched: GDBTOOLS_RIVALS is a folder that has it as `gdb-pt-dump`.  pwndbg, of 2024, has
it read the tables of a kernel for riscv64, so that its `vmmap` takes longer than that.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

from gdbtools.children.processes import DIES_WITH_PARENT, find_gdb
from gdbtools.errors import Unavailable
from gdbtools.places import gdbinit
from tests.guests.riscv.linux import booted

IN_GDB = Path(__file__).with_name("rival_in_gdb.py")
HOME = "https://github.com/martinradev/gdb-pt-dump"
MEMORY_BYTES = 512 << 20
TARGETS = {"map, gdbstub": 4, "map, RAM's file": 10}
"""How many times as fast each has to be."""


def report(smallest: bool = False) -> None:
    folder = Path(os.environ.get("GDBTOOLS_RIVALS", "")) / "gdb-pt-dump"
    if "GDBTOOLS_RIVALS" not in os.environ or not (folder / "pt_gdb").is_dir():
        raise Unavailable(f"GDBTOOLS_RIVALS names no folder with a checkout of gdb-pt-dump ({HOME}) in it")
    for scheme in ("Sv39",) if smallest else ("Sv39", "Sv48", "Sv57"):
        with replace(booted(scheme), memory_bytes=MEMORY_BYTES) as guest:
            said = _in_gdb(guest.gdbstub, folder)
        found = {
            name: (float(seconds), int(size)) for name, seconds, size in re.findall(r"(?m)^(.+): (\S+) (\d+)$", said)
        }
        theirs, mapped = found["gdb-pt-dump"]
        (through,) = re.findall(r"(?m)^through (.+)$", said)
        print(f"map of Linux 6.12 for riscv64, {scheme}, {mapped >> 20} MB mapped, RAM read through {through}:")
        for name, wanted in TARGETS.items():
            seconds, size = found[name]
            assert size == mapped, f"{name}: {size} bytes are mapped, and {mapped} by gdb-pt-dump"
            _tell(name, seconds, f"gdb-pt-dump takes {theirs / seconds:5.1f} times that (target {wanted})")
        transfer, size = found["bare transfer"]
        times = f"map takes {found['map, gdbstub'][0] / transfer:.2f} times that"
        _tell("bare transfer", transfer, f"{size >> 10} KB of tables through the gdbstub; {times}")
        _tell("gdb-pt-dump", theirs, "which never reads through the gdbstub, but QEMU's /proc/PID/mem")
        ours, pt = found["mmu map"][0], found["pt"][0]
        _tell("mmu map", ours, f"with its text; `pt` takes {pt / ours:5.1f} times that")


def _tell(name: str, seconds: float, text: str) -> None:
    print(f"  {name:16} {1000 * seconds:7.1f} ms, {text}")


def _in_gdb(gdbstub: Path, folder: Path) -> str:
    words = [*DIES_WITH_PARENT, find_gdb(), "-nx", "-batch"]
    for command in (f"target remote {gdbstub}", f"source {gdbinit()}", f"source {IN_GDB}"):
        words += ["-ex", command]
    environment = {**os.environ, "BENCH_RIVAL": str(folder)}
    run = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, timeout=600)
    if "through " not in run.stdout:
        raise Unavailable(f"gdb-pt-dump could not be measured: {run.stderr.strip().splitlines()[-1:]}")
    return run.stdout
