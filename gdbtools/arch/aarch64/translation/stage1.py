"""Stage 1 as a regime: one range of EL1&0, EL2, EL2&0 or EL3, or an MMU that is off.

Source: DDI 0487, chapter D8 "The AArch64 Virtual Memory System Architecture": "Translation process", "MMU fault types",
"Address tagging", and the pseudocode AArch64.S1Walk and AArch64.S1Translate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gdbtools.addresses import VA, Input, Output
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.permissions.checks import Effective
from gdbtools.arch.aarch64.permissions.direct import direct, is_dirty, is_read_only
from gdbtools.arch.aarch64.permissions.indirect import indirect, withheld
from gdbtools.arch.aarch64.permissions.overlay import Base, overlaid
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.translation import MAIR, SCTLR, TTBR, WIDE_BASE
from gdbtools.arch.aarch64.tables import descriptors, memory_types
from gdbtools.arch.aarch64.tables.descriptors import TABLE_AF, EntryRole, IndirectLeaf, Layout, Stage1Leaf
from gdbtools.arch.aarch64.tables.entries import aligned_root, decode, refuse_entry
from gdbtools.arch.aarch64.tables.geometry import CONTIGUOUS_ENTRIES, levels_for
from gdbtools.arch.aarch64.translation.controls import Controls, RangeControls
from gdbtools.arch.aarch64.translation.security import Fetches
from gdbtools.arch.aarch64.translation.stage2 import Stage2, attributes_of_both
from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.arm.memory_names import memory_type
from gdbtools.arch.arm.second_stage import GRANULE
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Cause,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Privilege,
    Refusal,
    Regime,
    Rights,
    Step,
    Walk,
)
from gdbtools.bits import Field, Word

FULL = (1 << 64) - 1
TAG = 0xFF << 56
"""The top byte, where TBI ignores it."""
LOGICAL_TAG = 0xF << 56
"""What MTX alone leaves out of an address."""


@dataclass(frozen=True)
class Permissions:
    """The registers that permissions need besides the tables; None for what is off."""

    pir: tuple[str, Word] | None = None
    pire0: tuple[str, Word] | Limit | None = None
    """Or what withholds everything from EL0."""
    privileged_overlay: tuple[str, Word] | None = None
    user_overlay: tuple[str, Word] | None = None
    disabled: Limit | None = None
    """What has all of these registers taken for 0."""


@dataclass(frozen=True)
class Stage1(Regime):
    """One range of a stage 1, as its registers describe it."""

    called_pages = GRANULE

    controls: Controls
    range: RangeControls
    tcr: Word
    ttbr: TTBR
    sctlr: SCTLR
    mair: MAIR | None
    permissions: Permissions
    role: EntryRole
    granule_bits: int
    layout: Layout
    output_bits: int
    wide_root: bool
    hardware_access_flag: bool
    hardware_dirty: bool
    hierarchical: bool
    """Whether table descriptors limit what is below them (TCR_ELx.HPDn, permission indirection, overlays)."""
    execution_counts: bool
    unprivileged_counts: bool
    """Whether LDTR and STTR are EL0's accesses here."""
    contiguous_counts: bool
    """Whether bit 52 is the Contiguous bit (TCR2_ELx.PnCH makes it Protected)."""
    e0pd_implemented: bool
    maintenance_writes: bool
    """SCTLR_ELx.CMOW, where there is such a thing."""
    fetches: Fetches
    nested: bool
    """HCR_EL2.{NV, NV1}: a guest hypervisor, for which PSTATE.PAN counts as 0."""
    tables_accessed: bool
    """Whether hardware sets the access flag of tables (FEAT_HAFT)."""
    forced_non_global: bool
    """TCR2_ELx.FNGn."""
    size_in_bounds: bool
    below: Stage2 | None = None
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    software_dirty: int | None = None
    """The bit by which the guest's software says that a leaf is dirty, where its convention is known."""

    stage = 1

    @property
    def regime_name(self) -> str:
        return f"{self.controls.name} stage 1"

    @property
    def short_name(self) -> str:
        return self.range.ttbr

    @cached_property
    def byte_order(self) -> Literal["little", "big"]:  # type: ignore[override]
        return "big" if self.sctlr.EE else "little"  # R_FDKMS

    @cached_property
    def input_bits(self) -> int:
        return 64 - self.range.TnSZ.of(self.tcr)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        return levels_for(self.granule_bits, self.input_bits) if self.size_in_bounds else ()

    @cached_property
    def root(self) -> Output:  # type: ignore[override]
        """The table's address, an IPA where stage 2 follows (R_PNHHK): BADDR, aligned to the root table's own size.

        A wide one keeps its bits [51:48] in [5:2], and is aligned to 64 bytes at the least.
        """
        return aligned_root(self.ttbr, self.wide_root, self.levels)

    @cached_property
    def first(self) -> VA:  # type: ignore[override]
        return VA((1 << 64) - (1 << self.input_bits) if self.range.upper else 0)

    @cached_property
    def last(self) -> VA:  # type: ignore[override]
        return VA(FULL if self.range.upper else (1 << self.input_bits) - 1)

    @cached_property
    def output_last(self) -> int:  # type: ignore[override]
        return (1 << self.output_bits) - 1

    def linear_bits(self, level: Level) -> int:
        return self.layout.in_place(level.low)

    def table_bits(self) -> int:
        return self.layout.in_place(self.granule_bits)

    def contiguous_entries(self, level: Level) -> int:
        return CONTIGUOUS_ENTRIES.get((self.granule_bits, level.number), 1) if self.contiguous_counts else 1

    def handed_down(self, entry: Entry) -> int:
        if not self.hierarchical:
            return 0
        names = ("NSTable", "APTable", "UXNTable", "PXNTable", "XNTable")
        return sum(field.mask for field in type(entry.word).fields() if field.name in names) & entry.word

    def _refuse(self, kind: FaultKind, cause: Cause, holder: str, field: Field, value: int) -> Refusal:
        return Refusal(Fault(kind, self.stage, 0), Decider(cause, holder, field, value))

    def _refuse_by_tcr(self, cause: Cause, field: Field) -> Refusal:
        tcr = self.controls.register("TCR")
        return self._refuse(FaultKind.TRANSLATION, cause, tcr, field, field.of(self.tcr))

    def admit(self, address: Input) -> Refusal | None:
        """Refuse an address outside the range, a range whose walks are disabled, or a root beyond the output size.

        All of them are faults at level 0: "Translation fault" and "Address size fault" in section "MMU fault types".
        """
        if not self.size_in_bounds:  # R_YXNYW, R_SXWGM: a fault is one of two permitted behaviours
            return self._refuse_by_tcr(VMSACause.RANGE_SIZE, self.range.TnSZ)
        if not self.first <= self._untagged(address) <= self.last:  # R_YYVYV, I_THCZK: the gap between the ranges
            return self._refuse_by_tcr(VMSACause.OUTSIDE_RANGE, self.range.TnSZ)
        for EPDn in self.range.EPDn:
            if EPDn.of(self.tcr):  # I_ZFSYQ: no walk is done
                return self._refuse_by_tcr(VMSACause.RANGE_DISABLED, EPDn)
        if self.root >> self.output_bits:  # R_VPBBF: level 0, wherever the walk would start
            field = WIDE_BASE if self.wide_root else TTBR.BADDR
            cause, value = VMSACause.ROOT_TOO_LARGE, field.of(self.ttbr)
            return self._refuse(FaultKind.ADDRESS_SIZE, cause, self.range.ttbr, field, value)
        return None

    def admit_access(self, address: Input, kind: AccessKind, user: bool) -> Refusal | None:
        """Refuse an access whatever the tables hold: EL0's under E0PD, a fetch from a tagged address.

        A fetch has no tag under TBID, nor ever a logical one (AArch64.VAIsOutOfRange, EffectiveMTX).
        """
        bounds = self.range
        if kind is AccessKind.EXECUTE and not self.first <= address <= self.last:
            if bounds.TBIDn.of(self.tcr):
                return self._refuse_by_tcr(VMSACause.TAGGED_FETCH, bounds.TBIDn)
            if self._tag == LOGICAL_TAG:
                return self._refuse_by_tcr(VMSACause.LOGICAL_TAG_FETCH, bounds.MTXn)
        for E0PDn in bounds.E0PDn:
            if user and self.e0pd_implemented and E0PDn.of(self.tcr):  # R_BNDVG, I_RFRSQ: level 0
                return self._refuse_by_tcr(VMSACause.PRIVILEGED_ONLY, E0PDn)
        return None

    def _untagged(self, address: int) -> int:
        """Copy bit 55 over what is no part of the address: the top byte under TBI, the logical tag under MTX."""
        return address | self._tag if self.range.upper else address & ~self._tag

    @cached_property
    def _tag(self) -> int:
        if self.range.TBIn.of(self.tcr):
            return TAG
        return LOGICAL_TAG if self.range.MTXn.of(self.tcr) else 0

    def tag_of(self, address: Input) -> int:
        return address & self._tag if self._untagged(address) != address else 0

    def decode(self, raw: bytes, level: Level) -> Entry:
        value = int.from_bytes(raw, self.byte_order)
        return decode(value, level, self.granule_bits, self.role, self.layout, self.has_overlays)

    @cached_property
    def has_overlays(self) -> bool:
        return self.permissions.privileged_overlay is not None or self.permissions.user_overlay is not None

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.stage, self.output_bits, self.hardware_access_flag)

    def _update_refused(self, step: Step) -> Refusal | None:
        """Return what keeps hardware from writing a descriptor: stage 2, if it maps the table read-only (I_VPNMG)."""
        if self.below is None or step.via is None:
            return None
        return self.below.fetch_refused_by_stage_2(step.via, AccessKind.WRITE)

    def _is_updated(self, leaf: Step, kind: AccessKind) -> bool:
        """Return whether hardware writes this leaf when an access is allowed: its access flag, or that it is dirty."""
        word = leaf.entry.word
        assert isinstance(word, Stage1Leaf)
        if not word.AF:  # R_HDTRB
            return True
        if kind is not AccessKind.WRITE or not self.hardware_dirty:
            return False
        # R_NSXRD: a clean leaf.
        return bool(word.nDirty) if isinstance(word, IndirectLeaf) else is_dirty(word) is False

    def fetch_refused(self, via: Walk) -> Refusal | None:
        assert self.below is not None, "there is a stage below to fetch through"
        return self.below.fetch_refused_by_stage_2(via)

    def effective(self, steps: tuple[Step, ...]) -> Effective:
        """Return what a path that ends in a leaf grants at stage 1."""
        given = self.permissions
        if given.disabled is not None and given.pir is not None:
            privileged = withheld(given.disabled)
            user = privileged if self.controls.user else None
        elif given.pir is not None:
            privileged, user = indirect(steps[-1], given.pir, given.pire0, self.hardware_dirty)
        else:
            exclusive = None
            if self.sctlr.WXN:  # R_SYMMB, R_FYMXJ; with permission indirection it has no effect: I_PMKFB
                sctlr = self.controls.register("SCTLR")
                exclusive = Limit(VMSACause.WRITE_IMPLIES_EXECUTE_NEVER, SCTLR.WXN, 1, register=sctlr)
            above, below = direct(steps, self.hierarchical, self.hardware_dirty)
            privileged = Base(above, True, exclusive)
            user = None if below is None else Base(below, True, exclusive)
        upper = overlaid(privileged, self._overlay(steps, given.privileged_overlay))
        lower = None if user is None else overlaid(user, self._overlay(steps, given.user_overlay))
        return Effective(
            self._of_this_state(steps, upper),
            None if lower is None else self._of_this_state(steps, lower),
            None if user is None else user.grant,
            self._execution_counts,
            self.maintenance_writes,
            self.controls.register("SCTLR"),
        )

    def _of_this_state(self, steps: tuple[Step, ...], granted: Grant) -> Grant:
        """Return what is left of a grant in the state of security that the CPU is in."""
        left = granted.without_fetches(self.fetches.refused(steps))
        return left if self.fetches.call_stack_allowed(steps) else left.without_call_stack()

    @property
    def _execution_counts(self) -> Limit | None:
        """What has PAN cover pages that EL0 may only execute: with permission indirection, PAN itself (R_TBKKB)."""
        if not self.execution_counts:
            return None
        if self.permissions.pir is not None:
            return Limit(VMSACause.PRIVILEGED_ACCESS_NEVER, SPSR.PAN, 1, register="PSTATE")
        return Limit(VMSACause.PRIVILEGED_ACCESS_NEVER, SCTLR.EPAN, 1, register=self.controls.register("SCTLR"))

    def _overlay(self, steps: tuple[Step, ...], overlay: tuple[str, Word] | None) -> Limit | None:
        if overlay is None or self.permissions.disabled is not None:
            return None if overlay is None else self.permissions.disabled
        name, word = overlay
        leaf = steps[-1].entry.word
        field = word.field(f"Perm{leaf.field('POIndex').of(leaf)}")  # R_BXJBV
        return Limit(VMSACause.OVERLAY, field, field.of(word), register=name)

    def check(self, walk: Walk, kind: AccessKind, as_user: bool, pstate: SPSR) -> Refusal | None:
        """Return stage 1's refusal of an access to what `walk`, a walk of this regime, found."""
        if refused := self.admit_access(walk.input, kind, as_user):
            return refused
        if walk.refusal is not None or walk.leaf is None:
            return walk.refusal
        for table in walk.steps[:-1] if self.tables_accessed else ():
            if not TABLE_AF.of(table.entry.word) and (refused := self._update_refused(table)):
                return refused
        counts = pstate.with_(PAN=0) if self.nested else pstate  # I_YMLJD
        limit = self.effective(walk.steps).check(kind, as_user, counts)
        if limit is not None:
            return limit.refuse(self.stage, walk.leaf.level.number)  # I_GQYCH: the leaf's level, whoever denies
        return self._update_refused(walk.leaf) if self._is_updated(walk.leaf, kind) else None

    def device_fetch(self, walk: Walk) -> Refusal | None:
        """Return what this PE may refuse a fetch for that ends in Device memory.

        Whether it does is CONSTRAINED UNPREDICTABLE ("Instruction execution", Unpredictable_INSTRDEVICE).
        """
        leaf = walk.leaf
        if leaf is None or walk.refusal is not None or self.mair is None:
            return None
        word = leaf.entry.word
        assert isinstance(word, Stage1Leaf)
        field = MAIR.field(f"Attr{word.AttrIndx}")
        attr = field.of(self.mair)
        if not memory_types.is_device(attr):
            return None
        limit = Limit(VMSACause.DEVICE_FETCH, field, attr, register=self.controls.register("MAIR"))
        return limit.refuse(self.stage, leaf.level.number)

    def memory(self, leaf: Stage1Leaf) -> tuple[int | None, int]:
        """Return the MAIR attribute (None: MAIR is not known) and the shareability of a leaf, for data accesses."""
        sh = self.range.SHn.of(self.tcr) if self.layout is Layout.LPA2 else descriptors.LeafDescriptor.SH.of(leaf)
        if self.mair is None:
            return None, sh
        attr = MAIR.field(f"Attr{leaf.AttrIndx}").of(self.mair)
        # SCTLR_ELx.C: with it clear, data accesses to Normal memory are Non-cacheable (I_QNNGV).
        if not self.sctlr.C and not memory_types.is_device(attr):
            attr = memory_types.NON_CACHEABLE
        return attr, memory_types.effective_shareability(attr, sh)

    def _dirty(self, leaf: Step) -> bool | None:
        """Return whether a leaf is dirty, by hardware's rule or by software's bit.

        None where it keeps no such state, or nobody is to write it and it is not dirty either.
        """
        word, recorded = leaf.entry.word, self._recorded(leaf)
        if self.software_dirty is None:
            return recorded
        if descriptors.software_bit(self.software_dirty).of(word):
            return True
        read_only = isinstance(word, IndirectLeaf) or is_read_only(word)
        return recorded if recorded is not None or read_only else False

    def _recorded(self, leaf: Step) -> bool | None:
        """Return whether a write has been recorded as hardware does; None where the leaf keeps no such state."""
        word, given = leaf.entry.word, self.permissions
        if not isinstance(word, IndirectLeaf):
            return is_dirty(word)
        if given.disabled is not None:
            return None
        assert given.pir is not None, "its permissions are indirect"
        levels = indirect(leaf, given.pir, given.pire0, hardware_dirty=True)
        writable = any(base is not None and base.grant.write is None for base in levels)
        return not word.nDirty if writable else None

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        if not steps or not steps[-1].is_leaf:
            return None
        leaf = steps[-1].entry.word
        assert isinstance(leaf, Stage1Leaf)
        attr, sh = self.memory(leaf)
        granted = self.effective(steps)
        rights: Mapping[Privilege, Rights] = {LEVELS[self.controls.el]: granted.privileged.rights}
        if granted.user is not None:
            rights = {LEVELS[0]: granted.user.rights, **rights}
        own = Attributes(
            memory=f"MAIR Attr{leaf.AttrIndx}" if attr is None else memory_type(attr),
            shareability=memory_types.shareability(sh),
            device=attr is not None and memory_types.is_named_device(attr),
            unshared=attr is not None and memory_types.is_unshared(attr, sh),
            rights=rights,
            accessed=bool(leaf.AF),
            dirty=self._dirty(steps[-1]),
            is_global=not (self.controls.user and (self.forced_non_global or bool(getattr(leaf, "nG", 0)))),
            contiguous=bool(leaf.Contiguous) and self.contiguous_entries(steps[-1].level) > 1,
            guarded=bool(leaf.GP),
            non_secure=bool(leaf.NS),
        )
        return own if final is None else attributes_of_both(own, attr, sh, final)
