"""Stage 1 with long descriptors: one of the two ranges that TTBCR.{T0SZ, T1SZ} make of an address space.

Source: DDI 0487, "The VMSAv8-32 Long-descriptor translation table format", "Selecting between TTBR0 and TTBR1,
VMSAv8-32 Long-descriptor translation table format", and the pseudocode AArch32.S1WalkLD.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from gdbtools.addresses import VA, Input
from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.permissions.controls import Granted
from gdbtools.arch.aarch32.permissions.long import is_non_secure, long_granted
from gdbtools.arch.aarch32.registers.translation import OUTPUT_BITS, SCTLR32, TTBCR_LONG, TTBR_LONG
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.geometry import INPUT_BITS, INPUT_LAST, long_levels
from gdbtools.arch.aarch32.tables.long_descriptors import LongLeaf, LongTable
from gdbtools.arch.aarch32.translation.long_tables import LongTables
from gdbtools.arch.aarch32.translation.stage import OWN_NAMES, PagedStage32
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
class LongStage(LongTables, PagedStage32):
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

    @cached_property
    def range_bits(self) -> int:
        """How many bits of an address the root resolves with what is below it: 32 where TnSZ is 0."""
        return INPUT_BITS - (self.ttbcr.T1SZ if self.upper else self.ttbcr.T0SZ)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return long_levels(self.range_bits)

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

    def handed_down(self, entry: Entry) -> int:
        limits = (LongTable.NSTable, LongTable.APTable, LongTable.XNTable, LongTable.PXNTable)
        return sum(each.mask for each in limits) & entry.word

    def granted(self, steps: tuple[Step, ...]) -> Granted:
        return long_granted(steps, self.sctlr)

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
