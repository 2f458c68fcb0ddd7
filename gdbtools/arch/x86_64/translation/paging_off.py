"""Paging is off: an address leads to itself.

Source: Intel SDM volume 3, "Paging-Mode Enabling".
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbtools.addresses import PA, VA, Input
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Refusal,
    Regime,
    Rights,
    Step,
    Walk,
)
from gdbtools.arch.x86_64.causes import PagingCause
from gdbtools.arch.x86_64.privileges import LEVELS
from gdbtools.arch.x86_64.registers.control import CR0
from gdbtools.arch.x86_64.translation.second_stage import SecondStage

_EVERYTHING = Rights(True, True, True)


@dataclass(frozen=True)
class PagingOff(Regime):
    """Linear addresses while cr0.PG is 0."""

    protected: bool
    below: SecondStage | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 1
    root = PA(0)
    levels = ()
    first = VA(0)
    last = VA((1 << 32) - 1)
    output_last = PA((1 << 32) - 1)

    @property
    def own_name(self) -> str:
        return f"linear addresses, {self.short_name}"

    @property
    def short_name(self) -> str:
        return "no paging" if self.protected else "no paging (real mode)"

    @property
    def root_register(self) -> str:
        return "cr0"

    def admit(self, address: Input) -> Refusal | None:
        if address <= self.last:
            return None
        decider = Decider(PagingCause.ADDRESS_TOO_LARGE, "cr0", CR0.PG, 0)
        return Refusal(Fault(FaultKind.GENERAL_PROTECTION), decider)

    def decode(self, raw: bytes, level: Level) -> Entry:  # noqa: ARG002
        raise AssertionError("no entry is read while paging is off")

    def accept(self, step: Step) -> Refusal | None:  # noqa: ARG002
        raise AssertionError("no entry is read while paging is off")

    def check(self, walk: Walk, kind: AccessKind) -> Refusal | None:
        """Return what refuses an access to what `walk`, a walk of it, found: the second stage, if there is one."""
        if walk.refusal is not None or walk.final is None or self.below is None:
            return walk.refused
        # "Exit Qualification for EPT Violations": without paging every linear address is a user-mode one.
        return self.below.check(walk.final, kind, user=True)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if final is not None and final.attributes is not None:
            return final.attributes
        return Attributes("WB", "", dict.fromkeys(LEVELS, _EVERYTHING), True, None, True, False)
