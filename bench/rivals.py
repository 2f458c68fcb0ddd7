"""`map` of a Linux kernel beside what others have for it: of the same stopped guest, in one GDB and in turns.

They are not ours and not fetched: GDBTOOLS_RIVALS is a folder that has gdb-pt-dump as `gdb-pt-dump` and, where they
are to be measured too, each in a GDB of its own, bata24's GEF as `gef` and pwndbg as `pwndbg`, whose packages are
where it looks for them itself: in its `.venv`, or in that of PWNDBG_VENV_PATH.  pwndbg, of 2024, has gdb-pt-dump read
the tables; with `kernel-vmmap monitor`, and in hugsy's GEF always, it is QEMU's own `info mem` of x86-64 instead:
ranges without physical addresses, which is asked for here as they ask.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gdbtools.children.processes import DIES_WITH_PARENT, find_gdb
from gdbtools.errors import Unavailable
from gdbtools.places import gdbinit
from tests.guests.linux import LinuxGuest
from tests.guests.packages import kernel
from tests.guests.riscv import linux as riscv
from tests.guests.x86 import linux as x86

IN_GDB, GEF_IN_GDB, PWNDBG_IN_GDB = (
    Path(__file__).with_name(f"{name}_in_gdb.py") for name in ("rival", "gef", "pwndbg")
)
HOME = "https://github.com/martinradev/gdb-pt-dump"
MEMORY_BYTES = 512 << 20
TARGETS = {"map, gdbstub": 4, "map, RAM's file": 10}
"""How many times as fast each has to be."""
RISCV = dict.fromkeys(("Sv39", "Sv48", "Sv57"), ("Linux 6.12 for riscv64", riscv.booted))
ARM = {"4 KB pages": ("Linux 6.1 for arm64", lambda _: LinuxGuest(kernel("6.1-4k")))}
X86 = dict.fromkeys(("4-level", "5-level", "4-level, PTI"), ("Linux 6.1 for x86-64", x86.booted))
OTHERS = ("GEF pagewalk", "pwndbg vmmap", "info mem")
"""Whose whole command is timed."""


def report(smallest: bool = False) -> None:
    folder = Path(os.environ.get("GDBTOOLS_RIVALS", ""))
    if "GDBTOOLS_RIVALS" not in os.environ or not (folder / "gdb-pt-dump/pt_gdb").is_dir():
        raise Unavailable(f"GDBTOOLS_RIVALS names no folder with a checkout of gdb-pt-dump ({HOME}) in it")
    for kernels in (ARM, RISCV, X86):
        for shape, (name, booted) in list(kernels.items())[: 1 if smallest else None]:
            guest: LinuxGuest = booted(shape)
            with replace(guest, memory_bytes=MEMORY_BYTES) as started:
                said = _in_gdb(started.gdbstub, folder)
                if kernels is X86 and (folder / "gef/gef.py").exists():
                    said += _with_gef(started.gdbstub, folder)
                if kernels is X86 and (folder / "pwndbg/gdbinit.py").exists():
                    said += _with_pwndbg(started.gdbstub, folder)
            _report(f"{name}, {shape}", said)


def _report(title: str, said: str) -> None:
    found = {name: (float(seconds), int(size)) for name, seconds, size in re.findall(r"(?m)^(.+): (\S+) (\d+)$", said)}
    theirs, mapped = found["gdb-pt-dump"]
    (through,) = re.findall(r"(?m)^through (.+)$", said)
    print(f"map of {title}, {mapped >> 20} MB mapped, RAM read through {through}:")
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
    _others(found, ours, mapped)


def _others(found: Mapping[str, tuple[float, int]], ours: float, mapped: int) -> None:
    for name in OTHERS:
        if name in found:
            seconds, size = found[name]
            amount = "the same" if size == mapped else f"{size >> 20} MB by its account"
            _tell(name, seconds, f"{amount} mapped; {seconds / ours:5.1f} times what `mmu map` takes")


def _tell(name: str, seconds: float, text: str) -> None:
    print(f"  {name:16} {1000 * seconds:7.1f} ms, {text}")


def _in_gdb(gdbstub: Path, folder: Path) -> str:
    commands = (f"target remote {gdbstub}", f"source {gdbinit()}", f"source {IN_GDB}")
    return _said_by_gdb("gdb-pt-dump", "through ", commands, {"BENCH_RIVAL": str(folder / "gdb-pt-dump")})


def _with_gef(gdbstub: Path, folder: Path) -> str:
    """Have GEF, which asks what the architecture is when it is sourced, measured."""
    before = ("set architecture i386:x86-64", f"source {folder / 'gef/gef.py'}")
    return _said_by_gdb("GEF", "GEF pagewalk: ", (*before, f"target remote {gdbstub}", f"source {GEF_IN_GDB}"), {})


def _with_pwndbg(gdbstub: Path, folder: Path) -> str:
    """Have pwndbg measured, which is told of the architecture before it is sourced as GEF is."""
    before = ("set architecture i386:x86-64", f"source {folder / 'pwndbg/gdbinit.py'}")
    commands = (*before, f"target remote {gdbstub}", f"source {PWNDBG_IN_GDB}")
    return _said_by_gdb("pwndbg", "pwndbg vmmap: ", commands, {"PYTHONPATH": str(folder / "gdb-pt-dump")})


def _said_by_gdb(whose: str, told: str, commands: Sequence[str], environment: Mapping[str, str]) -> str:
    words = [*DIES_WITH_PARENT, find_gdb(), "-nx", "-batch"]
    words += [word for command in commands for word in ("-ex", command)]
    given = {**os.environ, **environment}
    run = subprocess.run(words, check=False, capture_output=True, text=True, env=given, timeout=600)
    if told not in run.stdout:
        raise Unavailable(f"{whose} could not be measured: {run.stderr.strip().splitlines()[-1:]}")
    return run.stdout
