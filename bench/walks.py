"""Walks a second offline, on the OSv capture: ours, against a bare loop that decodes nothing and keeps no evidence."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from gdbtools.arch.model import Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from gdbtools.machine.sources import open_source

CAPTURE = Path(__file__).resolve().parent.parent / "fixtures/captures/osv-1131.core"
OUTPUT = 0x0000FFFFFFFFF000


def bare_walk(root: int, address: int, read: Callable[[int, int], bytes]) -> int:
    table = root & OUTPUT
    for shift in (39, 30, 21, 12):
        entry = int.from_bytes(read(table + (address >> shift & 0x1FF) * 8, 8), "little")
        if not entry & 1:
            return 0
        if shift == 12 or not entry & 2:
            return entry & OUTPUT & -(1 << shift) | address & ((1 << shift) - 1)
        table = entry & OUTPUT
    return 0


ROUNDS = 5


def timed(task: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The best of some rounds, in seconds: noise only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        task()
        best = min(best, time.perf_counter() - started)
    return best


def report(smallest: bool = False) -> None:
    rounds = 1 if smallest else ROUNDS
    machine = open_source(str(CAPTURE))
    read, register = machine.memory.read, machine.register
    regimes = machine.architecture.regimes(register)
    addresses = [
        (regime, address)
        for regime in regimes
        for run in scan(regime, read)
        if isinstance(run, Run)
        for address in range(run.first, run.first + run.size_bytes, run.leaf_bytes)
    ]
    ours = timed(lambda: [walk(regime, address, read) for regime, address in addresses], rounds)
    bare = timed(lambda: [bare_walk(regime.root, address, read) for regime, address in addresses], rounds)
    tracemalloc.start()
    kept = [run for regime in regimes for run in scan(regime, read)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    count = len(addresses)
    print(f"walks, offline, {count} addresses, read through {machine.memory.description}:")
    print(f"  walk()       {count / ours:9.0f} a second, every descriptor decoded and kept")
    print(f"  bare loop    {count / bare:9.0f} a second, an address and nothing else")
    print(f"  scan()       {peak / count:9.0f} bytes a leaf at its peak, {len(kept)} runs kept")
    print(f"  ratio        walk() takes {ours / bare:.1f} times the bare loop")
