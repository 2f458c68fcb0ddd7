"""Stage 2 of PL1&0 below Hyp mode in AArch32: AArch64's with a 4KB granule, and another way to say how large it is.

Its descriptors, and what they grant, are AArch64's; VTCR has the size of an IPA as 32 less a signed number, and what
is refused by it is refused at level 1.  Which architecture knows of those descriptors is asked for by its name where
the architectures are registered, so that neither imports the other.

Source: DDI 0487, "The VMSAv8-32 Long-descriptor translation table format" for stage 2, "VTCR", "VTTBR", and the
pseudocode AArch32.S2Walk, AArch32.S2InvalidSL, AArch32.S2InconsistentSL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal, cast

from gdbtools.addresses import IPA, PA, Input, Output
from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.privilege_levels import LEVELS
from gdbtools.arch.aarch32.registers.hypervisor import HCR, VTCR, VTTBR32
from gdbtools.arch.arm.second_stage import ArmSecondStage
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    ReadRegister,
    Refusal,
    Step,
    Walk,
    optional,
    written_down,
)
from gdbtools.bits import Field

NAME: Final = "stage2"
_OTHER: Final = "aarch64"
_BITS_40: Final = 2
"""VTCR_EL2.PS and ID_AA64MMFR0_EL1.PARange."""
_EL1: Final = 0b10011
_LEAST_BITS, _PAGE_BITS, _INDEX_BITS, _CONCATENATED = 25, 12, 9, 4
_LAST_LEVEL: Final = 3


@dataclass(frozen=True)
class SecondStage32(ArmSecondStage):
    """A stage 2 that VTCR and VTTBR describe; `tables` are AArch64's of the same size."""

    tables: ArmSecondStage
    vtcr: VTCR
    vttbr: VTTBR32
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 2
    first = IPA(0)
    entry_bytes = 8
    has_soft_invalid = True

    @property
    def regime_name(self) -> str:
        return "stage 2"

    @property
    def short_name(self) -> str:
        return "VTTBR"

    @property
    def byte_order(self) -> Literal["little", "big"]:  # type: ignore[override]
        return self.tables.byte_order

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return () if self._inconsistent() else self.tables.levels

    @cached_property
    def root(self) -> Output:  # type: ignore[override]
        return self.tables.root

    @cached_property
    def last(self) -> IPA:  # type: ignore[override]
        return IPA((1 << self.vtcr.input_bits) - 1)

    @cached_property
    def output_last(self) -> PA:  # type: ignore[override]
        return PA(self.tables.output_last)

    def _inconsistent(self) -> Field | None:
        """Return the field of VTCR that contradicts the others; None where a walk can begin."""
        if self.vtcr.S != self.vtcr.T0SZ >> 3:
            return VTCR.S
        start = 2 - self.vtcr.SL0
        resolved = _PAGE_BITS + _INDEX_BITS * (_LAST_LEVEL - start)
        fits = resolved < self.vtcr.input_bits <= resolved + _INDEX_BITS + _CONCATENATED
        return None if start in (1, 2) and fits else VTCR.SL0

    def admit(self, address: Input) -> Refusal | None:
        """Refuse a starting level that does not fit, and an address beyond the size: at level 1."""
        field = self._inconsistent()
        if field is not None:
            return self._refused(VMSA32Cause.STARTING_LEVEL, field)
        if address > self.last:
            return self._refused(VMSA32Cause.OUTSIDE_IPA_RANGE, VTCR.T0SZ)
        return self.tables.admit(address)

    def _refused(self, cause: VMSA32Cause, field: Field) -> Refusal:
        return Refusal(Fault(FaultKind.TRANSLATION, 2, 1), Decider(cause, "VTCR", field, field.of(self.vtcr)))

    def decode(self, raw: bytes, level: Level) -> Entry:
        return self.tables.decode(raw, level)

    def accept(self, step: Step) -> Refusal | None:
        return self.tables.accept(step)

    def linear_bits(self, level: Level) -> int:
        return self.tables.linear_bits(level)

    def table_bits(self) -> int:
        return self.tables.table_bits()

    def handed_down(self, entry: Entry) -> int:
        return self.tables.handed_down(entry)

    def contiguous_entries(self, level: Level) -> int:
        return self.tables.contiguous_entries(level)

    def check(self, walk: Walk, kind: AccessKind, el: int) -> Refusal | None:
        return self.tables.check(walk, kind, el)

    def fetch_refused_by_stage_2(self, via: Walk, kind: AccessKind = AccessKind.READ) -> Refusal | None:
        return self.tables.fetch_refused_by_stage_2(via, kind)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        found = self.tables.attributes(steps, final)
        if found is None:
            return None
        return replace(found, rights={LEVELS[level]: rights for level, rights in found.rights.items()})

    def of_both(self, own: Attributes, attr: int | None, sh: int, final: Walk) -> Attributes:
        return self.tables.of_both(own, attr, sh, replace(final, regime=self.tables))


def second_stage(register: ReadRegister) -> SecondStage32:
    """Return the stage 2 that the registers describe, whether it is on or not."""
    from gdbtools.arch import ARCHITECTURES  # not before there is one

    vtcr, vttbr = VTCR(register("VTCR")), VTTBR32(register("VTTBR"))
    hcr = HCR(optional(register, "HCR") or 0)
    [built] = ARCHITECTURES[_OTHER].regimes(written_down(_as_aarch64(register, vtcr, vttbr, hcr)), NAME)
    return SecondStage32(cast(ArmSecondStage, built), vtcr, vttbr)


def memory_names() -> Collection[str]:
    """Return every memory type that its answers may name."""
    from gdbtools.arch import ARCHITECTURES  # not before there is one

    return ARCHITECTURES[_OTHER].memory_types


def _as_aarch64(register: ReadRegister, vtcr: VTCR, vttbr: VTTBR32, hcr: HCR) -> Mapping[str, int]:
    """Return AArch64's registers for the same tables, as of a CPU that runs such a guest."""
    size = 64 - vtcr.input_bits
    geometry = 1 << 31 | _BITS_40 << 16 | vtcr & ~0xFF | vtcr.SL0 << 6 | size
    ee = optional(register, "HSCTLR") or 0
    return {
        "VTCR_EL2": geometry & 0xFFFF_FFFF,
        "VTTBR_EL2": int(vttbr),
        "HCR_EL2": int(hcr.with_(VM=1)),
        "SCTLR_EL2": ee,
        "cpsr": _EL1,
        "ID_AA64PFR0_EL1": 0x2222,
        "ID_AA64MMFR0_EL1": _BITS_40,
    }
