"""What the files that hold a guest come down to, and the file itself, mapped: nothing is read but what is asked for."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from gdbtools.addresses import PA
from gdbtools.arch.model import Assumption
from gdbtools.errors import Malformed
from gdbtools.machine.dumps.files import one_line, open_file
from gdbtools.machine.layers import MemoryRange
from gdbtools.machine.model import Cpu, PhysicalMemory

if TYPE_CHECKING:
    from gdbtools.systems.crash import Crash

RANGES = 1 << 17
"""How many ranges a dump may have: a thousand times as many as real ones do, and few enough to be kept."""


@dataclass(frozen=True)
class Dump:
    """What a file holds of a guest.

    `architecture` is its name, `current` the CPU that it was taken at.  `vmcoreinfo` is what a Linux guest left in it
    about itself, lines of NAME=VALUE; empty where there is none.  `assumed` says what stands in it that nobody read,
    `dirty` by which convention its guest marks what is dirty, as whoever wrote it was told; empty where nobody was.
    """

    architecture: str
    memory: PhysicalMemory
    cpus: tuple[Cpu, ...] = ()
    current: int = 0
    vmcoreinfo: bytes = b""
    assumed: tuple[Assumption, ...] = ()
    dirty: str = ""
    counted: bool = True
    """Whether it says how many CPUs there were."""
    crash: Crash | None = None
    """What it is made of, where that is lines of a log."""


def map_file(path: Path) -> mmap.mmap:
    """Map a file for reading; an empty one, or one that cannot be read, raises an expected error."""
    with one_line(str(path)), open_file(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise Malformed(f"{path} is empty; name a dump that has something in it")
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise Malformed(f"{path} is not a file that can be mapped; copy it to one") from None


def window(view: mmap.mmap, offset: int, pa: PA, size_bytes: int) -> MemoryRange:
    """Return the part of a mapped file from `offset` on as physical memory at `pa`."""
    return MemoryRange(pa, size_bytes, lambda at, take: view[offset + at : offset + at + take])


def placed(path: Path, view: mmap.mmap, places: Sequence[tuple[PA, int, int]]) -> tuple[MemoryRange, ...]:
    """Return the windows on a mapped file that its headers tell of: (physical address, size, offset in the file) each.

    Where two tell of the same address, the first counts.  One that lies outside the file or the address space raises
    `Malformed`, and so do more than any real dump has.
    """
    if len(places) > RANGES:
        raise Malformed(f"{path} tells of {len(places)} ranges of memory, which no dump has; take the dump again")
    for pa, size_bytes, offset in places:
        if offset + size_bytes > len(view):
            missing = offset + size_bytes - len(view)
            raise Malformed(f"{path} is cut short: {missing} bytes of a segment are missing; take the dump again")
        if pa + size_bytes > 1 << 64:
            raise Malformed(f"{path} tells of memory past the last address there is; take the dump again")
    return disjoint([window(view, offset, pa, size_bytes) for pa, size_bytes, offset in places if size_bytes])


def disjoint(ranges: Sequence[MemoryRange]) -> tuple[MemoryRange, ...]:
    """Cut ranges so that none is over another, and put them in order of address; the first that is given counts."""
    ordered = sorted(ranges, key=lambda each: each.pa)
    if all(before.end <= after.pa for before, after in pairwise(ordered)):
        return tuple(ordered)
    starting = sorted(range(len(ranges)), key=lambda number: ranges[number].pa)
    cuts = sorted({each.pa for each in ranges} | {each.end for each in ranges})
    pieces: list[MemoryRange] = []
    holding: list[int] = []
    following = 0
    for first, end in pairwise(cuts):
        while following < len(starting) and ranges[starting[following]].pa == first:
            heappush(holding, starting[following])
            following += 1
        while holding and ranges[holding[0]].end <= first:
            heappop(holding)
        if holding:
            pieces.append(_part(ranges[holding[0]], first, end))
    return tuple(pieces)


def _part(whole: MemoryRange, first: PA, end: int) -> MemoryRange:
    skipped = first - whole.pa
    return MemoryRange(first, end - first, lambda at, take: whole.read(skipped + at, take))
