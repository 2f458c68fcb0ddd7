"""Everything that some roots map, each table looked at once although several roots lead to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import PA, VA, Input
from gdbtools.arch.model import Hole, Read, Regime, Run
from gdbtools.arch.scan import Scanner
from gdbtools.errors import Unreadable


@dataclass
class Gathered:
    """What was read so far: tables by address, with the level that they were met at, leaves, and what could not be."""

    read: Read
    tables: dict[int, int] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    leaves: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def runs(self, regime: Regime, ranges: Sequence[tuple[Input, Input]]) -> Iterator[Run]:
        """Yield what a root maps of some ranges, (first, last), but for what another root led to in the same place."""
        scanner = Scanner(regime, self.read)
        for first, last in self._unseen(regime, ranges):
            for each in scanner.within(first, last):
                if isinstance(each, Hole):
                    self.holes.append(each)
                else:
                    self.leaves += each.leaves
                    yield each
        for pa, level in scanner.tables.met():
            self.tables.setdefault(pa, level)

    def _unseen(self, regime: Regime, ranges: Sequence[tuple[Input, Input]]) -> Iterator[tuple[Input, Input]]:
        """Yield the parts of the ranges below entries of the root that no other root has there."""
        if not regime.levels:
            yield from ranges
            return
        top, size = regime.levels[0], regime.levels[0].size_bytes
        base = regime.first - top.index(regime.first) * size
        try:
            raw = self.read(PA(regime.root), top.entries * regime.entry_bytes)
        except Unreadable:
            yield from ranges
            return
        for first, last in ranges:
            low, high = max(first, regime.first), min(last, regime.last)
            for index in range(top.entries):
                start = base + index * size
                entry = raw[index * regime.entry_bytes : (index + 1) * regime.entry_bytes]
                if start > high or start + size - 1 < low or not any(entry):
                    continue
                decoded = regime.decode(entry, top)
                key = start, decoded.address
                if key not in self._seen:
                    self._seen.add(key)
                    yield VA(max(low, start)), VA(min(high, start + size - 1))
