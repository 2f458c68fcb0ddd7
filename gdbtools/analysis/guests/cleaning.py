"""What it costs a hypervisor to clean all of a guest's memory by address, under each way to map that.

A guest's cache maintenance by set/way can be answered in no other way: entry by entry through the second stage, and
each line of what is memory there (Xen, arch/arm/p2m.c, `p2m_set_way_flush` and `p2m_cache_flush_range`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gdbtools.analysis.guests.census import Census, LeafGroup
from gdbtools.arch.model import Run

ASSUMED_LINE_BYTES = 64
"""Where nobody says how long a cache line is: that of nearly every core of this architecture."""


class HowMapped(enum.Enum):
    """How the guest's memory is mapped, or might be."""

    AS_IT_IS = enum.auto()
    IN_BLOCKS = enum.auto()
    IN_PAGES = enum.auto()
    IF_POPULATED = enum.auto()
    """Only what hardware reaches now: what is soft-invalid left out."""


@dataclass(frozen=True)
class Cost:
    """What a clean visits: entries that lead to memory, that memory, and its cache lines.

    `leaf_bytes` is the size of all leaves, None where they are of the sizes that they have.
    """

    mapped: HowMapped
    leaf_bytes: int | None
    entries: int
    size_bytes: int
    lines: int


@dataclass(frozen=True)
class Bill:
    """What a full clean costs, under each way to map the guest's memory, the way that it is first.

    `passed_leaves` and `passed_empty` are the entries that it looks at and passes: devices', and empty ones.
    """

    costs: tuple[Cost, ...]
    line_bytes: int
    line_assumed: bool
    passed_leaves: int
    passed_empty: int

    @property
    def steps(self) -> int:
        """How many entries a walk over all of it looks at as it is."""
        return self.costs[0].entries + self.passed_leaves + self.passed_empty


def bill(found: Census, line_bytes: int | None) -> Bill:
    """Return what it costs to clean all that a second stage maps as memory; a line of None bytes is assumed."""
    memory = [each for each in found.groups if each.is_memory]
    line = line_bytes or ASSUMED_LINE_BYTES
    leaf_sizes = [level.size_bytes for level in found.regime.levels]
    page, block = leaf_sizes[-1], leaf_sizes[-2] if len(leaf_sizes) > 1 else leaf_sizes[-1]
    size_bytes = sum(each.size_bytes for each in memory)
    blocks, populated = _chunks(found.memory, block), _of(memory, lambda each: each.reached)
    counted = (
        (HowMapped.AS_IT_IS, None, _of(memory, lambda each: each.leaves)[0], size_bytes),
        (HowMapped.IN_BLOCKS, block, blocks, blocks * block),
        (HowMapped.IN_PAGES, page, size_bytes // page, size_bytes),
        (HowMapped.IF_POPULATED, None, *populated),
    )
    return Bill(
        costs=tuple(Cost(how, leaf, entries, size, size // line) for how, leaf, entries, size in counted),
        line_bytes=line,
        line_assumed=line_bytes is None,
        passed_leaves=found.leaves - counted[0][2],
        passed_empty=found.passed,
    )


def _of(groups: Sequence[LeafGroup], leaves: Callable[[LeafGroup], int]) -> tuple[int, int]:
    """Return how many leaves there are, of those that are counted, and their bytes."""
    return sum(map(leaves, groups)), sum(leaves(each) * each.leaf_bytes for each in groups)


def _chunks(runs: Sequence[Run], size_bytes: int) -> int:
    """Return how many aligned chunks hold any of these runs, which are in order of address."""
    count, following = 0, 0
    for run in runs:
        first, end = max(run.first // size_bytes, following), run.last // size_bytes + 1
        count += max(end - first, 0)
        following = max(end, following)
    return count
