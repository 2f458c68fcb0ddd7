"""A stage of translation that is off: addresses lead to themselves, as far as the CPU's physical ones go."""

from __future__ import annotations

from functools import cached_property
from typing import cast

from gdbtools.addresses import PA, Input, Output
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.identification import ID_AA64MMFR0_EL1
from gdbtools.arch.model import Decider, Entry, Fault, FaultKind, Level, Refusal, Regime, Step


class StageOff(Regime):
    """What both stages have in common while they are off; `why` says which registers say so."""

    why: str
    output_bits: int
    parange: int
    """ID_AA64MMFR0_EL1.PARange, or what stands in for it."""

    root = PA(0)
    levels = ()
    first = cast(Input, 0)

    @cached_property
    def last(self) -> Input:  # type: ignore[override]
        return cast(Input, (1 << self.output_bits) - 1)

    @cached_property
    def output_last(self) -> Output:  # type: ignore[override]
        return cast(Output, self.last)

    def refuse_beyond(self, address: Input) -> Refusal | None:
        """Refuse an address that is no physical one: at stage 1 by R_VCDSW, at level 0."""
        if address <= self.last:
            return None
        decider = Decider(VMSACause.ADDRESS_TOO_LARGE, "ID_AA64MMFR0_EL1", ID_AA64MMFR0_EL1.PARange, self.parange)
        return Refusal(Fault(FaultKind.ADDRESS_SIZE, self.stage, 0), decider)

    def decode(self, raw: bytes, level: Level) -> Entry:  # noqa: ARG002
        raise AssertionError("a stage that is off reads no descriptor")

    def accept(self, step: Step) -> Refusal | None:  # noqa: ARG002
        raise AssertionError("a stage that is off reads no descriptor")
