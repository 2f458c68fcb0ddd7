"""Entries of tables that are written as none should be: those that hardware refuses although they are valid, and those
that set reserved bits which it does not mind.

What the entries of a run have in common is decoded once for each kind that is met, as `scan` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

from gdbtools.addresses import PA, Input
from gdbtools.arch.entry_runs import EntryLayout, entry_runs
from gdbtools.arch.model import EntryKind, FaultKind, Level, Read, Refusal, Regime, Step
from gdbtools.arch.table_pages import TablePage
from gdbtools.arch.table_reader import TableReader, TableSlice
from gdbtools.bits import Field, FieldValue


@dataclass(frozen=True, slots=True)
class FlawedEntries:
    """Neighbours of one table with one flaw: `many` of them, the first at `step`, for input addresses from `first` on.

    `refusal` is what hardware says of it, None where it minds nothing; `deciding` is the field that is wrong.
    """

    first: Input
    step: Step
    many: int
    refusal: Refusal | None
    deciding: FieldValue

    @property
    def size_bytes(self) -> int:
        """How much input address space they are for."""
        return self.many * self.step.level.size_bytes

    @property
    def leads_too_far(self) -> bool:
        """Whether it is the address in it that is beyond what there is."""
        return self.refusal is not None and self.refusal.decider.cause.is_address_size


class EntryInspector:
    """Looks for flaws in the tables of one regime; what was decoded is kept by kind."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self.regime = regime
        self._tables = TableReader(regime, read)
        self._sound: set[tuple[int, int, int]] = set()
        """Level, an entry without its address, and of how many bits that is: how far it leads is a power of two."""

    def flaws(self, page: TablePage) -> Iterator[FlawedEntries]:
        """Yield what is wrong in a table of the regime, in order of its entries."""
        level = page.level
        layout = EntryLayout.of(self.regime, level)
        others = ~layout.counting
        base = page.first - level.index(page.first) * level.size_bytes
        for part in self._tables.table(page.address, level):
            if not isinstance(part, TableSlice):
                continue
            runs = entry_runs(part.raw, layout)
            for index, many, value in runs.rows():
                last = value + (many - 1) * runs.step
                ends = [(level.number, each & others, (each & ~others).bit_length()) for each in (value, last)]
                if all(each in self._sound for each in ends):
                    continue
                found = self._neighbours(part, level, base, index, [value + at * runs.step for at in range(many)])
                if not found and ends[0][:2] == ends[1][:2]:
                    self._sound.update(ends)
                yield from found

    def _neighbours(
        self, part: TableSlice, level: Level, base: int, index: int, values: list[int]
    ) -> list[FlawedEntries]:
        """Return what is wrong with entries that count up, those with one flaw together."""
        found: list[FlawedEntries] = []
        for at, value in enumerate(values, index):
            number = part.entry + at
            if not self._is_in_range(base + number * level.size_bytes, level):
                continue
            step = self._decoded(value, level, number, PA(part.pa + at * self.regime.entry_bytes))
            flaw = _flaw(self.regime, step)
            if flaw is None:
                continue
            refusal, deciding = flaw
            if found and found[-1].step.index + found[-1].many == number and _alike(found[-1], refusal, deciding):
                found[-1] = replace(found[-1], many=found[-1].many + 1)
                continue
            found.append(FlawedEntries(cast(Input, base + number * level.size_bytes), step, 1, refusal, deciding))
        return found

    def _is_in_range(self, first: int, level: Level) -> bool:
        """Return whether an entry is for addresses of this range: a root may have another range's, too."""
        return first <= self.regime.last and first + level.size_bytes > self.regime.first

    def _decoded(self, value: int, level: Level, number: int, pa: PA) -> Step:
        raw = value.to_bytes(self.regime.entry_bytes, self.regime.byte_order)
        return Step(level, number, pa, self.regime.decode(raw, level))


def _flaw(regime: Regime, step: Step) -> tuple[Refusal | None, FieldValue] | None:
    """Return what is wrong with an entry: a refusal, or None where hardware goes by it, and the field; None: nothing.

    That it is not there is not wrong, nor that software has to set its access flag.
    """
    entry = step.entry
    if entry.kind is EntryKind.SOFT_INVALID:
        return None
    refusal = regime.accept(step)
    if refusal is not None and not refusal.decider.cause.is_absent and refusal.fault.kind is not FaultKind.ACCESS_FLAG:
        return refusal, FieldValue(refusal.decider.field, refusal.decider.value)
    if not entry.kind.is_used or not entry.word.reserved:
        return None
    bit = entry.word.reserved.bit_length() - 1
    return None, FieldValue(Field(bit, doc="reserved", name="Reserved"), 1)


def _alike(before: FlawedEntries, refusal: Refusal | None, deciding: FieldValue) -> bool:
    causes = [None if each is None else each.decider.cause for each in (before.refusal, refusal)]
    return causes[0] is causes[1] and before.deciding.field.spans == deciding.field.spans
