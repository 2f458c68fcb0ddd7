"""Stage 1 of EL1&0 as a regime: one half of the address space, or an MMU that is off.

Source: DDI 0487, chapter D8 "The AArch64 Virtual Memory System Architecture", "Translation process" and "MMU fault
types".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gdbtools.arch.aarch64 import descriptors, permissions
from gdbtools.arch.aarch64.descriptors import KIND, TYPE_BLOCK, VALID, InvalidDescriptor
from gdbtools.arch.aarch64.geometry import (
    BLOCK_LEVELS,
    LAST_LEVEL,
    levels_for,
)
from gdbtools.arch.aarch64.memory_types import memory_type
from gdbtools.arch.aarch64.registers import (
    ID_AA64MMFR0_EL1,
    MAIR_EL1,
    SCTLR_EL1,
    SHAREABILITY,
    TCR_EL1,
    TG0_GRANULE,
    TG1_GRANULE,
    TTBR,
)
from gdbtools.arch.model import (
    Attributes,
    Cause,
    Decider,
    Entry,
    EntryKind,
    Fault,
    FaultKind,
    Level,
    Refusal,
    Regime,
    Step,
)
from gdbtools.bits import Field


@dataclass(frozen=True, slots=True)
class Half:
    """Which fields of TCR_EL1 govern one half of the address space."""

    ttbr: str
    TnSZ: Field
    TGn: Field
    granules: Mapping[int, str]
    EPDn: Field
    TBIn: Field
    HPDn: Field
    E0PDn: Field
    upper: bool


LOWER = Half(
    ttbr="TTBR0_EL1",
    TnSZ=TCR_EL1.T0SZ,
    TGn=TCR_EL1.TG0,
    granules=TG0_GRANULE,
    EPDn=TCR_EL1.EPD0,
    TBIn=TCR_EL1.TBI0,
    HPDn=TCR_EL1.HPD0,
    E0PDn=TCR_EL1.E0PD0,
    upper=False,
)
UPPER = Half(
    ttbr="TTBR1_EL1",
    TnSZ=TCR_EL1.T1SZ,
    TGn=TCR_EL1.TG1,
    granules=TG1_GRANULE,
    EPDn=TCR_EL1.EPD1,
    TBIn=TCR_EL1.TBI1,
    HPDn=TCR_EL1.HPD1,
    E0PDn=TCR_EL1.E0PD1,
    upper=True,
)


TAGGED = (1 << 56) - 1
"""The part of an address that is left of it where TBI ignores the top byte."""


@dataclass(frozen=True)
class Stage1(Regime):
    """One half of the EL1&0 regime, stage 1, as its registers describe it."""

    half: Half
    tcr: TCR_EL1
    ttbr: TTBR
    sctlr: SCTLR_EL1
    mair: MAIR_EL1 | None
    granule_bits: int
    output_bits: int
    hardware_access_flag: bool
    hardware_dirty: bool
    hpd_implemented: bool
    epan_implemented: bool
    e0pd_implemented: bool
    size_in_bounds: bool
    assumed: tuple[str, ...] = ()

    stage = 1

    @cached_property
    def name(self) -> str:  # type: ignore[override]
        return f"EL1&0 stage 1, {self.half.ttbr}"

    @cached_property
    def byte_order(self) -> Literal["little", "big"]:  # type: ignore[override]
        return "big" if self.sctlr.EE else "little"

    @cached_property
    def input_bits(self) -> int:
        return 64 - self.half.TnSZ.of(self.tcr)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return levels_for(self.granule_bits, self.input_bits) if self.size_in_bounds else ()

    @cached_property
    def root(self) -> int:  # type: ignore[override]
        """The table's address: BADDR, aligned to the root table's own size (64 bytes at the least)."""
        root_bytes = self.levels[0].entries * self.entry_bytes if self.levels else 0
        return self.ttbr.BADDR & -max(64, root_bytes)

    @cached_property
    def first(self) -> int:  # type: ignore[override]
        return (1 << 64) - (1 << self.input_bits) if self.half.upper else 0

    @cached_property
    def last(self) -> int:  # type: ignore[override]
        return (1 << 64) - 1 if self.half.upper else (1 << self.input_bits) - 1

    @property
    def hierarchical(self) -> bool:
        """Whether table descriptors limit what is below them (TCR_EL1.HPDn)."""
        return not (self.hpd_implemented and self.half.HPDn.of(self.tcr))

    def _refuse(self, kind: FaultKind, level: int, cause: Cause, holder: str, field: Field, value: int) -> Refusal:
        return Refusal(Fault(kind, self.stage, level), Decider(cause, holder, field, value))

    def admit(self, address: int) -> Refusal | None:
        """Refuse an address outside the range, a range whose walks are disabled, or a root beyond the output size.

        All of them are faults at level 0: "Translation fault" and "Address size fault" in section "MMU fault types".
        """
        tcr, half = self.tcr, self.half
        if not self.size_in_bounds:
            cause = Cause.RANGE_SIZE
            return self._refuse(FaultKind.TRANSLATION, 0, cause, "TCR_EL1", half.TnSZ, half.TnSZ.of(tcr))
        if not self.first <= self._untagged(address) <= self.last:
            cause = Cause.OUTSIDE_RANGE
            return self._refuse(FaultKind.TRANSLATION, 0, cause, "TCR_EL1", half.TnSZ, half.TnSZ.of(tcr))
        if half.EPDn.of(tcr):
            return self._refuse(FaultKind.TRANSLATION, 0, Cause.RANGE_DISABLED, "TCR_EL1", half.EPDn, 1)
        if self.root >> self.output_bits:
            cause = Cause.ROOT_TOO_LARGE
            return self._refuse(FaultKind.ADDRESS_SIZE, 0, cause, half.ttbr, TTBR.BADDR, self.ttbr.BADDR)
        return None

    def _untagged(self, address: int) -> int:
        """Copy bit 55 over the top byte where it is ignored."""
        if not self.half.TBIn.of(self.tcr):
            return address
        return address | ~TAGGED & ((1 << 64) - 1) if self.half.upper else address & TAGGED

    def decode(self, raw: bytes, level: Level) -> Entry:
        value = int.from_bytes(raw, self.byte_order)
        if not VALID.of(value):
            return Entry(EntryKind.INVALID, InvalidDescriptor(value), 0, Cause.INVALID_ENTRY)
        if level.number == LAST_LEVEL:
            if KIND.of(value) == TYPE_BLOCK:
                return Entry(EntryKind.INVALID, InvalidDescriptor(value), 0, Cause.RESERVED_ENTRY)
            page = descriptors.leaf_descriptor(level.low, False)(value)
            return Entry(EntryKind.PAGE, page, page.OutputAddress)
        if KIND.of(value) == TYPE_BLOCK:
            block = descriptors.leaf_descriptor(level.low, True)(value)
            if level.number not in BLOCK_LEVELS[self.granule_bits]:
                return Entry(EntryKind.INVALID, block, 0, Cause.BLOCK_NOT_ALLOWED)
            return Entry(EntryKind.BLOCK, block, block.OutputAddress)
        table = descriptors.table_descriptor(self.granule_bits)(value)
        return Entry(EntryKind.TABLE, table, table.NextTable)

    def accept(self, step: Step) -> Refusal | None:
        """Refuse in the manual's order: translation, address size, access flag ("MMU fault prioritization")."""
        entry, word = step.entry, step.entry.word
        if entry.kind is EntryKind.INVALID:
            assert entry.cause is not None
            field = VALID if entry.cause is Cause.INVALID_ENTRY else KIND
            return self._refuse_entry(step, FaultKind.TRANSLATION, entry.cause, field)
        if entry.address >> self.output_bits:
            cause = Cause.OUTPUT_TOO_LARGE if step.is_leaf else Cause.TABLE_TOO_LARGE
            field = type(word).field("OutputAddress" if step.is_leaf else "NextTable")
            return self._refuse_entry(step, FaultKind.ADDRESS_SIZE, cause, field)
        if isinstance(word, descriptors.LeafDescriptor) and not word.AF and not self.hardware_access_flag:
            return self._refuse_entry(step, FaultKind.ACCESS_FLAG, Cause.NOT_ACCESSED, type(word).AF)
        return None

    def _refuse_entry(self, step: Step, kind: FaultKind, cause: Cause, field: Field) -> Refusal:
        level = step.level.number
        decider = Decider(cause, "descriptor", field, field.of(step.entry.word), step.pa, level)
        return Refusal(Fault(kind, self.stage, level), decider)

    def effective(self, steps: tuple[Step, ...]) -> permissions.Effective:
        """Give what a path that ends in a leaf grants."""
        epan = self.epan_implemented and bool(self.sctlr.EPAN)
        return permissions.effective(steps, self.hierarchical, bool(self.sctlr.WXN), self.hardware_dirty, epan)

    def admit_user(self) -> Refusal | None:
        """Refuse every access of EL0 where TCR_EL1.E0PDn says so, whatever the tables hold (FEAT_E0PD)."""
        if not (self.e0pd_implemented and self.half.E0PDn.of(self.tcr)):
            return None
        return self._refuse(FaultKind.TRANSLATION, 0, Cause.PRIVILEGED_ONLY, "TCR_EL1", self.half.E0PDn, 1)

    def attributes(self, steps: tuple[Step, ...]) -> Attributes | None:
        if not steps or not steps[-1].is_leaf:
            return None
        leaf = steps[-1].entry.word
        assert isinstance(leaf, descriptors.LeafDescriptor)
        index = f"Attr{leaf.AttrIndx}"
        memory = f"MAIR {index}" if self.mair is None else memory_type(MAIR_EL1.field(index).of(self.mair))
        effective = self.effective(steps)
        return Attributes(
            memory=memory,
            shareability=SHAREABILITY.get(leaf.SH, "reserved"),
            rights={0: effective.user, 1: effective.privileged},
            accessed=bool(leaf.AF),
            dirty=not leaf.AP & descriptors.AP_READ_ONLY if leaf.DBM else None,
            is_global=not leaf.nG,
            contiguous=bool(leaf.Contiguous),
        )


@dataclass(frozen=True)
class Stage1Off(Regime):
    """Stage 1 of EL1&0 with SCTLR_EL1.M clear: every address is its own output (section "Stage 1 MMU disabled")."""

    output_bits: int
    top_byte_ignored: bool

    name = "EL1&0 stage 1, MMU off"
    stage = 1
    root = 0
    levels = ()
    first = 0

    @cached_property
    def last(self) -> int:  # type: ignore[override]
        return (1 << self.output_bits) - 1

    def admit(self, address: int) -> Refusal | None:
        if (address & TAGGED if self.top_byte_ignored else address) <= self.last:
            return None
        decider = Decider(Cause.ADDRESS_TOO_LARGE, "ID_AA64MMFR0_EL1", ID_AA64MMFR0_EL1.PARange, self.output_bits)
        return Refusal(Fault(FaultKind.ADDRESS_SIZE, self.stage, 0), decider)

    def decode(self, raw: bytes, level: Level) -> Entry:
        raise AssertionError("an MMU that is off reads no descriptor")

    def accept(self, step: Step) -> Refusal | None:
        raise AssertionError("an MMU that is off reads no descriptor")

    def attributes(self, steps: tuple[Step, ...]) -> Attributes | None:
        return permissions.UNTRANSLATED
