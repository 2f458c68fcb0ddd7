"""Sourced inside GDB by the benchmarks of `map`: live, against the bare transfer of the same tables.

BENCH_REGISTERS names a file of registers to use instead of the guest's, BENCH_PAST_STUB=0 keeps to the gdbstub.  Prints
`map SECONDS RUNS` and `bare SECONDS TABLES`, the best of some rounds each, taken in turns, and `through MEMORY`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from gdbtools.analysis.mappings import CountedRead, mappings
from gdbtools.live.core import CoreFile
from gdbtools.live.stub.target import Target
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import expected_by

ROUNDS = 3
core = CoreFile(lambda: None)
target = Target(core)
machine = target.machine(None)
target.attached().memory.past_stub = os.environ["BENCH_PAST_STUB"] == "1"
register, memory = machine.register, machine.memory
if "BENCH_REGISTERS" in os.environ:
    given = json.loads(Path(os.environ["BENCH_REGISTERS"]).read_text())
    register = FixedRegisters({name: int(value, 16) for name, value in given.items()}, "the benchmark").read
pages: dict[int, int] = {}


def noted(pa: int, size_bytes: int) -> bytes:
    """Note what was read, so that the bare transfer is of the same bytes in the same pieces."""
    pages[pa] = size_bytes
    return memory.read(pa, size_bytes)


def released() -> None:
    if target.attachment is not None:
        target.attachment.release()


runs = len(list(mappings(machine.architecture, register, noted)))
best = {"map": float("inf"), "bare": float("inf")}
for _ in range(ROUNDS):
    for name in best:
        released()
        started = time.perf_counter()
        if name == "map":
            list(mappings(machine.architecture, register, CountedRead(memory.read, expected_by(memory))))
        else:
            for pa, size_bytes in pages.items():
                memory.read(pa, size_bytes)
        best[name] = min(best[name], time.perf_counter() - started)
released()
print(f"map {best['map']} {runs}")
print(f"bare {best['bare']} {len(pages)}")
proved = target.attached().memory.past_stub and any(each.proved for each in target.attached().memory.windows)
print("through", "QEMU's RAM, past the gdbstub" if proved else "the gdbstub")
