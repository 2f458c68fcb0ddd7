"""Sourced inside GDB by the benchmarks of `map` and `stage2`: live, against the bare transfer of the same tables.

BENCH_ASKED says which of both; BENCH_REGISTERS names a file of registers to use instead of the guest's,
BENCH_PAST_STUB=0 keeps to the gdbstub.  Prints `asked SECONDS COUNT`, of runs or of leaves, and `bare SECONDS TABLES`,
the best of some rounds each, taken in turns, and `through MEMORY`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from gdbtools.analysis.guests.census import census
from gdbtools.analysis.mappings import CountedRead, mappings
from gdbtools.arch.model import Read
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


def asked(read: Read) -> int:
    if os.environ["BENCH_ASKED"] == "map":
        return len(list(mappings(machine.architecture, register, read)))
    [regime] = machine.architecture.regimes(register, "stage2")
    return census(regime, read, None).leaves


def released() -> None:
    if target.attachment is not None:
        target.attachment.release()


count = asked(noted)
best = {"asked": float("inf"), "bare": float("inf")}
for _ in range(ROUNDS):
    for name in best:
        released()
        started = time.perf_counter()
        if name == "asked":
            asked(CountedRead(memory.read, expected_by(memory)))
        else:
            for pa, size_bytes in pages.items():
                memory.read(pa, size_bytes)
        best[name] = min(best[name], time.perf_counter() - started)
released()
print(f"asked {best['asked']} {count}")
print(f"bare {best['bare']} {len(pages)}")
proved = target.attached().memory.past_stub and any(each.proved for each in target.attached().memory.windows)
print("through", "QEMU's RAM, past the gdbstub" if proved else "the gdbstub")
