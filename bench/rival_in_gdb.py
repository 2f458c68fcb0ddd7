"""Sourced inside GDB by `python -m bench rivals`: our `map` and gdb-pt-dump's tables of one stopped guest, in turns.

BENCH_RIVAL is the folder of gdb-pt-dump's checkout.  Prints `NAME: SECONDS BYTES`, the best of some rounds each and how
much is mapped by that account, and `through MEMORY`.
"""

from __future__ import annotations

import os
import re
import sys
import time

import gdb

from gdbtools.addresses import PA
from gdbtools.analysis.mappings import CountedRead, mappings
from gdbtools.arch.model import Read, Run
from gdbtools.live.core import CoreFile
from gdbtools.live.stub.target import Target
from gdbtools.machine.model import expected_by

ROUNDS = 9
LINE = re.compile(r"(?m)^([0-9a-f]{16})-([0-9a-f]{16})")
"""How a line of `info mem` begins: (first, the first after it)."""
sys.path.insert(1, os.environ["BENCH_RIVAL"])
from pt_gdb import PageTableDumpGdbFrontend  # noqa: E402

rival = PageTableDumpGdbFrontend()
rival.lazy_init()
target = Target(CoreFile(lambda: None))
machine = target.machine(None)
attachment = target.attached()
tables: dict[PA, int] = {}


def ours(past_stub: bool, read: Read | None = None) -> int:
    attachment.memory.past_stub = past_stub
    found = mappings(
        machine.architecture, machine.register, read or CountedRead(machine.memory.read, expected_by(machine.memory))
    )
    return sum(run.size_bytes for run in found if isinstance(run, Run) and run.fault is None)


def noted(pa: PA, size_bytes: int) -> bytes:
    tables[pa] = size_bytes
    return machine.memory.read(pa, size_bytes)


def bare() -> int:
    """Read once what `map` reads, in the same pieces."""
    attachment.memory.past_stub = False
    return sum(len(machine.memory.read(pa, size_bytes)) for pa, size_bytes in tables.items())


def theirs() -> int:
    return sum(page.page_size for page in rival.pt.arch_backend.parse_tables({}, rival.pt.parser.parse_args([])))


def command(words: str) -> int:
    return len(gdb.execute(words, to_string=True))


def listed(words: str) -> int:
    """Return how much a list of ranges says is mapped, in bytes."""
    found = LINE.findall(gdb.execute(words, to_string=True))
    return sum(int(end, 16) - int(first, 16) for first, end in found)


ours(True, noted)
kinds = {
    "bare transfer": bare,
    "map, RAM's file": lambda: ours(True),
    "map, gdbstub": lambda: ours(False),
    "gdb-pt-dump": theirs,
    "mmu map": lambda: command("mmu map"),
    "pt": lambda: command("pt"),
}
# With 5 levels QEMU 7.2's `info mem` takes a minute, and lists nothing.
if machine.architecture.name == "x86_64" and len(machine.architecture.regimes(machine.register)[0].levels) == 4:
    kinds["info mem"] = lambda: listed("monitor info mem")
best = dict.fromkeys(kinds, (float("inf"), 0))
for _ in range(ROUNDS):
    for name, task in kinds.items():
        attachment.release()
        started = time.perf_counter()
        found = task()
        best[name] = min(best[name], (time.perf_counter() - started, found))
        attachment.release()
for name, (seconds, size) in best.items():
    print(f"{name}: {seconds} {size}")
attachment.memory.past_stub = True
print(
    "through", ", ".join(each.where for each in attachment.memory.windows if each.proved) or "nothing but the gdbstub"
)
