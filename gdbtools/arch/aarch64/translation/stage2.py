"""Stage 2 as a regime: from intermediate physical addresses to physical ones, and what both stages come to together.

Source: DDI 0487, "Stage 2 translation", "Concatenated translation tables", "Stage 2 data access permissions", "Stage 2
Base Permissions", and the pseudocode AArch64.S2Walk, AArch64.S2InvalidSL, AArch64.S2InconsistentSL,
AArch64.S2CheckPermissions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from gdbtools.addresses import IPA, PA, Input, Output
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, HCRX_EL2, VTCR_EL2, VTTBR
from gdbtools.arch.aarch64.registers.translation import WIDE_BASE
from gdbtools.arch.aarch64.tables import memory_types
from gdbtools.arch.aarch64.tables.descriptors import (
    S2AP_READ,
    S2AP_WRITE,
    EntryRole,
    Layout,
    LeafDescriptor,
    RealmStage2IndirectLeaf,
    RealmStage2Leaf,
    Stage2IndirectLeaf,
    Stage2Leaf,
)
from gdbtools.arch.aarch64.tables.entries import aligned_root, refuse_entry, soft_invalid
from gdbtools.arch.aarch64.tables.geometry import CONTIGUOUS_ENTRIES, stage2_levels_for
from gdbtools.arch.arm.grants import Grant, Limit
from gdbtools.arch.arm.memory_names import memory_type
from gdbtools.arch.arm.second_stage import ArmSecondStage
from gdbtools.arch.model import (
    AccessKind,
    Attributes,
    Decider,
    Entry,
    Fault,
    FaultKind,
    Level,
    Refusal,
    Rights,
    Step,
    Walk,
)
from gdbtools.bits import Word

# R_CXFCS, "Stage 2 Permission Indirection Register": (read, write, which levels execute); the others grant nothing.
STAGE2_BASE: dict[int, tuple[bool, bool, tuple[int, ...]]] = {
    0b0010: (True, False, ()),
    0b0011: (True, False, ()),
    0b0100: (False, True, ()),
    0b0110: (True, False, ()),
    0b0111: (True, False, ()),
    0b1000: (True, False, ()),
    0b1001: (True, False, (0,)),
    0b1010: (True, False, (1,)),
    0b1011: (True, False, (0, 1)),
    0b1100: (True, True, ()),
    0b1101: (True, True, (0,)),
    0b1110: (True, True, (1,)),
    0b1111: (True, True, (0, 1)),
}


MOSTLY_READ_ONLY = (0b0010, 0b0011, 0b0110, 0b0111)
"""The encodings that let the table walker write, and RCW instructions, but nobody else (R_WRFCR)."""


@dataclass(frozen=True)
class Stage2(ArmSecondStage):
    """Stage 2 of EL1&0, as VTCR_EL2 and VTTBR_EL2 (or their Secure kin) describe it."""

    secure: bool
    holder: str
    """The register that has T0SZ, SL0 and the granule: VTCR_EL2 or VSTCR_EL2."""
    table_base: str
    geometry: Word
    vtcr: VTCR_EL2
    vttbr: VTTBR
    hcr: HCR_EL2
    granule_bits: int
    start: int | None
    """The starting level; None where SL0 and SL2 name none that this granule has."""
    layout: Layout
    output_bits: int
    wide_root: bool
    big_endian: bool
    hardware_access_flag: bool
    hardware_dirty: bool
    execute_never_by_level: bool
    forced_write_back: bool | None
    """HCR_EL2.FWB; None where the guest's is not known."""
    s2pir: Word | None
    disabled: Limit | None
    """What has S2PIR_EL2 taken for 0."""
    realm: bool
    maintenance_writes: bool
    """HCRX_EL2.CMOW: cache maintenance that invalidates needs the right to write."""
    size_in_bounds: bool
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    stage = 2
    first = IPA(0)
    has_soft_invalid = True

    @property
    def regime_name(self) -> str:
        return f"{'Secure ' if self.secure else ''}stage 2"

    @property
    def short_name(self) -> str:
        return self.table_base

    @cached_property
    def byte_order(self) -> Literal["little", "big"]:  # type: ignore[override]
        return "big" if self.big_endian else "little"

    @cached_property
    def role(self) -> EntryRole:
        if self.realm:
            return EntryRole.STAGE2_REALM if self.s2pir is None else EntryRole.STAGE2_REALM_INDIRECT
        return EntryRole.STAGE2 if self.s2pir is None else EntryRole.STAGE2_INDIRECT

    @cached_property
    def input_bits(self) -> int:
        return 64 - VTCR_EL2.T0SZ.of(self.geometry)

    @cached_property
    def levels(self) -> tuple[Level, ...]:  # type: ignore[override]
        if self.start is None or not self.size_in_bounds:
            return ()
        return stage2_levels_for(self.granule_bits, self.input_bits, self.start)

    @cached_property
    def root(self) -> Output:  # type: ignore[override]
        """The table's address: BADDR, aligned to all of the concatenated root (R_VCLZN); always a PA (R_QSWHS)."""
        return aligned_root(self.vttbr, self.wide_root, self.levels)

    @cached_property
    def last(self) -> IPA:  # type: ignore[override]
        return IPA((1 << self.input_bits) - 1)

    @cached_property
    def output_last(self) -> PA:  # type: ignore[override]
        return PA((1 << self.output_bits) - 1)

    def linear_bits(self, level: Level) -> int:
        return self.layout.in_place(level.low)

    def table_bits(self) -> int:
        return self.layout.in_place(self.granule_bits)

    def contiguous_entries(self, level: Level) -> int:
        return CONTIGUOUS_ENTRIES.get((self.granule_bits, level.number), 1)

    def admit(self, address: Input) -> Refusal | None:
        """Refuse a starting level that does not fit, an address beyond T0SZ, a root beyond the output size."""
        if not self.levels:  # R_MYXHB, R_SRKBC; AArch64.S2InvalidSL, AArch64.S2InconsistentSL
            field = VTCR_EL2.T0SZ if not self.size_in_bounds else VTCR_EL2.SL0
            cause = VMSACause.RANGE_SIZE if not self.size_in_bounds else VMSACause.STARTING_LEVEL
            decider = Decider(cause, self.holder, field, field.of(self.geometry))
            return Refusal(Fault(FaultKind.TRANSLATION, self.stage, 0), decider)
        if address > self.last:  # R_DRRZZ: the size check of IPAs, at level 0
            size = VTCR_EL2.T0SZ.of(self.geometry)
            decider = Decider(VMSACause.OUTSIDE_RANGE, self.holder, VTCR_EL2.T0SZ, size)
            return Refusal(Fault(FaultKind.TRANSLATION, self.stage, 0), decider)
        if self.root >> self.output_bits:  # R_VPBBF
            field = WIDE_BASE if self.wide_root else VTTBR.BADDR
            decider = Decider(VMSACause.ROOT_TOO_LARGE, self.table_base, field, field.of(self.vttbr))
            return Refusal(Fault(FaultKind.ADDRESS_SIZE, self.stage, 0), decider)
        return None

    def decode(self, raw: bytes, level: Level) -> Entry:
        value = int.from_bytes(raw, self.byte_order)
        return soft_invalid(value, level, self.granule_bits, self.role, self.layout, self.output_bits)

    def accept(self, step: Step) -> Refusal | None:
        return refuse_entry(step, self.stage, self.output_bits, self.hardware_access_flag)

    def grant(self, leaf: Step, el: int) -> Grant:
        """Return what a leaf grants to EL1 or EL0; Realm state fetches from no other's memory (rule R_YMCSL)."""
        word = leaf.entry.word
        foreign = None
        if isinstance(word, RealmStage2Leaf | RealmStage2IndirectLeaf) and word.NS:
            foreign = Limit(VMSACause.FOREIGN_FETCH, RealmStage2Leaf.NS, 1, leaf)
        return self._granted(leaf, word, el).without_fetches(foreign)

    def _granted(self, leaf: Step, word: Word, el: int) -> Grant:
        if isinstance(word, Stage2IndirectLeaf):
            return self._indirect(leaf, word, el)
        assert isinstance(word, Stage2Leaf)
        # R_HBFHL; what hardware would mark dirty may be written (I_NTJRL).
        read = None if word.S2AP & S2AP_READ else Limit(VMSACause.NO_READ, Stage2Leaf.S2AP, word.S2AP, leaf)
        writable = word.S2AP & S2AP_WRITE or (self.hardware_dirty and word.DBM)
        write = None if writable else Limit(VMSACause.NO_WRITE, Stage2Leaf.S2AP, word.S2AP, leaf)
        # R_STCTY with FEAT_XNX, R_PRCFD without.
        xn = word.XN if self.execute_never_by_level else word.XN & 0b10
        may = xn in ((0b00, 0b01) if el == 0 else (0b00, 0b11))
        return Grant(read, write, None if may else Limit(VMSACause.EXECUTE_NEVER, Stage2Leaf.XN, word.XN, leaf))

    def _indirect(self, leaf: Step, word: Stage2IndirectLeaf, el: int) -> Grant:
        assert self.s2pir is not None
        if self.disabled is not None:
            return Grant(self.disabled, self.disabled, self.disabled)
        field = self.s2pir.field(f"Perm{word.PIIndex}")  # R_CYQGN
        encoding = field.of(self.s2pir)
        may_read, may_write, may_execute = STAGE2_BASE.get(encoding, (False, False, ()))
        denied = Limit(VMSACause.BASE_PERMISSION, field, encoding, register="S2PIR_EL2")
        write = None if may_write else denied
        if not word.Dirty and not self.hardware_dirty:  # R_XXBLY, R_PPGMC: clean, and software marks it dirty
            write = write or Limit(VMSACause.NOT_DIRTY, Stage2IndirectLeaf.Dirty, 0, leaf)
        return Grant(None if may_read else denied, write, None if el in may_execute else denied)

    def check(self, walk: Walk, kind: AccessKind, el: int) -> Refusal | None:
        """Return stage 2's refusal of an access from EL1 or EL0; `walk` is a walk of this regime."""
        if walk.refusal is not None or walk.leaf is None:
            return walk.refusal
        granted = self.grant(walk.leaf, el)
        if kind in (AccessKind.READ, AccessKind.WRITE, AccessKind.EXECUTE, AccessKind.READ_EXECUTABLE):
            limit = granted.of(kind)
        else:
            limit = self._maintenance(granted, kind, el)
        return limit.refuse(self.stage, walk.leaf.level.number) if limit else None

    def _maintenance(self, granted: Grant, kind: AccessKind, el: int) -> Limit | None:
        """Return what withholds cache maintenance: EL0 has to read, and what invalidates may have to write."""
        denied = granted.read if el == 0 else None
        writes = kind is AccessKind.CLEAN_INVALIDATION and self.maintenance_writes
        if denied is None and writes and granted.write is not None:
            return Limit(VMSACause.MAINTENANCE_WITHOUT_WRITE, HCRX_EL2.CMOW, 1, register="HCRX_EL2")
        return denied

    def device_fetch(self, walk: Walk) -> Refusal | None:
        """Return what this PE may refuse a fetch for that ends in what stage 2 makes Device memory."""
        leaf = walk.leaf
        if leaf is None or walk.refusal is not None or not self._is_device(leaf):
            return None
        field = type(leaf.entry.word).field("MemAttr")
        return Limit(VMSACause.DEVICE_FETCH, field, memattr_of(leaf), leaf).refuse(self.stage, leaf.level.number)

    def fetch_refused_by_stage_2(self, via: Walk, kind: AccessKind = AccessKind.READ) -> Refusal | None:
        """Return what refuses to fetch a stage 1 descriptor: a fault, no right to read, or HCR_EL2.PTW on Device
        memory.

        `kind` is a write where hardware updates it.  It is then a stage 2 fault, with S1PTW set.
        """
        refusal = self.check(via, AccessKind.READ, 1)
        if refusal is None and kind is AccessKind.WRITE and not self._walker_may_write(via):
            refusal = self.check(via, kind, 1)
        if refusal is None and self.hcr.PTW and not self.hcr.TGE and via.leaf is not None and self._is_device(via.leaf):
            limit = Limit(VMSACause.DEVICE_WALK, HCR_EL2.PTW, 1, register="HCR_EL2")
            refusal = limit.refuse(self.stage, via.leaf.level.number)
        return None if refusal is None else Refusal(replace(refusal.fault, s1ptw=True), refusal.decider)

    def _walker_may_write(self, via: Walk) -> bool:
        word = via.leaf.entry.word if via.leaf else None
        if self.s2pir is None or not isinstance(word, Stage2IndirectLeaf):
            return False
        return self.s2pir.field(f"Perm{word.PIIndex}").of(self.s2pir) in MOSTLY_READ_ONLY

    def _is_device(self, leaf: Step) -> bool:
        memattr = memattr_of(leaf)  # R_VRJSW with FWB, R_HMNDG without
        return not memattr & (0b0100 if self.forced_write_back else 0b1100)

    def combined_memory(self, first: int, leaf: Step) -> int:
        """Return the memory type of stage 1's attribute with a stage 2 leaf."""
        return memory_types.combined(first, memattr_of(leaf), bool(self.forced_write_back), bool(self.hcr.CD))

    def shareability(self, leaf: Step) -> int:
        if self.layout is Layout.LPA2:
            return self.vtcr.SH0  # R_HTSGQ
        return LeafDescriptor.SH.of(leaf.entry.word)

    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:  # noqa: ARG002
        if not steps or not steps[-1].is_leaf:
            return None
        leaf = steps[-1]
        word = leaf.entry.word
        assert isinstance(word, Stage2Leaf | Stage2IndirectLeaf)
        if isinstance(word, Stage2IndirectLeaf):
            dirty: bool | None = bool(word.Dirty)
        else:
            dirty = bool(word.S2AP & S2AP_WRITE) if word.DBM else None
        sh = self.shareability(leaf)
        normal = memory_types.stage2_may_be_normal(word.MemAttr, self.forced_write_back)
        return Attributes(
            memory=memory_types.stage2_memory_type(word.MemAttr, self.forced_write_back),
            shareability=memory_types.shareability(sh),
            device=memory_types.stage2_is_device(word.MemAttr, self.forced_write_back),
            unshared=normal and sh != memory_types.INNER_SHAREABLE,
            rights={el: self.grant(leaf, el).rights for el in LEVELS[:2]},
            accessed=bool(word.AF),
            dirty=dirty,
            is_global=True,
            contiguous=bool(word.Contiguous) and self.contiguous_entries(leaf.level) > 1,
            non_secure=isinstance(word, RealmStage2Leaf | RealmStage2IndirectLeaf) and bool(word.NS),
        )

    def of_both(self, own: Attributes, attr: int | None, sh: int, final: Walk) -> Attributes:
        return attributes_of_both(own, attr, sh, final)


