"""Layers over physical memory and registers: parts put together, patched, recorded, overridden."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from gdbtools.addresses import PA, moved
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Assumption
from gdbtools.errors import FIND_ROOTS, GIVE_REGISTERS, MissingRegister, Refused, Unreadable
from gdbtools.machine.model import Cpu, Machine, PhysicalMemory, Registers
from gdbtools.units import PAGE_BYTES


@dataclass(frozen=True)
class FixedRegisters:
    """Registers that were written down: a file's, or a note's.  `origin` says whose, for the error message."""

    values: Mapping[str, int]
    origin: str

    def read(self, name: str) -> int:
        try:
            return self.values[name]
        except KeyError:
            advice = GIVE_REGISTERS
            if not self.values:
                advice += f"; {FIND_ROOTS}"
            raise MissingRegister(f"{self.origin} has no", (name,), advice) from None

    def names(self) -> Sequence[str]:
        return tuple(self.values)


@dataclass(frozen=True)
class Overridden:
    """Registers with some of their values supplied from elsewhere."""

    under: Registers
    over: FixedRegisters

    def read(self, name: str) -> int:
        if name in self.over.values:
            return self.over.read(name)
        try:
            return self.under.read(name)
        except MissingRegister as missing:
            raise (missing.beside_others() if self.over.values else missing) from None

    def names(self) -> Sequence[str]:
        return tuple(dict.fromkeys((*self.over.names(), *self.under.names())))


@dataclass(frozen=True)
class MemoryRange:
    """Bytes of a file that hold physical memory from `pa` on."""

    pa: PA
    size_bytes: int
    read: Callable[[int, int], bytes]
    """Return `size_bytes` at an offset into the range."""
    data: Callable[[], Iterator[tuple[int, int]]] | None = None
    """Return the parts, (offset, size in bytes), that may hold anything but zeros; None where nobody knows."""

    @property
    def end(self) -> PA:
        return moved(self.pa, self.size_bytes)

    def parts(self) -> Iterator[tuple[PA, int]]:
        """Yield where there is anything but zeros: (physical address, size in bytes)."""
        for offset, size_bytes in self.data() if self.data else [(0, self.size_bytes)]:
            yield moved(self.pa, offset), size_bytes


@dataclass(frozen=True)
class Ranges:
    """Physical memory made of ranges, in order of address and none over another: what most dumps come down to."""

    ranges: tuple[MemoryRange, ...]
    description: str
    machine_has: tuple[tuple[PA, int], ...] | None = None
    """Where the machine has memory, where these are only what somebody kept of it; empty where nobody said."""

    @cached_property
    def _starts(self) -> list[int]:
        return [each.pa for each in self.ranges]

    def places(self) -> Sequence[tuple[PA, int]]:
        """Return where memory is: (physical address, size in bytes)."""
        return [(each.pa, each.size_bytes) for each in self.ranges]

    def read(self, pa: PA, size_bytes: int) -> bytes:
        parts: list[bytes] = []
        at, end = int(pa), pa + size_bytes
        index = bisect_right(self._starts, pa) - 1
        while at < end:
            if not 0 <= index < len(self.ranges) or not self.ranges[index].pa <= at < self.ranges[index].end:
                raise Unreadable(pa, size_bytes, f"{self.description} does not have it")
            each = self.ranges[index]
            take = min(end, each.end) - at
            parts.append(each.read(at - each.pa, take))
            at += take
            index += 1
        return b"".join(parts)

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused(f"{self.description} is evidence, not a guest: nothing is written to it")


@dataclass(frozen=True)
class Patched:
    """Physical memory with some bytes of it taken for others: what is supposed is never written."""

    under: PhysicalMemory
    pa: PA
    data: bytes

    @property
    def description(self) -> str:
        return self.under.description

    def read(self, pa: PA, size_bytes: int) -> bytes:
        found = self.under.read(pa, size_bytes)
        first, end = max(pa, self.pa), min(pa + size_bytes, self.pa + len(self.data))
        if first >= end:
            return found
        return found[: first - pa] + self.data[first - self.pa : end - self.pa] + found[end - pa :]

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused("what is supposed is not written; ask without --with and --pte")


@dataclass(frozen=True)
class Remembered:
    """Physical memory of which nothing is asked twice: for one question, while nothing runs.

    A live source changes modes for every read, and several parts of an answer begin at the same tables.
    """

    under: PhysicalMemory
    known: dict[tuple[PA, int], bytes | Unreadable] = field(default_factory=dict)

    @property
    def description(self) -> str:
        return self.under.description

    def read(self, pa: PA, size_bytes: int) -> bytes:
        found = self.known.get((pa, size_bytes))
        if found is None:
            try:
                found = self.under.read(pa, size_bytes)
            except Unreadable as missing:
                found = missing
            self.known[pa, size_bytes] = found
        if isinstance(found, Unreadable):
            raise found
        return found

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused("an answer that only looks writes nothing")


@dataclass
class Recording:
    """Physical memory that remembers what was read from it: the evidence of an analysis.

    It reads by the page where whole pages can be had.
    """

    under: PhysicalMemory
    pages: dict[int, bytes] = field(default_factory=dict)
    asked: set[tuple[PA, int]] = field(default_factory=set)
    """What was asked for: (physical address, size in bytes)."""

    @property
    def description(self) -> str:
        return self.under.description

    def read(self, pa: PA, size_bytes: int) -> bytes:
        data = self._joined(pa, pa + size_bytes)
        self.asked.add((pa, size_bytes))
        return data

    def extents(self) -> dict[PA, bytes]:
        """Return what was asked for and nothing else: bytes by physical address, neighbours put together."""
        merged: list[tuple[PA, int]] = []
        for pa, size_bytes in sorted(self.asked):
            first, end = merged[-1] if merged else (pa, pa)
            if merged and pa <= end:
                merged[-1] = first, PA(max(end, pa + size_bytes))
            else:
                merged.append((pa, moved(pa, size_bytes)))
        return {first: self._joined(first, end) for first, end in merged}

    def _joined(self, first: int, end: int) -> bytes:
        pages = range(first & -PAGE_BYTES, end, PAGE_BYTES)
        return b"".join(self._part(max(first, page), min(end, page + PAGE_BYTES)) for page in pages)

    def _part(self, first: int, end: int) -> bytes:
        page = first & -PAGE_BYTES
        if page not in self.pages:
            try:
                self.pages[page] = self.under.read(PA(page), PAGE_BYTES)
            except Unreadable:
                return self.under.read(PA(first), end - first)
        return self.pages[page][first - page : end - page]

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused("an analysis that is being recorded writes nothing")


def with_registers(machine: Machine, values: Mapping[str, int], description: str) -> Machine:
    """Return the machine with some registers of its current CPU supplied from elsewhere; `description` says whence."""
    cpu = Cpu(machine.cpu.number, Overridden(machine.cpu.registers, FixedRegisters(values, description)))
    return replace(machine, cpus=tuple(cpu if each.number == cpu.number else each for each in machine.cpus))


def unsaid(architecture: Architecture) -> Assumption:
    """Return that a value is taken for an architecture's because nobody says whose it is."""
    return Assumption("", f"the value is {architecture.identity.title}'s: neither a source nor --arch says whose it is")


def no_source(architecture: Architecture) -> Machine:
    """Return a machine that has nothing: for questions that need only an architecture."""
    return Machine(architecture, Ranges((), "no source"), ())
