"""The access flags of a whole range: found, cleared, read back, and set again, a stretch of a table at a time.

A descriptor is written only while it leads where it led: what leads elsewhere by now, or nowhere, is not ours any more.
The regimes are those of the beginning, whatever address space a CPU is in later.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gdbtools.addresses import PA, Input, moved
from gdbtools.analysis.working_set import Leaf
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import Hole, Level, Read, Regime, Run, Step
from gdbtools.arch.scan import Scanner
from gdbtools.arch.walk import walk
from gdbtools.errors import Refused
from gdbtools.machine.layers import Recording
from gdbtools.machine.model import PhysicalMemory
from gdbtools.repair.change import Change
from gdbtools.repair.log import Written
from gdbtools.repair.neighbours import TableChange
from gdbtools.units import PAGE_BYTES

LIMIT = 1 << 18
"""How many leaves are looked after at most: their tables are read and compared at each sample."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Leaf descriptors of one level that follow one another in a table, the first of them, at `pa`, that of `first`.

    `flag` is the access flag, in place.
    """

    first: Input
    pa: PA
    count: int
    level: Level
    regime: Regime
    flag: int

    def leaf(self, index: int) -> Leaf:
        size_bytes = self.level.size_bytes
        pa = moved(self.pa, index * self.regime.entry_bytes)
        return Leaf(moved(self.first, index * size_bytes), size_bytes, pa)

    def follows(self, other: Stretch) -> bool:
        """Return whether this one goes on where another ends, in the table as in the address space."""
        there = other.leaf(other.count)
        return (self.first, self.pa, self.level) == (there.first, there.pa, other.level)


@dataclass(frozen=True)
class FoundStretches:
    """What maps a range, and the tables on the way that cannot be read."""

    stretches: Sequence[Stretch]
    holes: Sequence[Hole]


def find(
    architecture: Architecture, regimes: Iterable[Regime], memory: PhysicalMemory, first: Input, last: Input
) -> FoundStretches:
    """Find every leaf that maps any of first..last; more than `LIMIT` of them raise `Refused`."""
    stretches: list[Stretch] = []
    holes: list[Hole] = []
    count = 0
    read = Recording(memory).read
    for regime in regimes:
        for each in _Finder(architecture, regime, read).within(max(first, regime.first), min(last, regime.last)):
            if isinstance(each, Hole):
                holes.append(each)
                continue
            count += each.count
            if count > LIMIT:
                raise Refused(f"more than {LIMIT} leaves are in that range; give a smaller one")
            if stretches and each.follows(stretches[-1]):
                stretches[-1] = replace(stretches[-1], count=stretches[-1].count + each.count)
            else:
                stretches.append(each)
    return FoundStretches(stretches, holes)


def set_by_hardware(architecture: Architecture, stretch: Stretch, read: Read) -> bool:
    """Return whether hardware sets the access flags of these leaves: no walk refuses one whose flag is clear."""
    return _unmissed(architecture, stretch.regime, stretch.level, stretch.pa, read)


def set_by_hardware_at(architecture: Architecture, regime: Regime, address: Input, read: Read) -> bool:
    """Return whether hardware sets the access flag of what maps an address; no if nothing does."""
    leaf = walk(regime, address, read).leaf
    return leaf is not None and _unmissed(architecture, regime, leaf.level, leaf.pa, read)


def _unmissed(architecture: Architecture, regime: Regime, level: Level, pa: PA, read: Read) -> bool:
    """Return whether no walk would refuse the leaf at a physical address if its access flag were clear."""
    word = regime.decode(read(pa, regime.entry_bytes), level).word
    cleared = int(architecture.repair.clear_access_flag(word)).to_bytes(regime.entry_bytes, regime.byte_order)
    return regime.accept(Step(level, 0, pa, regime.decode(cleared, level))) is None


class _Finder:
    """The leaves of one regime, with one walk for each table, or for each page of it that a stage below may scatter."""

    def __init__(self, architecture: Architecture, regime: Regime, read: Read) -> None:
        self._architecture = architecture
        self._regime = regime
        self._read = read
        self._levels = {level.size_bytes: level for level in regime.levels}
        self._tables: dict[tuple[int, int], Stretch] = {}

    def within(self, first: Input, last: Input) -> Iterator[Stretch | Hole]:
        regime = self._regime
        for run in Scanner(regime, self._read).within(first, last) if regime.levels and first <= last else ():
            if isinstance(run, Hole):
                yield run
            elif not run.kind.soft_invalid:
                yield from self._pieces(run, first, last)

    def _pieces(self, run: Run, first: Input, last: Input) -> Iterator[Stretch]:
        """Cut a run to what is wanted, in whole leaves, and at the ends of tables."""
        size, end = run.leaf_bytes, min(run.last, last)
        at = moved(run.first, max(first - run.first, 0) // size * size)
        while at <= end:
            table = self._table(at, self._levels[size])
            index = (at - table.first) // size
            count = min((end - at) // size + 1, table.count - index)
            leaf = table.leaf(index)
            yield replace(table, first=leaf.first, pa=leaf.pa, count=count)
            at = moved(at, count * size)

    def _table(self, address: Input, level: Level) -> Stretch:
        """Return all the entries of the table, or of its page, that has the leaf of an address."""
        regime = self._regime
        entries = level.entries if regime.below is None else min(level.entries, PAGE_BYTES // regime.entry_bytes)
        base = moved(address, -(address % (entries * level.size_bytes)))
        key = level.size_bytes, base
        if key not in self._tables:
            step = walk(regime, address, self._read).leaf
            assert step is not None, "a leaf was found there"
            word = step.entry.word
            flagged = self._architecture.repair.set_access_flag(word, False, DirtyConvention.NONE)
            flag = int(flagged) & ~int(self._architecture.repair.clear_access_flag(word))
            pa = moved(step.pa, -((address - base) // level.size_bytes * regime.entry_bytes))
            self._tables[key] = Stretch(base, pa, entries, level, regime, flag)
        return self._tables[key]


class AccessFlags:
    """The access flags of leaves while they are cleared again and again, and what they are to be in the end.

    A flag that was set when its leaf was first seen, or has been set since, is due: nobody is to lose it.
    """

    def __init__(self, architecture: Architecture, memory: PhysicalMemory, written: Written) -> None:
        self._architecture = architecture
        self._memory = memory
        self._written = written
        self._stretches: list[Stretch] = []
        self._leads: dict[int, tuple[int, int]] = {}
        self._kinds: dict[tuple[int, int, int], int | None] = {}
        self._due: set[int] = set()
        self._cleared: set[int] = set()

    @property
    def stretches(self) -> Sequence[Stretch]:
        """What was read last."""
        return self._stretches

    def read(self, fresh: Iterable[Stretch], known: Iterable[Stretch] = ()) -> Mapping[Leaf, bool]:
        """Return the leaves with their flags: of `fresh` stretches as they are, of others those that lead where they
        led.

        A leaf that is met by several addresses counts once.
        """
        self._stretches = []
        found: dict[Leaf, bool] = {}
        seen: set[int] = set()
        for stretches, as_known in ((fresh, False), (known, True)):
            for stretch in stretches:
                self._stretches.append(stretch)
                for leaf, value, leads in self._leaves(stretch):
                    if leaf.pa in seen or leads is None or (as_known and self._leads.get(leaf.pa) != leads):
                        continue
                    seen.add(leaf.pa)
                    self._leads[leaf.pa] = leads
                    found[leaf] = bool(value & stretch.flag)
                    if found[leaf]:
                        self._due.add(leaf.pa)
        return found

    def clear(self, spared: Collection[int]) -> int:
        """Clear the flags of what was read last, but for the `spared` descriptors; returns how many were set."""

        def wanted(leaf: Leaf, stretch: Stretch, value: int) -> bool:
            return leaf.pa not in spared and value & stretch.flag != 0

        self._cleared |= {
            leaf.pa
            for stretch in self._stretches
            for leaf, value, leads in self._leaves(stretch)
            if leads is not None and wanted(leaf, stretch, value)
        }
        return self._change(wanted)

    def gives_back(self, change: Change) -> bool:
        """Return whether a change is of a flag that was cleared here, and that the guest has carried on as clear since.

        Whoever rewrites a descriptor while its flag is clear, for a fork or to protect it, keeps the flag clear.
        """
        flagged = self._architecture.repair.set_access_flag(change.before, False, DirtyConvention.NONE)
        return change.pa in self._cleared and change.after == flagged

    def set_again(self, but: Collection[int]) -> int:
        """Set the flags that are due, `but` those that others have cleared since; returns how many were clear."""
        return self._change(
            lambda leaf, stretch, value: leaf.pa in self._due and leaf.pa not in but and not value & stretch.flag
        )

    def _change(self, wanted: Callable[[Leaf, Stretch, int], bool]) -> int:
        """Flip the flags that are wanted, by one write for each stretch that has any; returns how many."""
        count = 0
        for stretch in self._stretches:
            values = list(self._values(stretch))
            flip = [
                at
                for at, (leaf, value, leads) in enumerate(self._leaves(stretch, values))
                if leads is not None and self._leads.get(leaf.pa) == leads and wanted(leaf, stretch, value)
            ]
            if not flip:
                continue
            before = self._packed(stretch, values)
            for at in flip:
                values[at] ^= stretch.flag
            after = self._packed(stretch, values)
            self._written.make(
                TableChange(stretch.pa, before, after, len(flip), stretch.regime, stretch.level), self._memory
            )
            count += len(flip)
        return count

    def _leaves(
        self, stretch: Stretch, values: Sequence[int] | None = None
    ) -> Iterator[tuple[Leaf, int, tuple[int, int] | None]]:
        """Yield each leaf with its descriptor, and with where that leads: None if it is a leaf no more."""
        bits = stretch.regime.linear_bits(stretch.level)
        for at, value in enumerate(values or self._values(stretch)):
            key = id(stretch.regime), stretch.level.number, value & ~bits
            if key not in self._kinds:
                self._kinds[key] = self._beyond(stretch, value & ~bits)
            high = self._kinds[key]
            yield stretch.leaf(at), value, None if high is None else (high, value & bits)

    def _beyond(self, stretch: Stretch, kind: int) -> int | None:
        """Return what of an output address is not in the linear bits; None where this is no leaf."""
        raw = kind.to_bytes(stretch.regime.entry_bytes, stretch.regime.byte_order)
        entry = stretch.regime.decode(raw, stretch.level)
        return entry.address if entry.kind.is_leaf else None

    def _values(self, stretch: Stretch) -> Sequence[int]:
        raw = self._memory.read(stretch.pa, stretch.count * stretch.regime.entry_bytes)
        return struct.unpack(_form(stretch), raw)

    def _packed(self, stretch: Stretch, values: Sequence[int]) -> bytes:
        return struct.pack(_form(stretch), *values)


def _form(stretch: Stretch) -> str:
    code = "Q" if stretch.regime.entry_bytes == 8 else "I"
    return f"{'<' if stretch.regime.byte_order == 'little' else '>'}{stretch.count}{code}"
