"""What `source gdbtools.py` costs inside GDB, against what GDB itself takes to start."""

from __future__ import annotations

import subprocess
import time

from gdbtools.children.processes import find_gdb
from gdbtools.places import gdbinit

ROUNDS = 5
TIMED = "python import time; started = time.perf_counter()"
TOLD = "python print('seconds', time.perf_counter() - started)"


def report(smallest: bool = False) -> None:
    gdb = find_gdb()
    start, source = [], []
    rounds = 1 if smallest else ROUNDS
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([gdb, "-nx", "-batch"], check=True)
        start.append(time.perf_counter() - began)
        words = [gdb, "-nx", "-batch", "-ex", TIMED, "-ex", f"source {gdbinit()}", "-ex", TOLD]
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        source.append(float(said.split("seconds")[1]))
    print(f"source, inside {gdb.rsplit('/', 1)[-1]}, best of {rounds}; no memory is read:")
    print(f"  GDB alone    {1000 * min(start):6.0f} ms")
    print(f"  source       {1000 * min(source):6.0f} ms")
    print(f"  ratio        source takes {min(source) / min(start):.2f} of GDB's own start")
