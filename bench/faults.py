"""Faults serviced a second, live: `mmu service` against the plain loop of baseline.py, on the same guest."""

from __future__ import annotations

import json
from pathlib import Path

from gdbtools.cli import gdbinit
from gdbtools.repl.children import Qemu
from gdbtools.repl.mi import Gdb

ROOT = Path(__file__).resolve().parent.parent
GUEST = ROOT / "fixtures/guests/access_flag/access_flag.elf"
ROUNDS = 10
SECONDS = 300


def at_the_scanner(qemu: Qemu, gdb: Gdb) -> None:
    """Run the guest up to its first scan, with more rounds than the demo's two."""
    for command in (
        f"file {GUEST}",
        f"target remote {qemu.gdbstub}",
        f"set variable *(unsigned long *)&rounds = {ROUNDS}",
        "hbreak clear_access_flags",
        "continue",
        "delete",
    ):
        gdb.run(command)


def serviced() -> tuple[int, float]:
    with Qemu(GUEST) as qemu, Gdb(init=gdbinit()) as gdb:
        at_the_scanner(qemu, gdb)
        answer = json.loads(gdb.run("mmu service --json", SECONDS).text.splitlines()[-1])["result"]
        return answer["faults"], answer["seconds"]


def plain() -> tuple[int, float]:
    with Qemu(GUEST) as qemu, Gdb() as gdb:
        at_the_scanner(qemu, gdb)
        text = gdb.run(f"source {Path(__file__).with_name('baseline.py')}", SECONDS).text
        _, faults, seconds = next(line for line in text.splitlines() if line.startswith("baseline")).split()
        return int(faults), float(seconds)


def report() -> None:
    print("faults serviced, live, 1 CPU:")
    rates = {}
    for name, measure in (("plain loop", plain), ("mmu service", serviced)):
        faults, seconds = measure()
        rates[name] = faults / seconds
        print(f"  {name:12} {faults:6} faults in {seconds:6.2f} s  {rates[name]:7.0f} a second")
    print(f"  ratio        mmu service is {rates['mmu service'] / rates['plain loop']:.2f} times the plain loop")
