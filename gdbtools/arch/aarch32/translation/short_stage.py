"""Stage 1 with short descriptors: one of the two ranges that TTBCR.N makes of an address space.

Source: DDI 0487, "The VMSAv8-32 Short-descriptor translation table format", "Selecting between TTBR0 and TTBR1,
Short-descriptor translation table format", and the pseudocode AArch32.S1WalkSD.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

from gdbtools.addresses import PA, VA, Output
from gdbtools.arch.aarch32.permissions.controls import Granted
from gdbtools.arch.aarch32.permissions.short import ShortPath, domain_refused, short_granted
from gdbtools.arch.aarch32.registers.translation import (
    DACR,
    NMRR,
    OUTPUT_BITS,
    PRRR,
    SCTLR32,
    SHORT_ROOT_BITS,
    TTBCR,
)
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.geometry import INPUT_BITS, INPUT_LAST, short_levels
from gdbtools.arch.aarch32.tables.short_descriptors import Shape, ShortTable, short_leaf
from gdbtools.arch.aarch32.tables.short_entries import ShortRules, decode, refuse_entry
from gdbtools.arch.aarch32.translation.stage import CONTIGUOUS_ENTRIES, OWN_NAMES, PagedStage32
from gdbtools.arch.arm.second_stage import ArmSecondStage
from gdbtools.arch.model import Attributes, Entry, Level, Privilege, Refusal, Step, Walk
from gdbtools.bits import Field


@dataclass(frozen=True)
class ShortStage(PagedStage32):
    """The range of TTBR0, or of TTBR1 where `upper`; without PRRR and NMRR, memory types are not known under remap."""

    ttbr: str
    upper: bool
    base: int
    ttbcr: TTBCR
    sctlr: SCTLR32
    dacr: DACR
    remap: tuple[PRRR, NMRR] | None
    rules: ShortRules
    names: tuple[Privilege, Privilege] = OWN_NAMES
    below: ArmSecondStage | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    entry_bytes = 4
    output_last = PA((1 << OUTPUT_BITS) - 1)

    @cached_property
    def range_bits(self) -> int:
        """How many bits of an address the root resolves with what is below it: TTBR1's is always a whole one."""
        return INPUT_BITS if self.upper else INPUT_BITS - self.ttbcr.N

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return short_levels(self.range_bits)

    @cached_property
    def root(self) -> Output:  # type: ignore[override]
        """Where the table is: what is below its size is ignored."""
        root_bits = SHORT_ROOT_BITS - (INPUT_BITS - self.range_bits)
        return cast(Output, self.base & -(1 << root_bits))

    @cached_property
    def first(self) -> VA:  # type: ignore[override]
        return VA(1 << INPUT_BITS - self.ttbcr.N if self.upper else 0)

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        return VA(INPUT_LAST if self.upper else (1 << self.range_bits) - 1)

    def _disable(self) -> Field:
        return TTBCR.PD1 if self.upper else TTBCR.PD0

    def _outside(self) -> Field:
        return TTBCR.N

    @property
    def may_be_valid(self) -> int:
        return 0b11

    def decode(self, raw: bytes, level: Level) -> Entry:
        return decode(int.from_bytes(raw, self.byte_order), level, self.rules)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.stage)

    def linear_bits(self, level: Level) -> int:
        shape = Shape.SECTION if level.number == 1 else Shape.SMALL_PAGE
        return short_leaf(shape, self.rules.flag, self.rules.remap).field("OutputAddress").mask

    def table_bits(self) -> int:
        return ShortTable.NextTable.mask

    def handed_down(self, entry: Entry) -> int:
        return (ShortTable.Domain.mask | ShortTable.NS.mask | ShortTable.PXN.mask) & entry.word

    def contiguous_entries(self, level: Level) -> int:  # noqa: ARG002
        return CONTIGUOUS_ENTRIES

    def domain_refused(self, steps: tuple[Step, ...]) -> Refusal | None:
        return domain_refused(ShortPath.of(steps), self.dacr)

    def granted(self, steps: tuple[Step, ...]) -> Granted:
        return short_granted(ShortPath.of(steps), self.dacr, self.sctlr, self.rules.never)

    def memory(self, path: ShortPath) -> tuple[int | str | None, int]:
        """Return the memory type (None: PRRR and NMRR are not known) and the shareability of a path."""
        if not self.rules.remap:
            attr = memory_types.default(path.word)
            return attr, memory_types.default_shareability(path.word, attr)
        if self.remap is None:
            return None, memory_types.OUTER_SHAREABLE if path.word.S else memory_types.NON_SHAREABLE
        attr = memory_types.remapped(path.word, *self.remap)
        return attr, memory_types.remapped_shareability(path.word, self.remap[0], attr)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        if not steps or not steps[-1].is_leaf:
            return None
        path = ShortPath.of(steps)
        attr, sh = self.memory(path)
        flags = [each for each in type(path.word).fields() if each.name == "AF"]
        return self._attributes(
            steps,
            final,
            memory_types.UNKNOWN if attr is None else memory_types.named(attr),
            attr,
            sh,
            is_global=not path.word.field("nG").of(path.word),
            contiguous=bool(path.leaf.entry.span_bytes),
            accessed=all(each.of(path.word) for each in flags),
            non_secure=path.non_secure,
        )
