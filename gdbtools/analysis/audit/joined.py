"""Stretches of an address space of which the same is to be said."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

from gdbtools.analysis.audit.findings import RootedRun

What = TypeVar("What", bound=Hashable)


def joined(found: Iterable[tuple[RootedRun, What]]) -> Iterator[tuple[RootedRun, int, What]]:
    """Yield (the first run, size in bytes, what is said) of runs that follow one another in one address space.

    What is of another root, or of which something else is said, is apart; what two roots have alike is there once.
    """
    held: tuple[RootedRun, int, What] | None = None
    seen: set[tuple[int, int, int | None, What]] = set()
    for each, what in found:
        run = each.run
        if (key := (run.first, run.size_bytes, run.output, what)) in seen:
            continue
        seen.add(key)
        if held is not None:
            end = held[0].run.first + held[1]
            if (held[0].regime.root, end, held[2]) == (each.regime.root, run.first, what):
                held = held[0], held[1] + run.size_bytes, what
                continue
            yield held
        held = each, run.size_bytes, what
    if held is not None:
        yield held


def same_places(
    both: Iterable[tuple[int, int, RootedRun, RootedRun]],
) -> Iterator[tuple[int, int, RootedRun, RootedRun]]:
    """Yield (first physical address, size in bytes, one's, the other's) of what two lists both lead to.

    `both` is as `shared` has it; what goes on in physical memory and in both address spaces is one.
    """
    held: tuple[int, int, RootedRun, RootedRun] | None = None
    for first, end, one, other in both:
        if held is not None:
            goes_on = held[1] == first and [*map(_distance, held[2:])] == [*map(_distance, (one, other))]
            if goes_on:
                held = held[0], end, held[2], held[3]
                continue
            yield held[0], held[1] - held[0], held[2], held[3]
        held = first, end, one, other
    if held is not None:
        yield held[0], held[1] - held[0], held[2], held[3]


def _distance(each: RootedRun) -> tuple[int, int]:
    """Return what two runs of one stretch have in common."""
    return each.address_of(0), each.regime.root
