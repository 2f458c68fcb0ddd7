"""Run every benchmark and print the ratios of this one run."""

from __future__ import annotations

from bench import differences, faults, linux, maps, prompt, roots, source, sources, walks
from gdbtools.errors import Unavailable


def main() -> None:
    for each in (source, prompt, walks, maps, sources, roots, differences, linux, faults):
        try:
            each.report()
        except Unavailable as missing:
            print(f"{each.__name__}: not measured: {missing}")
        print()


main()
