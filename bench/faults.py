"""Faults serviced a second, live: `mmu service` against the plain loop of baseline.py, on the same guest, in turns."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench.bare import serial
from gdbtools.children.processes import DIES_WITH_PARENT, Qemu, find_gdb
from gdbtools.places import gdbinit

ROOT = Path(__file__).resolve().parent.parent
GUEST = ROOT / "fixtures/guests/storm/storm.elf"
BASELINE = Path(__file__).with_name("baseline.py")
ROUNDS = 1
REPEATS = 3
PROMISED = {"mmu service": 2, "mmu service --around 16": 8}
"""How many times the plain loop each is to be at least."""


def in_gdb(commands: Sequence[str], cpus: int) -> str:
    """Run the guest to its start, then `commands`; give what is printed."""
    with Qemu(GUEST, cpus) as qemu:
        before = (
            f"file {GUEST}",
            f"target remote {qemu.gdbstub}",
            "hbreak cpu_main",
            "continue",
            f"set variable *(unsigned long *)&rounds = {ROUNDS}",
            "delete",
        )
        words = [*DIES_WITH_PARENT, find_gdb(), "-nx", "-batch"]
        for command in (*before, *commands):
            words += ["-ex", command]
        return subprocess.run(words, check=False, capture_output=True, text=True).stdout


def serviced(options: str, cpus: int) -> tuple[int, float]:
    """Return how many faults the guest was spared, by repair or because a neighbour's had set their flag before."""
    printed = in_gdb((f"source {gdbinit()}", f"mmu service {options} --json"), cpus)
    answer = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))["result"]
    return answer["faults"] + answer["around"], answer["seconds"]


def plain(cpus: int) -> tuple[int, float]:
    printed = in_gdb((f"source {BASELINE}",), cpus)
    _, faults, seconds = next(line for line in printed.splitlines() if line.startswith("baseline")).split()
    return int(faults), float(seconds)


def report(smallest: bool = False) -> None:
    measures: dict[str, Callable[[int], tuple[int, float]]] = {
        "plain loop": plain,
        "mmu service": lambda cpus: serviced("", cpus),
        "mmu service --around 16": lambda cpus: serviced("--around 16", cpus),
    }
    for cpus in (1,) if smallest else (1, 4):
        # The bare loop knows one CPU.
        bare = {"bare protocol, same packets": lambda _: serial(GUEST, ROUNDS)} if cpus == 1 else {}
        show(cpus, {**measures, **bare}, 1 if smallest else REPEATS)


def show(cpus: int, measures: dict[str, Callable[[int], tuple[int, float]]], repeats: int) -> None:
    """Measure in turns, so that what else the machine does falls on all alike, and compare within each turn."""
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            faults, seconds = measure(cpus)
            rates[name].append(faults / seconds)
    print(f"access-flag faults settled a second, live, {cpus} CPUs, {repeats} turns:")
    print("  the plain loop and the bare protocol read and write through the gdbstub, the service past it where it may")
    for name, found in rates.items():
        ratios = [rate / base for rate, base in zip(found, rates["plain loop"], strict=True)]
        promised = f", promised {PROMISED[name]}" if name in PROMISED else ""
        print(
            f"  {name:27} {median(found):7.0f}  {median(ratios):5.1f} times the plain loop "
            f"({min(ratios):.1f} to {max(ratios):.1f}){promised}"
        )
