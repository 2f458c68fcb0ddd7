"""Hyp mode's stage 1: one range from 0 on, of long descriptors, for PL2 alone.

Source: DDI 0487, "The VMSAv8-32 Long-descriptor translation table format", for the Non-secure PL2 stage 1 translation
regime, and the pseudocode AArch32.S1WalkLD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gdbtools.addresses import VA, Input
from gdbtools.arch.aarch32.causes import VMSA32Cause
from gdbtools.arch.aarch32.permissions.hyp import hyp_granted
from gdbtools.arch.aarch32.permissions.long import is_non_secure
from gdbtools.arch.aarch32.privilege_levels import PL2
from gdbtools.arch.aarch32.registers.hypervisor import HSCTLR, HTCR, HTTBR
from gdbtools.arch.aarch32.registers.translation import OUTPUT_BITS
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.aarch32.tables.geometry import INPUT_BITS, INPUT_LAST, long_levels
from gdbtools.arch.aarch32.tables.long_descriptors import LongLeaf, LongTable
from gdbtools.arch.aarch32.translation.long_tables import LongTables
from gdbtools.arch.aarch32.translation.stage import refused_by_address
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Privilege,
    Refusal,
    Rights,
    Step,
    Walk,
)

NAME = "PL2 stage 1"


@dataclass(frozen=True)
class HypStage(LongTables):
    """The PL2 regime; `mair` is HMAIR1:HMAIR0, None where a half is not known."""

    base: HTTBR
    htcr: HTCR
    hsctlr: HSCTLR
    mair: int | None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    first = VA(0)

    @property
    def regime_name(self) -> str:
        return NAME

    @property
    def short_name(self) -> str:
        return "HTTBR"

    @property
    def byte_order(self) -> Literal["little", "big"]:  # type: ignore[override]
        return "big" if self.hsctlr.EE else "little"

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return long_levels(INPUT_BITS - self.htcr.T0SZ)

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        return VA((1 << INPUT_BITS - self.htcr.T0SZ) - 1)

    def admit(self, address: Input) -> Refusal | None:
        if address > INPUT_LAST:
            return refused_by_address()
        if address > self.last:
            decider = Decider(VMSA32Cause.OUTSIDE_HYP_RANGE, "HTCR", HTCR.T0SZ, self.htcr.T0SZ)
            return Refusal(Fault(FaultKind.TRANSLATION, self.stage, 1), decider)
        if self.base.BADDR >> OUTPUT_BITS:
            decider = Decider(VMSA32Cause.ROOT_TOO_LARGE, "HTTBR", HTTBR.BADDR, self.base.BADDR)
            return Refusal(Fault(FaultKind.ADDRESS_SIZE, self.stage, 0), decider)
        return None

    def handed_down(self, entry: Entry) -> int:
        return sum(each.mask for each in (LongTable.NSTable, LongTable.APTable, LongTable.XNTable)) & entry.word

    def check(self, walk: Walk, kind: AccessKind) -> Refusal | None:
        """Return the refusal of an access from Hyp mode to what `walk`, a walk of this, found."""
        if walk.refusal is not None or walk.leaf is None:
            return walk.refusal
        granted = hyp_granted(walk.steps, self.hsctlr)
        if kind in (AccessKind.MAINTENANCE, AccessKind.CLEAN_INVALIDATION):
            return None
        limit = granted.write if kind is AccessKind.INVALIDATION else granted.of(kind)
        return None if limit is None else limit.refuse(self.stage, walk.leaf.level.number)

    def rights(self, steps: tuple[Step, ...]) -> Mapping[Privilege, Rights]:
        return {PL2: hyp_granted(steps, self.hsctlr).rights}

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if not steps or not steps[-1].is_leaf:
            return None
        leaf = steps[-1].entry.word
        assert isinstance(leaf, LongLeaf), "a leaf is of long descriptors"
        attr, sh = self.memory(leaf)
        normal = attr is not None and not memory_types.is_device(attr)
        return Attributes(
            memory=f"MAIR Attr{leaf.AttrIndx}" if attr is None else memory_types.named(attr),
            shareability=memory_types.SHAREABILITY.get(sh, memory_types.RESERVED),
            rights=self.rights(steps),
            accessed=bool(leaf.AF),
            dirty=None,
            is_global=True,
            contiguous=bool(leaf.Contiguous),
            non_secure=is_non_secure(steps),
            device=attr is not None and not normal,
            unshared=normal and sh == memory_types.NON_SHAREABLE,
        )
