"""The G-stage: from guest physical addresses to physical ones.

Source: The RISC-V Privileged Architecture, "Guest Physical Address Translation", "Two-Stage Address Translation".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from gdbtools.addresses import IPA, PA, Input
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Fault,
    FaultKind,
    Level,
    Refusal,
    Step,
    Walk,
)
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.permissions.checks import guest_rights, refuse_guest
from gdbtools.arch.riscv.permissions.physical import Protection
from gdbtools.arch.riscv.privilege_modes import VS, VU
from gdbtools.arch.riscv.registers.translation import HGATP32, HGATP64
from gdbtools.arch.riscv.tables.descriptors import PageEntry
from gdbtools.arch.riscv.tables.entries import EntryRules
from gdbtools.arch.riscv.tables.geometry import Scheme
from gdbtools.arch.riscv.translation.paged import PagedStage


@dataclass(frozen=True)
class GuestStage(PagedStage):
    """The G-stage, as hgatp describes it; `reads_executable` is MXR of the hypervisor's own status."""

    hgatp: HGATP64 | HGATP32
    scheme: Scheme
    rules: EntryRules
    hardware_updates: bool
    reads_executable: bool
    protection: Protection | None
    byte_order: Literal["little", "big"] = "little"
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 2
    first = IPA(0)

    @property
    def own_name(self) -> str:
        return f"G-stage, {self.short_name}"

    @property
    def short_name(self) -> str:
        return f"hgatp ({self.scheme.name})"

    @property
    def stage_label(self) -> str:
        return "G-stage"

    @property
    def input_label(self) -> str:
        return "GPA"

    @property
    def root_register(self) -> str:
        return "hgatp"

    @cached_property
    def root(self) -> PA:  # type: ignore[override]
        return PA(self.hgatp.root)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return self.scheme.levels

    @cached_property
    def last(self) -> IPA:  # type: ignore[override]
        return IPA((1 << self.scheme.input_bits) - 1)

    def admit(self, address: Input) -> Refusal | None:
        if address <= self.last:
            return None
        decider = Decider(PagedCause.GUEST_ADDRESS_TOO_LARGE, "hgatp", type(self.hgatp).MODE, self.hgatp.MODE)
        return Refusal(Fault(FaultKind.TRANSLATION, self.stage), decider)

    def check(self, walk: Walk, kind: AccessKind, explicit: bool = True) -> Refusal | None:
        """Return what refuses an access to what `walk`, a walk of this stage, found.

        MXR is of explicit loads: the reading of a table for the VS-stage is none.
        """
        leaf = walk.leaf
        if leaf is None:
            return walk.refusal
        refused = refuse_guest(leaf, kind, self.reads_executable and explicit) or walk.refusal
        return refused or self.update_refused(leaf, kind)

    def implicit_refused(self, via: Walk, kind: AccessKind = AccessKind.READ) -> Refusal | None:
        """Return what refuses the VS-stage to read one of its entries, or to write it where hardware updates that."""
        refused = self.check(via, kind, explicit=False)
        return None if refused is None else Refusal(replace(refused.fault, s1ptw=True), refused.decider)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if not steps or not steps[-1].is_leaf:
            return None
        word = steps[-1].entry.word
        assert isinstance(word, PageEntry)
        allowed = guest_rights(word)
        # "The G bit in all G-stage PTEs is currently not used."
        return replace(self._attributes(steps, {VU: allowed, VS: allowed}), is_global=True)
