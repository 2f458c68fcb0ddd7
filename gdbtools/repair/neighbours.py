"""Setting the access flag of a leaf's neighbours in the same table, before they fault.

What they lose is the guest's information that they have not been accessed: so it is done only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA, moved
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import FaultKind, Level, Regime, Step
from gdbtools.bits import Word
from gdbtools.errors import Refused
from gdbtools.machine.model import PhysicalMemory
from gdbtools.repair.change import Change
from gdbtools.units import PAGE_BYTES


@dataclass(frozen=True, slots=True)
class TableChange:
    """Descriptors of one level that follow one another from `pa` on, as they are and as they shall be.

    `count` of them change.
    """

    pa: PA
    before: bytes
    after: bytes
    count: int
    regime: Regime
    level: Level

    @property
    def end(self) -> int:
        """The physical address behind them."""
        return self.pa + len(self.before)

    @property
    def changes(self) -> Sequence[Change]:
        """The changes of single descriptors that it is made of."""
        each_bytes = self.regime.entry_bytes
        pairs = [(at, self.before[at : at + each_bytes]) for at in range(0, len(self.before), each_bytes)]
        return [
            Change(
                moved(self.pa, at), self._word(before), self._word(self._after(at)), each_bytes, self.regime.byte_order
            )
            for at, before in pairs
            if before != self._after(at)
        ]

    def _after(self, at: int) -> bytes:
        return self.after[at : at + self.regime.entry_bytes]

    def _word(self, raw: bytes) -> Word:
        return self.regime.decode(raw, self.level).word

    def apply(self, memory: PhysicalMemory) -> None:
        """Make the change; descriptors that are no longer `before`, or do not become `after`, raise `Refused`."""
        self._expect(memory, self.before, "they changed since they were read; nothing was written, look again")
        memory.write(self.pa, self.after)
        self._expect(memory, self.after, "the write did not take; is the table in ROM, or the dump read-only?")

    def _expect(self, memory: PhysicalMemory, data: bytes, otherwise: str) -> None:
        if memory.read(self.pa, len(data)) != data:
            raise Refused(f"the descriptors from PA {self.pa:#x} are not what they were to be: {otherwise}")


def plan_neighbours(
    regime: Regime, leaf: Step, architecture: Architecture, memory: PhysicalMemory, most: int
) -> TableChange | None:
    """Plan to set the access flag of up to `most` of the leaves around `leaf`, the nearest first; None if all have it.

    Looked at are the `most` entries to each side, in the leaf's own table, and of its own page where a stage below may
    have put the next one elsewhere.
    """
    each_bytes = regime.entry_bytes
    table = leaf.pa - leaf.index * each_bytes
    end = table + leaf.level.entries * each_bytes
    if regime.below is not None:
        page = leaf.pa & -PAGE_BYTES
        table, end = max(table, page), min(end, page + PAGE_BYTES)
    first = PA(max(table, leaf.pa - most * each_bytes))
    end = min(end, leaf.pa + (most + 1) * each_bytes)
    before = memory.read(first, end - first)
    after = bytearray(before)
    linear = regime.linear_bits(leaf.level)
    flags: dict[int, int] = {}
    """What to change in an entry, by the bits of it that are the same in all entries of one kind."""
    own = (leaf.pa - first) // each_bytes
    count = 0
    for index in sorted(range(len(before) // each_bytes), key=lambda index: abs(index - own)):
        if index == own:
            continue
        at = slice(index * each_bytes, (index + 1) * each_bytes)
        value = int.from_bytes(before[at], regime.byte_order)
        if value & linear > regime.output_last:
            continue
        kind = value & ~linear
        if kind not in flags:
            flags[kind] = _missing(regime, leaf, before[at], architecture)
        if flags[kind]:
            after[at] = (value ^ flags[kind]).to_bytes(each_bytes, regime.byte_order)
            count += 1
            if count == most:
                break
    return TableChange(first, before, bytes(after), count, regime, leaf.level) if count else None


def _missing(regime: Regime, leaf: Step, raw: bytes, architecture: Architecture) -> int:
    """Return the bits that an access-flag fault on this entry would have flipped; 0 where it would be no such fault."""
    step = Step(leaf.level, leaf.index, leaf.pa, regime.decode(raw, leaf.level), leaf.via)
    refusal = regime.accept(step)
    if not step.is_leaf or refusal is None or refusal.fault.kind is not FaultKind.ACCESS_FLAG:
        return 0
    word = step.entry.word
    return int(word) ^ int(architecture.repair.set_access_flag(word, False, DirtyConvention.NONE))
