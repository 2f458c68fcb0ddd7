"""What is mapped, by what it is for: neighbours of the same rights and memory are one area, wherever they lead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gdbtools.arch.model import FaultKind, Run


@dataclass(slots=True)
class Area:
    """Runs that follow one another in input and agree in all but where they lead, leaf size, use and contiguity.

    `run` is the first of them.  `leaves` counts leaves by their size; `places` counts the runs that do not go on where
    the one before ended; `unaccessed_bytes` and `dirty_bytes` say how much of it has not been accessed, or is dirty.
    """

    run: Run
    size_bytes: int = 0
    places: int = 0
    leaves: dict[int, int] = field(default_factory=dict)
    unaccessed_bytes: int = 0
    dirty_bytes: int = 0

    @property
    def first(self) -> int:
        return self.run.first

    @property
    def last(self) -> int:
        return self.first + self.size_bytes - 1

    @property
    def repeats(self) -> bool:
        """Return whether all of its leaves lead to one place."""
        return self.places == 1 and not self.run.stride_bytes


def areas(runs: Iterable[Run]) -> Iterator[Area]:
    """Yield the areas of runs, which are in order of address."""
    held: Area | None = None
    last: Run | None = None
    for run in runs:
        if held is None or last is None or held.last + 1 != run.first or _purpose(run) != _purpose(held.run):
            if held is not None:
                yield held
            held, last = Area(run), None
        _add(held, last, run)
        last = run
    if held is not None:
        yield held


def _add(area: Area, last: Run | None, run: Run) -> None:
    attributes = run.attributes
    area.size_bytes += run.size_bytes
    area.places += not (last is not None and _leads_on(last, run))
    area.leaves[run.leaf_bytes] = area.leaves.get(run.leaf_bytes, 0) + run.size_bytes // run.leaf_bytes
    area.unaccessed_bytes += 0 if attributes.accessed else run.size_bytes
    area.dirty_bytes += run.size_bytes if attributes.dirty else 0


def _leads_on(last: Run, run: Run) -> bool:
    if not (last.stride_bytes and run.stride_bytes) or last.output is None or run.output is None:
        return False
    ipa_too = last.ipa is None or run.ipa is None or last.ipa + last.size_bytes == run.ipa
    return last.output + last.size_bytes == run.output and ipa_too


def _purpose(run: Run) -> object:
    """Return what an area agrees in: `dirty` pages may be among those that are clean and so may not be written yet."""
    given = run.attributes
    rights = tuple(sorted(given.rights.items()))
    fault = None if run.fault is not None and run.fault.kind is FaultKind.ACCESS_FLAG else run.fault
    return (
        rights,
        given.memory,
        given.shareability,
        given.is_global,
        given.guarded,
        given.non_secure,
        fault,
        run.kind.soft_invalid,
    )
