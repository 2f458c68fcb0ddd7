"""Tables read whole, each once, however many entries lead to it, and through whatever is below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

from gdbtools.addresses import PA, VA, Input, Output
from gdbtools.arch.model import Fault, Hole, Level, Read, Regime
from gdbtools.arch.walk import address_of, fetch
from gdbtools.errors import Unreadable

_FIRST = VA(0)
"""Within one table."""
PROTECTED = "physical memory is protected from the reading of this table"


class TableSlice(NamedTuple):
    """A part of a table that lies together in physical memory."""

    pa: PA
    entry: int
    """Which entry of the table is its first."""
    raw: bytes
    refused: Fault | None = None
    """What hardware would meet instead, where only soft-invalid entries of the stage below lead here."""


class TableReader:
    """The tables of one regime."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self.regime = regime
        self.read = read
        self._read: dict[tuple[int, int], list[TableSlice | Hole]] = {}
        """By address and level's number."""

    def met(self) -> Iterator[tuple[PA, int]]:
        """Yield every table that was read so far: where it is, and the number of the level that it was met at."""
        for (_, level), parts in self._read.items():
            for part in parts:
                if isinstance(part, TableSlice):
                    yield part.pa, level

    def has(self, table: int, level: Level) -> bool:
        """Return whether a table has been read, or could not be."""
        return (table, level.number) in self._read

    def table(self, table: int, level: Level) -> list[TableSlice | Hole]:
        """Return a table's parts: one, unless the stage below scatters it or withholds some of it."""
        key = table, level.number
        found = self._read.get(key)
        if found is None:
            found = self._read[key] = (
                self._whole(PA(table), level) if self.regime.below is None else [*self._parts(table, level)]
            )
        return found

    def _whole(self, table: PA, level: Level) -> list[TableSlice | Hole]:
        size_bytes = level.entries * self.regime.entry_bytes
        if refusal := self.regime.read_refused(table, size_bytes, level):
            return [Hole(_FIRST, level.entries * level.size_bytes, table, PROTECTED, refusal)]
        try:
            return [TableSlice(table, 0, self.read(table, size_bytes))]
        except Unreadable as missing:
            return [Hole(_FIRST, level.entries * level.size_bytes, missing.pa, missing.why)]

    def _parts(self, table: int, level: Level) -> Iterator[TableSlice | Hole]:
        entry_bytes = self.regime.entry_bytes
        at, end = table, table + level.entries * entry_bytes
        while at < end:
            index = (at - table) // entry_bytes
            where = cast(Output, at)
            pa, take = PA(at), end - at
            via, refusal = fetch(self.regime, where, self.read)
            refused = None
            if via is not None and via.kept is not None and refusal is not None:
                refused = refusal.fault
                via = via.kept
                refusal = self.regime.fetch_refused(via)
            if via is not None:
                # Where stage 2 has no leaf, its last entry says how far that goes.
                page = via.steps[-1].level.size_bytes if via.steps else end - at
                take = min(page - at % page, end - at)
                if refusal is None:
                    pa = address_of(via)
            covered = cast(Input, index * level.size_bytes), take // entry_bytes * level.size_bytes
            protected = self.regime.read_refused(pa, take, level) if refusal is None else None
            if refusal is not None:
                yield Hole(*covered, where, "stage 2 refuses to fetch this table", refusal)
            elif protected is not None:
                yield Hole(*covered, pa, PROTECTED, protected)
            else:
                try:
                    yield TableSlice(pa, index, self.read(pa, take), refused)
                except Unreadable as missing:
                    yield Hole(*covered, missing.pa, missing.why)
            at += take