def memattr_of(leaf: Step) -> int:
    """Return MemAttr of a stage 2 leaf."""
    word = leaf.entry.word
    assert isinstance(word, Stage2Leaf | Stage2IndirectLeaf)
    return word.MemAttr


def attributes_of_both(own: Attributes, attr: int | None, sh: int, final: Walk) -> Attributes:
    """Return what stage 1 and stage 2 grant together; `final` is the stage 2 walk of stage 1's output."""
    second, regime = final.attributes, final.regime
    if second is None or final.leaf is None:
        return own
    assert isinstance(regime, Stage2)
    rights = {el: allowed & second.rights.get(el, Rights(False, False, False)) for el, allowed in own.rights.items()}
    if attr is None:
        return replace(own, rights=rights)
    joined, wider = memory_of_both(attr, sh, final)
    return replace(
        own,
        memory=memory_type(joined),
        shareability=memory_types.shareability(wider),
        device=memory_types.is_named_device(joined),
        unshared=memory_types.is_unshared(joined, wider),
        rights=rights,
    )


def memory_of_both(attr: int, sh: int, final: Walk) -> tuple[int, int]:
    """Return the memory type and the effective shareability of both stages, as PAR_EL1 reports them."""
    regime = final.regime
    assert isinstance(regime, Stage2)
    assert final.leaf is not None
    joined = regime.combined_memory(attr, final.leaf)
    wider = memory_types.combined_shareability(sh, regime.shareability(final.leaf))
    return joined, memory_types.effective_shareability(joined, wider)
