"""Where a source's physical memory is, and in which parts of it there is anything: for who has to look at all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from gdbtools.addresses import PA, moved
from gdbtools.errors import Unavailable
from gdbtools.machine.layers import Patched, Ranges, Remembered
from gdbtools.machine.live.qemu_ram import GuestRam
from gdbtools.machine.model import PhysicalMemory
from gdbtools.machine.progress import CountedMemory

Extent = tuple[PA, int]
"""First physical address, and size in bytes."""


@runtime_checkable
class Placed(Protocol):
    """Physical memory that knows where it is."""

    def places(self) -> Sequence[Extent]:
        """Return where memory is, in order of address."""
        ...


@runtime_checkable
class Partial(Protocol):
    """Physical memory of which only some is there."""

    def parts(self) -> Sequence[Extent]:
        """Return where memory is that can be read, in order of address."""
        ...


def memory_of(memory: PhysicalMemory, wanted: Extent | None = None) -> Sequence[Extent]:
    """Return where memory is, cut to a range (None: all); raise `Unavailable` where the source does not say."""
    return _cut(_places(memory, wanted), wanted)


def map_of(memory: PhysicalMemory) -> Sequence[Extent] | None:
    """Return where the machine has memory, whatever of it the source has; None where the source does not say."""
    bare = _bare(memory)
    if isinstance(bare, Ranges) and bare.machine_has is not None:
        return bare.machine_has or None
    try:
        return memory_of(memory)
    except Unavailable:
        return None


def data_of(memory: PhysicalMemory, wanted: Extent | None = None) -> Sequence[Extent]:
    """Return where memory may hold anything but zeros, cut to a range (None: all): a file's holes are left out."""
    memory = _bare(memory)
    if isinstance(memory, Partial) and (parts := memory.parts()):
        return _cut(parts, wanted)
    if not isinstance(memory, Ranges):
        return memory_of(memory, wanted)
    return _cut([part for each in memory.ranges for part in each.parts()], wanted)


def _places(memory: PhysicalMemory, wanted: Extent | None) -> Sequence[Extent]:
    memory = _bare(memory)
    if isinstance(memory, GuestRam):
        found: Sequence[Extent] = [(each.pa, each.size_bytes) for each in memory.windows]
    else:
        found = memory.places() if isinstance(memory, Placed) else ()
    if found:
        return found
    if wanted is None:
        raise Unavailable(
            f"{memory.description} does not say where memory is; name the range to look at, like 0x40000000,+0x20000000"
        )
    return [wanted]


def _bare(memory: PhysicalMemory) -> PhysicalMemory:
    """Return the memory under what only watches it, or supposes something of it."""
    while isinstance(memory, Patched | CountedMemory | Remembered):
        memory = memory.under
    return memory


def _cut(extents: Sequence[Extent], wanted: Extent | None) -> Sequence[Extent]:
    return [*_within(extents, wanted)] if wanted else extents


def _within(extents: Sequence[Extent], wanted: Extent) -> Iterator[Extent]:
    first, end = wanted[0], moved(wanted[0], wanted[1])
    for pa, size_bytes in extents:
        start, stop = max(pa, first), min(moved(pa, size_bytes), end)
        if start < stop:
            yield start, stop - start
