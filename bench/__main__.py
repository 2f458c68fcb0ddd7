"""Run every benchmark of our own, or those that are named, and print the ratios of this one run."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback

from gdbtools.errors import Unavailable

OURS = (
    "start", "source", "prompt", "walks", "maps", "stage2", "sources", "roots", "differences", "reverse", "logs",
    "linux", "faults",
)  # fmt: skip
BENCHES = (*OURS, "rivals")
"""Beside our own, what is measured only when it is named: it needs somebody else's program."""


def main() -> int:
    """Run them all, whatever happens to one; the exit status is 1 if one broke, 3 if one could not be run here."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which (default: all but rivals): {', '.join(BENCHES)}"
    )
    parser.add_argument("--smallest", action="store_true", help="the smallest sizes, each once: do they run at all?")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no bench {unknown[0]!r}; there are {', '.join(BENCHES)}")
    status = 0
    for name in options.names or OURS:
        try:
            importlib.import_module(f"bench.{name}").report(options.smallest)
        except Unavailable as missing:
            print(f"{name}: not measured: {missing}")
            status = status or 3
        except Exception:
            # One that is broken takes no other with it.
            print(f"{name}: broken:\n{traceback.format_exc()}")
            status = 1
        print(flush=True)
    return status


sys.exit(main())
