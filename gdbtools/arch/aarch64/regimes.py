"""From registers to regimes: `regime_for` builds the range of VMSAv8-64 stage 1 that translates an address.

Geometry is data: a granule and a TnSZ give a tuple of levels.  Source: DDI 0487, chapter D8 "The AArch64 Virtual Memory
System Architecture", sections "Translation process", "Translation granules", "VMSAv8-64 stage 1 translation".
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
    GRANULE_BITS,
    LAST_LEVEL,
    PHYSICAL_BITS,
    MAXIMUM_SMALL_TnSZ,
    MAXIMUM_TnSZ,
    MINIMUM_TnSZ,
    levels_for,
)
from gdbtools.arch.aarch64.memory_types import memory_type
from gdbtools.arch.aarch64.registers import (
    HCR_EL2,
    ID_AA64MMFR0_EL1,
    ID_AA64MMFR1_EL1,
    ID_AA64MMFR2_EL1,
    MAIR_EL1,
    SCTLR_EL1,
    SHAREABILITY,
    SPSR,
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
    ReadRegister,
    Refusal,
    Regime,
    Step,
)
from gdbtools.bits import Field
from gdbtools.errors import Unavailable


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
    upper: bool


LOWER = Half("TTBR0_EL1", TCR_EL1.T0SZ, TCR_EL1.TG0, TG0_GRANULE, TCR_EL1.EPD0, TCR_EL1.TBI0, TCR_EL1.HPD0, False)
UPPER = Half("TTBR1_EL1", TCR_EL1.T1SZ, TCR_EL1.TG1, TG1_GRANULE, TCR_EL1.EPD1, TCR_EL1.TBI1, TCR_EL1.HPD1, True)


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
        return permissions.effective(steps, self.hierarchical, bool(self.sctlr.WXN), self.hardware_dirty)

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


def optional(register: ReadRegister, name: str) -> int | None:
    """A register whose absence the architecture lets us read as "feature not known"."""
    try:
        return register(name)
    except Unavailable:
        return None


def _output_bits(register: ReadRegister, ips: int | None) -> int:
    """The smaller of what the kernel set (TCR_EL1.IPS) and what the PE has (PARange), 52 where neither is known."""
    mmfr0 = optional(register, "ID_AA64MMFR0_EL1")
    implemented = 52 if mmfr0 is None else PHYSICAL_BITS.get(ID_AA64MMFR0_EL1(mmfr0).PARange, 48)
    return min(implemented, 52 if ips is None else PHYSICAL_BITS[ips])


def refuse_what_is_not_decoded(register: ReadRegister) -> None:
    """Raise `Unavailable` where the tables mean something that this version would read wrongly."""
    cpsr = optional(register, "cpsr")
    el = 1 if cpsr is None else SPSR(cpsr).el
    if el > 1:
        raise Unavailable(
            f"this CPU is at EL{el}, and only the EL1&0 regime is decoded so far; "
            "stop it in the guest (EL1 or EL0) and ask again"
        )
    hcr = HCR_EL2(optional(register, "HCR_EL2") or 0)
    if hcr.E2H and hcr.TGE:
        raise Unavailable("HCR_EL2.E2H and TGE are 1: EL0 runs under the EL2&0 regime, which is not decoded so far")
    if hcr.VM or hcr.DC:
        raise Unavailable("HCR_EL2.VM is 1: this guest is under stage 2, which is not decoded so far")


def regimes(register: ReadRegister) -> tuple[Regime, ...]:
    """Give the ranges of the EL1&0 regime: TTBR0's and TTBR1's, or the one of an MMU that is off.

    Needs TCR_EL1, TTBR0_EL1 and TTBR1_EL1; what stands in for the others where they cannot be had is in the regime's
    `assumed`.  Raises `Unavailable` for a missing register and for what this version does not decode.
    """
    refuse_what_is_not_decoded(register)
    sctlr = _sctlr(register)
    if not sctlr.M:
        return (_stage1_off(register),)
    return _stage1(register, sctlr, LOWER), _stage1(register, sctlr, UPPER)


def _sctlr(register: ReadRegister) -> SCTLR_EL1:
    """SCTLR_EL1, or the MMU on and nothing else: who asks about tables has them in use."""
    value = optional(register, "SCTLR_EL1")
    return SCTLR_EL1(0).with_(M=1) if value is None else SCTLR_EL1(value)


def regime_for(register: ReadRegister, address: int) -> Regime:
    """Give the range that translates `address`: bit 55 chooses the half, whatever the top byte says."""
    refuse_what_is_not_decoded(register)
    sctlr = _sctlr(register)
    if not sctlr.M:
        return _stage1_off(register)
    return _stage1(register, sctlr, UPPER if address >> 55 & 1 else LOWER)


def _stage1_off(register: ReadRegister) -> Stage1Off:
    """The regime with SCTLR_EL1.M clear; TCR_EL1.TBI0 counts all the same, and bit 55 makes any address too large."""
    return Stage1Off(_output_bits(register, None), bool(TCR_EL1(optional(register, "TCR_EL1") or 0).TBI0))


ASSUMED = {
    "SCTLR_EL1": "SCTLR_EL1: M=1, WXN=0, EE=0",
    "MAIR_EL1": "MAIR_EL1: unknown, so are memory types",
    "ID_AA64MMFR0_EL1": "ID_AA64MMFR0_EL1: PARange as TCR_EL1.IPS",
    "ID_AA64MMFR1_EL1": "ID_AA64MMFR1_EL1: HAFDBS=2, HPDS=1",
    "ID_AA64MMFR2_EL1": "ID_AA64MMFR2_EL1: ST=0, VARange=0",
}
"""What stands in for a register that the source does not have."""


def _implemented(register: ReadRegister, granule: str) -> str:
    """Give the granule in force: a reserved or unimplemented one is taken for one that the PE has.

    Which one is IMPLEMENTATION DEFINED ("TCR_EL1.TG0"); like QEMU, the smallest.
    """
    mmfr0 = optional(register, "ID_AA64MMFR0_EL1")
    if mmfr0 is None:
        return granule if granule in GRANULE_BITS else "4KB"
    has = ID_AA64MMFR0_EL1(mmfr0)
    absent = 0b1111
    present = {"4KB": has.TGran4 != absent, "16KB": has.TGran16 != 0, "64KB": has.TGran64 != absent}
    return granule if present.get(granule) else next((each for each in present if present[each]), "4KB")


def _stage1(register: ReadRegister, sctlr: SCTLR_EL1, half: Half) -> Stage1:
    tcr = TCR_EL1(register("TCR_EL1"))
    if tcr.DS:
        raise Unavailable("TCR_EL1.DS is 1: 52-bit descriptors (FEAT_LPA2) are not decoded so far")
    asked = half.granules.get(half.TGn.of(tcr), "reserved")
    granule = _implemented(register, asked)
    granule_bits = GRANULE_BITS[granule]
    output_bits = _output_bits(register, tcr.IPS)
    if granule_bits == GRANULE_BITS["64KB"] and output_bits > 48:
        raise Unavailable("TCR_EL1.IPS is 52 bits at 64KB: 52-bit descriptors (FEAT_LPA) are not decoded so far")
    mmfr1, mmfr2 = optional(register, "ID_AA64MMFR1_EL1"), optional(register, "ID_AA64MMFR2_EL1")
    hafdbs = 2 if mmfr1 is None else ID_AA64MMFR1_EL1(mmfr1).HAFDBS
    small = mmfr2 is not None and ID_AA64MMFR2_EL1(mmfr2).ST
    maximum = MAXIMUM_SMALL_TnSZ[granule_bits] if small else MAXIMUM_TnSZ
    mair = optional(register, "MAIR_EL1")
    va_range = 0 if mmfr2 is None else ID_AA64MMFR2_EL1(mmfr2).VARange
    size = half.TnSZ.of(tcr)
    if size < MINIMUM_TnSZ and va_range and granule_bits == GRANULE_BITS["64KB"]:
        raise Unavailable(f"TCR_EL1.{half.TnSZ.name} is {size}: 52-bit addresses (FEAT_LVA) are not decoded so far")
    return Stage1(
        half=half,
        tcr=tcr,
        ttbr=TTBR(register(half.ttbr)),
        sctlr=sctlr,
        mair=None if mair is None else MAIR_EL1(mair),
        granule_bits=granule_bits,
        output_bits=min(output_bits, 48),
        hardware_access_flag=bool(tcr.HA) and hafdbs >= 1,
        hardware_dirty=bool(tcr.HA and tcr.HD) and hafdbs >= 2,
        hpd_implemented=mmfr1 is None or bool(ID_AA64MMFR1_EL1(mmfr1).HPDS),
        size_in_bounds=MINIMUM_TnSZ <= size <= maximum,
        assumed=(
            *(text for name, text in ASSUMED.items() if optional(register, name) is None),
            *([] if granule == asked else [f"{half.TGn.name}: {asked} is not implemented, so {granule}"]),
        ),
    )
