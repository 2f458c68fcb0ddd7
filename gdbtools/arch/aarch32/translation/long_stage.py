"""Stage 1 with long descriptors: one of the two ranges that TTBCR.{T0SZ, T1SZ} make of an address space.

Source: DDI 0487, "The VMSAv8-32 Long-descriptor translation table format", "Selecting between TTBR0 and TTBR1,
VMSAv8-32 Long-descriptor translation table format", and the pseudocode AArch32.S1WalkLD.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

from gdbtools.addresses import PA, VA, Input, Output
from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.permissions.controls import Granted
from gdbtools.arch.aarch32.permissions.long import is_non_secure, long_granted
from gdbtools.arch.aarch32.registers.translation import OUTPUT_BITS, SCTLR32, TTBCR_LONG, TTBR_LONG
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.geometry import INPUT_BITS, INPUT_LAST, long_levels
from gdbtools.arch.aarch32.tables.long_descriptors import LongLeaf, LongTable, long_leaf
from gdbtools.arch.aarch32.tables.long_entries import decode, refuse_entry
from gdbtools.arch.aarch32.translation.stage import CONTIGUOUS_ENTRIES, OWN_NAMES, PagedStage32
from gdbtools.arch.arm.second_stage import ArmSecondStage
from gdbtools.arch.model import (
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Privilege,
    Refusal,
    Step,
    Walk,
)
from gdbtools.bits import Field


@dataclass(frozen=True)
class LongStage(PagedStage32):
    """The range of TTBR0, or of TTBR1 where `upper`; `mair` is MAIR1:MAIR0, None where a half is not known."""

    ttbr: str
    upper: bool
    base: TTBR_LONG
    ttbcr: TTBCR_LONG
    sctlr: SCTLR32
    mair: int | None
    names: tuple[Privilege, Privilege] = OWN_NAMES
    below: ArmSecondStage | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    entry_bytes = 8
    output_last = PA((1 << OUTPUT_BITS) - 1)

    @cached_property
    def range_bits(self) -> int:
        """How many bits of an address the root resolves with what is below it: 32 where TnSZ is 0."""
        return INPUT_BITS - (self.ttbcr.T1SZ if self.upper else self.ttbcr.T0SZ)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return long_levels(self.range_bits)

    @cached_property
    def root(self) -> Output:  # type: ignore[override]
        """Where the table is: what is below its size is ignored."""
        return cast(Output, self.base.BADDR & -(self.levels[0].entries * self.entry_bytes))

    @cached_property
    def first(self) -> VA:  # type: ignore[override]
        """Where the range begins: TTBR1 has what is left where T1SZ is 0."""
        if not self.upper:
            return VA(0)
        if self.ttbcr.T1SZ:
            return VA((1 << INPUT_BITS) - (1 << self.range_bits))
        return VA(1 << INPUT_BITS - self.ttbcr.T0SZ)

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        """Where the range ends: TTBR0 has what is left where T0SZ is 0."""
        if self.upper:
            return VA(INPUT_LAST)
        if self.ttbcr.T0SZ or not self.ttbcr.T1SZ:
            return VA((1 << self.range_bits) - 1)
        return VA((1 << INPUT_BITS) - (1 << INPUT_BITS - self.ttbcr.T1SZ) - 1)

    def _disable(self) -> Field:
        return TTBCR_LONG.EPD1 if self.upper else TTBCR_LONG.EPD0

    def _outside(self) -> Field:
        return TTBCR_LONG.T1SZ if self.upper else TTBCR_LONG.T0SZ

    def admit(self, address: Input) -> Refusal | None:
        refused = super().admit(address)
        if refused is not None or not self.base.BADDR >> OUTPUT_BITS:
            return refused
        decider = Decider(VMSA32Cause.ROOT_TOO_LARGE, self.ttbr, TTBR_LONG.BADDR, self.base.BADDR)
        return Refusal(Fault(FaultKind.ADDRESS_SIZE, self.stage, 0), decider)

    def decode(self, raw: bytes, level: Level) -> Entry:
        return decode(int.from_bytes(raw, self.byte_order), level)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.stage)

    def linear_bits(self, level: Level) -> int:
        return long_leaf(level.low).field("OutputAddress").mask

    def table_bits(self) -> int:
        return LongTable.NextTable.mask

    def handed_down(self, entry: Entry) -> int:
        limits = (LongTable.NSTable, LongTable.APTable, LongTable.XNTable, LongTable.PXNTable)
        return sum(each.mask for each in limits) & entry.word

    def contiguous_entries(self, level: Level) -> int:  # noqa: ARG002
        return CONTIGUOUS_ENTRIES

    def granted(self, steps: tuple[Step, ...]) -> Granted:
        return long_granted(steps, self.sctlr)

    def memory(self, leaf: LongLeaf) -> tuple[int | None, int]:
        """Return the attribute (None: MAIR0 or MAIR1 is not known) and the shareability of a leaf."""
        if self.mair is None:
            return None, leaf.SH
        attr = self.mair >> 8 * leaf.AttrIndx & 0xFF
        return attr, memory_types.effective_shareability(attr, leaf.SH)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        if not steps or not steps[-1].is_leaf:
            return None
        leaf = steps[-1].entry.word
        assert isinstance(leaf, LongLeaf)
        attr, sh = self.memory(leaf)
        return self._attributes(
            steps,
            final,
            f"MAIR Attr{leaf.AttrIndx}" if attr is None else memory_types.named(attr),
            attr,
            sh,
            is_global=not leaf.nG,
            contiguous=bool(leaf.Contiguous),
            accessed=bool(leaf.AF),
            non_secure=is_non_secure(steps),
        )
