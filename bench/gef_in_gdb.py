"""Sourced inside a GDB that has GEF by `python -m bench rivals`: its `pagewalk` of the same stopped guest.

Apart from the others, because it puts commands of its own in the place of theirs.  Prints `GEF pagewalk: SECONDS
BYTES`.
"""

from __future__ import annotations

import re
import time

import gdb

ROUNDS = 9
LINE = re.compile(r"(?m)^0x([0-9a-f]{16})-0x([0-9a-f]{16})")
seconds, mapped = float("inf"), 0
for _ in range(ROUNDS):
    started = time.perf_counter()
    said = gdb.execute("pagewalk x64 --no-pager --quiet --include-kasan", to_string=True)
    seconds = min(seconds, time.perf_counter() - started)
    mapped = sum(int(end, 16) - int(first, 16) for first, end in LINE.findall(said))
print(f"GEF pagewalk: {seconds} {mapped}")
