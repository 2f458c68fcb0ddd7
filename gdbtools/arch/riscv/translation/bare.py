"""A mode that nothing translates for: M, or S and VS while MODE is Bare.

Source: The RISC-V Privileged Architecture, "Supervisor Address Translation and Protection (satp) Register", "Memory
Privilege in mstatus Register".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

from gdbtools.addresses import PA, VA, Input, Output
from gdbtools.arch.model import (
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Mapped,
    Privilege,
    Refusal,
    Regime,
    Rights,
    Step,
    Walk,
)
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.permissions.physical import Protection
from gdbtools.arch.riscv.registers.catalog import WIDE
from gdbtools.arch.riscv.tables.descriptors import MEMORY_TYPES, PMA
from gdbtools.arch.riscv.tables.geometry import PHYSICAL_BITS
from gdbtools.arch.riscv.translation.guest_stage import GuestStage
from gdbtools.arch.riscv.translation.paged import FULL
from gdbtools.arch.riscv.translation.pointer_masking import masked
from gdbtools.bits import Field

EVERYTHING = Rights(True, True, True)


@dataclass(frozen=True)
class Untranslated(Regime):
    """Addresses that lead to themselves, as `field` of `holder` says: MODE is Bare, or the mode is M."""

    modes: tuple[Privilege, ...]
    holder: str
    field: Field
    value: int
    bits: int
    protection: Protection | None
    pmlen: int = 0
    below: GuestStage | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stage: int = 1

    root = PA(0)
    first = VA(0)
    levels = ()

    @property
    def own_name(self) -> str:
        return f"{'G-stage' if self.stage == 2 else self.modes[-1].label + '-mode'}, {self.short_name}"

    @property
    def short_name(self) -> str:
        return "no translation" if self.value else f"{self.holder} (Bare)"

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        if self.bits < WIDE:
            return VA((1 << self.bits) - 1)
        # What is too large for the stage below is for that to say.
        return VA(FULL if self.below else (1 << PHYSICAL_BITS[self.bits]) - 1)

    @cached_property
    def output_last(self) -> int:  # type: ignore[override]
        return self.last

    def translated(self, address: Input) -> Input:
        return VA(masked(address, self.pmlen, virtual=False))

    def tag_of(self, address: Input) -> int:
        return address & ~(FULL >> self.pmlen)

    def admit(self, address: Input) -> Refusal | None:
        if address <= self.last:
            return None
        decider = Decider(PagedCause.ADDRESS_TOO_LARGE, self.holder, self.field, self.value)
        return Refusal(Fault(FaultKind.ACCESS, self.stage), decider)

    def decode(self, raw: bytes, level: Level) -> Entry:  # noqa: ARG002
        raise AssertionError("a mode that nothing translates for reads no entry")

    def accept(self, step: Step) -> Refusal | None:  # noqa: ARG002
        raise AssertionError("a mode that nothing translates for reads no entry")

    def output(self, address: Input, leaf: Step | None) -> Mapped[Output]:  # noqa: ARG002
        return Mapped(cast(Output, self.translated(address)), self.last + 1)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if final is not None and final.attributes is not None:
            return final.attributes
        rights = dict.fromkeys(self.modes, EVERYTHING)
        return Attributes(MEMORY_TYPES[PMA], "", rights, True, None, True, False, physical_type=True)
