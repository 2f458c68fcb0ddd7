"""A stage 1 with tables, in either format: what short and long descriptors have in common.

Source: DDI 0487, "Translation tables and the translation process" of chapter G5.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Literal

from gdbtools.addresses import Input
from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.permissions.controls import Granted
from gdbtools.arch.aarch32.privilege_levels import PL0, PL1
from gdbtools.arch.aarch32.registers.processor_state import CPSR
from gdbtools.arch.aarch32.registers.translation import SCTLR32
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.geometry import INPUT_LAST, LARGE_PAGE_BITS, PAGE_BITS
from gdbtools.arch.arm.second_stage import GRANULE, ArmSecondStage
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Fault,
    FaultKind,
    Privilege,
    Refusal,
    Regime,
    Rights,
    Step,
    Walk,
)
from gdbtools.bits import Field, Word

CONTIGUOUS_ENTRIES = 1 << LARGE_PAGE_BITS - PAGE_BITS
"""How many entries make a contiguous run: a large page of small ones, a supersection, and what is Contiguous."""


class PagedStage32(Regime):
    """One range of the PL1&0 regime: `ttbr` names the register that its tables hang from."""

    ttbr: str
    ttbcr: Word
    below: ArmSecondStage | None = None
    sctlr: SCTLR32
    names: tuple[Privilege, Privilege]
    """PL1 and PL0 as they are called here: unprivileged last."""

    stage = 1
    called_pages = GRANULE

    @property
    def regime_name(self) -> str:
        return f"{self.names[0].label}&0 stage 1"

    @property
    def short_name(self) -> str:
        return self.ttbr

    @property
    def byte_order(self) -> Literal["little", "big"]:  # type: ignore[override]
        return "big" if self.sctlr.EE else "little"

    def admit(self, address: Input) -> Refusal | None:
        """Refuse what lies outside the range, and a range whose walks are disabled: at level 1, before any table."""
        if address > INPUT_LAST:
            return refused_by_address()
        if not self.first <= address <= self.last:
            return self._refused_at_once(FaultKind.TRANSLATION, VMSA32Cause.OUTSIDE_RANGE, self._outside())
        if self._disable().of(self.ttbcr):
            return self._refused_at_once(FaultKind.TRANSLATION, VMSA32Cause.RANGE_DISABLED, self._disable())
        return None

    @abc.abstractmethod
    def _disable(self) -> Field:
        """Return the field of TTBCR that disables walks of this range."""

    @abc.abstractmethod
    def _outside(self) -> Field:
        """Return the field of TTBCR that says where the range ends."""

    def _refused_at_once(self, kind: FaultKind, cause: VMSA32Cause, field: Field) -> Refusal:
        return Refusal(Fault(kind, self.stage, 1), Decider(cause, "TTBCR", field, field.of(self.ttbcr)))

    @abc.abstractmethod
    def granted(self, steps: tuple[Step, ...]) -> Granted:
        """Return what a path that ends in a leaf grants."""

    def fetch_refused(self, via: Walk) -> Refusal | None:
        assert self.below is not None, "there is a stage below to fetch through"
        return self.below.fetch_refused_by_stage_2(via)

    def domain_refused(self, steps: tuple[Step, ...]) -> Refusal | None:  # noqa: ARG002
        """Return what refuses every access to a leaf, whatever its permissions; long descriptors have no domains."""
        return None

    def check(self, walk: Walk, kind: AccessKind, as_user: bool, state: CPSR) -> Refusal | None:
        """Return this stage's refusal of an access to what `walk`, a walk of it, found."""
        if walk.refusal is not None or walk.leaf is None:
            return walk.refusal
        refused = self.domain_refused(walk.steps)
        if refused is not None:
            return refused
        limit = self.granted(walk.steps).check(kind, as_user, state)
        if limit is not None:
            return limit.refuse(self.stage, walk.leaf.level.number)
        return refused_below(self.below, walk, kind, as_user)

    def rights(self, steps: tuple[Step, ...]) -> Mapping[Privilege, Rights]:
        """Return what each level may do, before PAN has a say."""
        upper, lower = self.names
        if self.domain_refused(steps) is not None:
            return {lower: Rights(False, False, False), upper: Rights(False, False, False)}
        granted = self.granted(steps)
        return {lower: granted.user.rights, upper: granted.privileged.rights}

    def _attributes(
        self,
        steps: tuple[Step, ...],
        final: Walk | None,
        memory: str,
        attr: int | str | None,
        sh: int,
        *,
        is_global: bool,
        contiguous: bool,
        accessed: bool,
        non_secure: bool,
    ) -> Attributes:
        """Return what a path that ends in a leaf gives; `attr` is its memory type as MAIR has it, or in words."""
        own = Attributes(
            memory=memory,
            shareability=memory_types.SHAREABILITY.get(sh, memory_types.RESERVED),
            rights=self.rights(steps),
            accessed=accessed,
            dirty=None,
            is_global=is_global,
            contiguous=contiguous,
            non_secure=non_secure,
            device=isinstance(attr, int) and memory_types.is_device(attr),
            unshared=isinstance(attr, int) and not memory_types.is_device(attr) and sh == memory_types.NON_SHAREABLE,
        )
        known = attr if isinstance(attr, int) else None
        return own if final is None or self.below is None else self.below.of_both(own, known, sh, final)


OWN_NAMES = PL1, PL0


def refused_below(below: ArmSecondStage | None, walk: Walk, kind: AccessKind, as_user: bool) -> Refusal | None:
    """Return what stage 2 refuses of an access that stage 1 allows; None where there is none."""
    if walk.final is None:
        return None
    assert below is not None, "what is walked below is a stage that there is"
    return below.check(walk.final, kind, 0 if as_user else 1)


def refused_by_address() -> Refusal:
    """Return the refusal of an address that AArch32 does not have."""
    field = Field((63, 32), doc="0", name="VA[63:32]")
    return Refusal(Fault(FaultKind.TRANSLATION, 1, 1), Decider(VMSA32Cause.ADDRESS_TOO_LARGE, "VA", field, 1))
