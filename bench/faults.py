"""Faults serviced a second, live: `mmu service` against the plain loop of baseline.py, on the same guest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gdbtools.cli import gdbinit
from gdbtools.repl.children import DIES_WITH_PARENT, Qemu, find_gdb

ROOT = Path(__file__).resolve().parent.parent
GUEST = ROOT / "fixtures/guests/access_flag/access_flag.elf"
BASELINE = Path(__file__).with_name("baseline.py")
ROUNDS = 10
REPEATS = 3


def in_gdb(commands: Sequence[str]) -> str:
    """Run the guest up to its first scan, with more rounds than the demo has, then `commands`; give what is printed."""
    with Qemu(GUEST) as qemu:
        before = (
            f"file {GUEST}",
            f"target remote {qemu.gdbstub}",
            f"set variable *(unsigned long *)&rounds = {ROUNDS}",
            "hbreak clear_access_flags",
            "continue",
            "delete",
        )
        words = [*DIES_WITH_PARENT, find_gdb(), "-nx", "-batch"]
        for command in (*before, *commands):
            words += ["-ex", command]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def serviced() -> tuple[int, float]:
    printed = in_gdb((f"source {gdbinit()}", "mmu service --json"))
    answer = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))["result"]
    return answer["faults"], answer["seconds"]


def plain() -> tuple[int, float]:
    printed = in_gdb((f"source {BASELINE}",))
    _, faults, seconds = next(line for line in printed.splitlines() if line.startswith("baseline")).split()
    return int(faults), float(seconds)


def report() -> None:
    print(f"faults serviced, live, 1 CPU, best of {REPEATS}:")
    rates = {}
    for name, measure in (("plain loop", plain), ("mmu service", serviced)):
        faults, seconds = min((measure() for _ in range(REPEATS)), key=lambda measured: measured[1])
        rates[name] = faults / seconds
        print(f"  {name:12} {faults:6} faults in {seconds:6.2f} s  {rates[name]:7.0f} a second")
    print(f"  ratio        mmu service is {rates['mmu service'] / rates['plain loop']:.2f} times the plain loop")
