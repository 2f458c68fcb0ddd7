"""Tables otherwise than AArch64's: what may be valid, one root for two halves, identical entries that are a run."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from gdbtools.arch.model import Entry, EntryKind, Level, Mapped, Run
from gdbtools.arch.scan import scan
from gdbtools.arch.walk import walk
from tests.toy import LEVELS, ToyEntry, ToyRegime

ROOT, BELOW = 0x1000, 0x2000
X, W, LEAF, V = 8, 4, 2, 1
SPAN_BYTES = 4 << 12
UPPER = 0xFFFF_FFFF_8000_0000


@dataclass(frozen=True)
class OtherRegime(ToyRegime):
    """The toy's, but that an entry is valid that grants anything, and that W=1, X=1 makes it one of four identical."""

    @property
    def may_be_valid(self) -> int:
        return X | W | V

    def decode(self, raw: bytes, level: Level) -> Entry:
        word = ToyEntry(int.from_bytes(raw, "little"))
        if not word & self.may_be_valid:
            return super().decode(raw, level)
        found = super().decode((word | V).to_bytes(4, "little"), level)
        run = bool(word.W and word.X) and found.kind is EntryKind.PAGE
        return replace(found, word=word, address=found.address & -SPAN_BYTES, span_bytes=SPAN_BYTES) if run else found


def image(root: dict[int, int], below: dict[int, int]) -> bytes:
    made = bytearray(0x3000)
    for table, entries in ((ROOT, root), (BELOW, below)):
        for index, value in entries.items():
            struct.pack_into("<I", made, table + 4 * index, value)
    return bytes(made)


def runs(regime: ToyRegime, memory: bytes) -> list[tuple[int, int, int | None]]:
    found = [each for each in scan(regime, lambda pa, size: memory[pa : pa + size]) if isinstance(each, Run)]
    for each in found:
        at = walk(regime, each.last, lambda pa, size: memory[pa : pa + size]).outcome
        assert isinstance(at, Mapped)
        assert each.output is not None
        assert at.address == each.output + each.offset_of(each.last), "the scan leads where a walk does"
    return [(each.first, each.size_bytes, each.output) for each in found]


def test_an_entry_that_only_grants_execution_is_seen() -> None:
    """As x86's second stage has it: its lowest bit is clear, and it is valid."""
    memory = image({0: BELOW | V}, {3: 0x5000 | X, 4: 0x9000})
    assert runs(OtherRegime(ROOT, LEVELS), memory) == [(0x3000, 0x1000, 0x5000)]


def test_identical_entries_are_one_run_that_goes_on() -> None:
    span = dict.fromkeys(range(4, 8), 0x40000 | 0x2000 | W | X | V)
    memory = image({0: BELOW | V}, {**span, 8: 0x44000 | W | X | V, 9: 0x44000 | W | X | V})
    regime = OtherRegime(ROOT, LEVELS)
    assert runs(regime, memory) == [(0x4000, 0x6000, 0x40000)]
    inside = walk(regime, 0x6123, lambda pa, size: memory[pa : pa + size])
    assert inside.outcome == Mapped(0x42123, SPAN_BYTES)


def test_a_table_full_of_identical_entries_is_as_many_runs_as_they_make() -> None:
    memory = image({0: BELOW | V}, dict.fromkeys(range(1024), 0x40000 | W | X | V))
    found = runs(OtherRegime(ROOT, LEVELS), memory)
    assert (len(found), {each[1:] for each in found}) == (256, {(SPAN_BYTES, 0x40000)})


def test_one_root_serves_two_halves_and_nothing_is_in_the_hole() -> None:
    block = LEAF | W | V
    memory = image({0: 0x40_0000 | block, 511: 0x80_0000 | block, 512: 0xC0_0000 | block, 1023: block}, {})
    lower = OtherRegime(ROOT, LEVELS, last=0x7FFF_FFFF)
    upper = OtherRegime(ROOT, LEVELS, first=UPPER, last=(1 << 64) - 1)
    assert runs(lower, memory) == [(0, 0x40_0000, 0x40_0000), (0x7FC0_0000, 0x40_0000, 0x80_0000)]
    assert runs(upper, memory) == [(UPPER, 0x40_0000, 0xC0_0000), ((1 << 64) - 0x40_0000, 0x40_0000, 0)]
