"""`diff` of two kernel halves: what the comparison costs beside the two scans."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.maps import Half, opened, runs_of, timed
from gdbtools.analysis.comparison.difference import difference
from gdbtools.arch.model import Run

HALVES = (Half(1 << 17, 1 << 17), Half(1 << 17, 32), Half(1 << 17, 1))


def worn(runs: list[Run]) -> list[Run]:
    """Return the runs with every hundredth of them gone."""
    return [run for number, run in enumerate(runs) if number % 100 != 50]


def report(smallest: bool = False) -> None:
    halves = (Half(1 << 12, 32),) if smallest else HALVES
    print("diff of two kernel halves of 4 KiB pages, best of 5 each; every hundredth run gone;")
    print("read through a mapped image:")
    print("     leaves     runs  changes   two scans  comparison")
    for half in halves:
        with tempfile.TemporaryDirectory(prefix="gdbtools-bench-") as name:
            machine = opened(half, Path(name))
            before, after = runs_of(machine), worn(runs_of(machine))
            changes, _ = difference(before, after)
            scans = timed(lambda machine=machine: (runs_of(machine), runs_of(machine)))
            compared = timed(lambda before=before, after=after: difference(before, after))
            counts = f"  {half.entries:9} {len(before):8} {len(changes):8}"
            print(f"{counts} {1000 * scans:8.1f} ms {1000 * compared:8.1f} ms")
