"""Sourced inside a GDB that has pwndbg by `python -m bench rivals`: what its `vmmap` reads of the same stopped guest.

Apart from the others, as GEF is.  Prints `pwndbg vmmap: SECONDS BYTES`.
"""

from __future__ import annotations

import time

import gdb
import pwndbg.lib.cache

ROUNDS = 3
gdb.execute("set kernel-vmmap page-tables", to_string=True)
seconds, mapped = float("inf"), 0
for _ in range(ROUNDS):
    pwndbg.lib.cache.clear_caches()
    started = time.perf_counter()
    gdb.execute("vmmap", to_string=True)
    seconds = min(seconds, time.perf_counter() - started)
pages = pwndbg.gdblib.vmmap.kernel_vmmap_via_page_tables()
print(f"pwndbg vmmap: {seconds} {sum(page.memsz for page in pages)}")
