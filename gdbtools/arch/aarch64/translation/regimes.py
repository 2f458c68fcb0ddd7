"""From registers to regimes, by name: which stages translate, and how each is laid out.

Geometry is data: a granule and a TnSZ give a tuple of levels.  Source: DDI 0487, chapter D8 "The AArch64 Virtual Memory
System Architecture", "Translation regimes", "Translation process", "Translation granules", "Stage 2 translation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from gdbtools.addresses import Input
from gdbtools.arch.aarch64.exceptions.execution_state import aarch32_el1
from gdbtools.arch.aarch64.registers.features import Features, features
from gdbtools.arch.aarch64.registers.hypervisor import GPCCR_EL3, HCR_EL2, HCRX_EL2, SCR_EL3, VTCR_EL2, VTTBR
from gdbtools.arch.aarch64.registers.identification import ID_AA64MMFR0_EL1
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.registers.translation import MAIR, PIR, SCTLR, TCR2, TCR_EL1, TTBR
from gdbtools.arch.aarch64.tables.descriptors import EntryRole, Layout
from gdbtools.arch.aarch64.tables.geometry import (
    GRANULE_BITS,
    NARROW_BITS,
    PHYSICAL_BITS,
    START_LEVELS,
    WIDE_BITS,
    MAXIMUM_SMALL_TnSZ,
    MAXIMUM_TnSZ,
    MINIMUM_TnSZ,
    MINIMUM_WIDE_TnSZ,
)
from gdbtools.arch.aarch64.translation import stage2_owner
from gdbtools.arch.aarch64.translation.controls import EL2, EL3, EL10, EL20, Controls, RangeControls
from gdbtools.arch.aarch64.translation.hypervisor_controls import hcr_of, hcrx_of, is_nested
from gdbtools.arch.aarch64.translation.permission_registers import (
    extended_controls,
    permissions_of,
    registers_disabled,
)
from gdbtools.arch.aarch64.translation.security import Fetches, SecurityState, scr_el3, security_state
from gdbtools.arch.aarch64.translation.stage1 import LOGICAL_TAG, TAG, Stage1
from gdbtools.arch.aarch64.translation.stage1_off import Stage1Off
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.model import ReadRegister, Regime, optional
from gdbtools.bits import Word
from gdbtools.errors import Unavailable, UsageError

WIDE_PS = 0b110
"""TCR_ELx.PS or VTCR_EL2.PS of 52 bits."""
AARCH32_IPA_BITS = 40
STAGE2 = "stage2"
BIT_55 = 1 << 55
"""What chooses the range, whatever the top byte says."""

GRANULE_PROTECTION = (
    "GPCCR_EL3.GPC is 1: a granule protection check may refuse what these tables grant, and is not decoded"
)
SECURE_OUTPUT = "Secure state: every IPA is taken for a Secure one; a leaf with NS=1 goes through VTTBR_EL2 instead"


def current(register: ReadRegister) -> str:
    """Return the name of the regime that the CPU is using; a source without cpsr is taken for a kernel's."""
    cpsr = optional(register, "cpsr")
    return of_level(register, 1 if cpsr is None else SPSR(cpsr).el)


def of_level(register: ReadRegister, el: int) -> str:
    """Return the name of the regime that translates for an Exception level ("Translation regimes").

    R_KBSNT for EL2&0, Secure R_RRJHRJ: EL0 is in it under E2H and TGE; R_PCRZX for EL3.
    """
    hcr = hcr_of(register)
    if el == 0 and hcr.E2H and hcr.TGE:
        return "el2-vhe"
    if el == 2:
        return "el2-vhe" if hcr.E2H else "el2"
    return "el3" if el == 3 else "el1"


def regimes(register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
    """Return the ranges of a regime in the order of their addresses, or the one of an MMU that is off.

    `name` is one of `NAMES`; None is the current CPU's.  What stands in for registers that cannot be had is in the
    regime's `assumed`.  Raises `Unavailable` for a register that is needed, and for what is not decoded.
    """
    return _builder(register, name)(register, None)


def regime_for(register: ReadRegister, address: Input, name: str | None = None) -> Regime:
    """Return the range that translates `address`: bit 55 chooses it, whatever the top byte says.

    "Selection between TTBR0_ELx and TTBR1_ELx when two VA ranges are supported".
    """
    found = _builder(register, name)(register, bool(address & BIT_55))
    return next((each for each in found if each.first <= address <= each.last), found[0])


def _builder(register: ReadRegister, name: str | None) -> Builder:
    wanted = name or current(register)
    if wanted not in BUILDERS:
        raise UsageError(f"{wanted} is no regime of AArch64; there are {', '.join(BUILDERS)}")
    return BUILDERS[wanted]


def _el10(register: ReadRegister, upper: bool | None) -> tuple[Regime, ...]:
    hcr = hcr_of(register)
    scr = scr_el3(register)
    secure = security_state(register, EL10.el) is SecurityState.SECURE
    # Without Secure EL2 there is no stage 2 in Secure state (R_YTZXB).
    below = None
    if hcr.E2H and hcr.TGE:
        # A host runs nothing in EL1&0, and VM and DC count as 0: "HCR_EL2.VM".
        hcr = HCR_EL2(0)
    if (hcr.VM or hcr.DC) and not (secure and scr is not None and not scr.EEL2):
        below = _stage2(register, secure)
    built: tuple[Regime, ...]
    if aarch32_el1(register):
        from gdbtools.arch.aarch64.translation import lower_state  # only such a level needs it

        # Which range an address is of is for its own registers to say.
        built = lower_state.ranges(register, below, hcr)
    else:
        built = _stage1(register, EL10, upper, below, hcr)
    left_out = stage2_owner.left_out(register, hcr_of(register))
    # Each of them is a dataclass with notes.
    return tuple(replace(each, notes=(*each.notes, *left_out)) for each in built)  # type: ignore[type-var]


def _without_stage_2(controls: Controls) -> Builder:
    return lambda register, upper: _stage1(register, controls, upper, None, HCR_EL2(0))


def _stage2_by_name(register: ReadRegister, secure: bool) -> tuple[Regime, ...]:
    table_base = "VSTTBR_EL2" if secure else "VTTBR_EL2"
    return (stage2_owner.by_name(register, table_base, lambda: _stage2(register, secure)),)


Builder = Callable[[ReadRegister, "bool | None"], tuple[Regime, ...]]
BUILDERS: Final[Mapping[str, Builder]] = MappingProxyType(
    {
        "el1": _el10,
        "el2": _without_stage_2(EL2),
        "el2-vhe": _without_stage_2(EL20),
        "el3": _without_stage_2(EL3),
        STAGE2: lambda register, _: _stage2_by_name(register, False),
        "secure-stage2": lambda register, _: _stage2_by_name(register, True),
    }
)
"""Each regime by its name: from registers, and which range is wanted (None: all), to regimes."""
NAMES: Final = tuple(BUILDERS)


def _stage1(
    register: ReadRegister, controls: Controls, upper: bool | None, below: Stage2 | None, hcr: HCR_EL2
) -> tuple[Stage1 | Stage1Off, ...]:
    sctlr = _sctlr(register, controls)
    off = "HCR_EL2.DC" if hcr.DC else "HCR_EL2.TGE" if hcr.TGE else "" if sctlr.M else f"{controls.register('SCTLR')}.M"
    if off:
        return (_off(register, controls, below, hcr, off),)
    two = len(controls.ranges) > 1
    return tuple(
        _range(register, controls, each, sctlr, below, hcr)
        for each in controls.ranges
        if upper is None or each.upper == upper or not two
    )


def _unprivileged_counts(register: ReadRegister, controls: Controls) -> bool:
    """Return whether LDTR and STTR are EL0's accesses: at EL1 but for a guest hypervisor's, and in a host with TGE."""
    hcr = hcr_of(register)
    if controls is EL10:
        return not (hcr.NV and hcr.NV1)
    return controls is EL20 and bool(hcr.TGE)


def _sctlr(register: ReadRegister, controls: Controls) -> SCTLR:
    """SCTLR_ELx, or the MMU and caches on and nothing else: who asks about tables has them in use."""
    value = optional(register, controls.register("SCTLR"))
    return SCTLR(0).with_(M=1, C=1, I=1) if value is None else SCTLR(value)


def _off(register: ReadRegister, controls: Controls, below: Stage2 | None, hcr: HCR_EL2, why: str) -> Stage1Off:
    """The regime with stage 1 off; tags are ignored all the same, and bit 55 makes any address too large.

    AArch64.S1DisabledOutput.
    """
    tcr = controls.layout(optional(register, controls.register("TCR")) or 0)
    bounds = controls.ranges[0]
    ignored = TAG if bounds.TBIn.of(tcr) else LOGICAL_TAG if bounds.MTXn.of(tcr) else 0
    has, mmfr0 = features(register), optional(register, "ID_AA64MMFR0_EL1")
    return Stage1Off(
        controls=controls,
        why=f"{why} is {int(why != controls.register('SCTLR') + '.M')}",
        output_bits=has.physical_bits or WIDE_BITS,
        parange=ID_AA64MMFR0_EL1.PARange.of(WIDE_PS if mmfr0 is None else mmfr0),
        ignored=ignored,
        ignored_by_fetches=TAG if ignored == TAG and not bounds.TBIDn.of(tcr) else 0,
        default_cacheable=bool(hcr.DC),
        default_tagged=bool(hcr.DC and hcr.DCT),
        unprivileged_counts=_unprivileged_counts(register, controls),
        below=below,
        assumed=() if mmfr0 is not None else (f"ID_AA64MMFR0_EL1: PARange={WIDE_BITS} bits",),
    )


def _range(
    register: ReadRegister, controls: Controls, bounds: RangeControls, sctlr: SCTLR, below: Stage2 | None, hcr: HCR_EL2
) -> Stage1:
    has = features(register)
    tcr = controls.layout(register(controls.register("TCR")))
    extended = extended_controls(register, controls)
    asked = bounds.granules.get(bounds.TGn.of(tcr), "reserved")
    granule = has.granule(asked, 1)
    layout = _layout(granule, bool(controls.DS.of(tcr)), has.lpa2, has, controls.PS.of(tcr))
    output_bits = _output_bits(has, controls.PS.of(tcr), layout)
    permissions = permissions_of(register, controls, extended, has)
    indirect = permissions.pir is not None
    overlays = permissions.privileged_overlay is not None or permissions.user_overlay is not None
    nested = is_nested(controls, hcr)
    state = security_state(register, controls.el)
    fetches = Fetches(state, controls.el, bool((scr_el3(register) or SCR_EL3(0)).SIF))
    mair = optional(register, controls.register("MAIR"))
    size, granule_bits = bounds.TnSZ.of(tcr), GRANULE_BITS[granule]
    wide = layout is Layout.LPA2 or (granule == "64KB" and has.large_addresses)
    ttbr = TTBR(register(bounds.ttbr))
    # Indirect permissions (R_JHSVW) and overlays (R_BVXDG) do without limits of tables, as TCR_ELx.HPDn has it.
    off_limits = has.hierarchical_disable and bounds.HPDn.of(tcr)
    built = Stage1(
        controls=controls,
        range=bounds,
        tcr=tcr,
        ttbr=ttbr,
        sctlr=sctlr,
        mair=None if mair is None else MAIR(mair),
        permissions=permissions,
        role=_role(controls, indirect, nested, state),
        granule_bits=granule_bits,
        layout=layout,
        output_bits=output_bits,
        wide_root=_has_wide_root(layout, controls.PS.of(tcr)),
        hardware_access_flag=has.access_flag and bool(controls.HA.of(tcr)),
        hardware_dirty=has.dirty_state and bool(controls.HA.of(tcr) and controls.HD.of(tcr)),
        hierarchical=not (off_limits or indirect or overlays),
        execution_counts=has.pan_execution and (indirect or bool(sctlr.EPAN)),
        unprivileged_counts=_unprivileged_counts(register, controls),
        contiguous_counts=not extended.field("PnCH").of(extended),
        e0pd_implemented=has.e0pd,
        maintenance_writes=has.maintenance_writes and bool(sctlr.CMOW),
        fetches=fetches,
        nested=nested,
        tables_accessed=_has_table_access_flags(controls, extended, has, tcr),
        forced_non_global=_forces_non_global(extended, bounds),
        size_in_bounds=(MINIMUM_WIDE_TnSZ if wide else MINIMUM_TnSZ) <= size <= _maximum(has, granule_bits),
        below=below,
        assumed=(
            *has.assumed,
            *([] if optional(register, controls.register("SCTLR")) is not None else [_assumed_sctlr(controls)]),
            *([] if mair is not None else [f"{controls.register('MAIR')}: unknown, so are memory types"]),
            *(below.assumed if below else ()),
        ),
        notes=(*_granule_note(bounds.TGn.name, asked, granule), *_notes(register, below)),
    )
    if ttbr.base(built.wide_root) == built.root:
        return built
    return replace(built, notes=(*built.notes, f"{bounds.ttbr}: its bits below the root table's size are ignored"))


def _has_table_access_flags(controls: Controls, extended: Word, has: Features, tcr: Word) -> bool:
    """Return whether hardware sets the access flag of tables: where it sets that of leaves, too (R_SNVTX, R_YCTVZ)."""
    asked = bool(extended.field("HAFT").of(extended))
    return asked and has.tables_accessed and bool(controls.HA.of(tcr))


def _forces_non_global(extended: Word, bounds: RangeControls) -> bool:
    """Return whether all that a range translates is of one ASID (TCR2_ELx.FNGn, FEAT_ASID2)."""
    if not isinstance(extended, TCR2):
        return False
    return bool(extended.FNG1 if bounds.upper else extended.FNG0)


def _assumed_sctlr(controls: Controls) -> str:
    return f"{controls.register('SCTLR')}: M=1, C=1, WXN=0, EE=0"


def _granule_note(field: str, asked: str, granule: str) -> tuple[str, ...]:
    return () if granule == asked else (f"{field}: {asked} is not implemented, so {granule}",)


def _notes(register: ReadRegister, below: Stage2 | None) -> tuple[str, ...]:
    protected = GPCCR_EL3(optional(register, "GPCCR_EL3") or 0).GPC
    return (
        *([GRANULE_PROTECTION] if protected else []),
        *([SECURE_OUTPUT] if below is not None and below.secure else []),
        *(below.notes if below else ()),
    )


def _role(controls: Controls, indirect: bool, nested: bool, state: SecurityState) -> EntryRole:
    if state is SecurityState.ROOT:
        return EntryRole.ROOT_INDIRECT if indirect else EntryRole.ROOT
    if indirect:
        return EntryRole.INDIRECT
    if nested:
        return EntryRole.NESTED
    return EntryRole.TWO_LEVELS if controls.user else EntryRole.ONE_LEVEL


def _maximum(has: Features, granule_bits: int) -> int:
    # R_PLCGL.
    return MAXIMUM_SMALL_TnSZ[granule_bits] if has.small_tables else MAXIMUM_TnSZ


def _layout(granule: str, ds: bool, lpa2: tuple[str, ...], has: Features, ps: int) -> Layout:
    """Return where output addresses have their high bits: TCR_ELx.DS decides at 4KB and 16KB, not an ID register."""
    if granule == "64KB":
        physical_bits = PHYSICAL_BITS[ps] if has.physical_bits is None else has.physical_bits
        return Layout.LPA if physical_bits >= WIDE_BITS else Layout.BITS_48
    return Layout.LPA2 if ds and granule in lpa2 else Layout.BITS_48


def _has_wide_root(layout: Layout, ps: int) -> bool:
    """Return whether TTBR has bits [51:48] of its base in [5:2]: at 64KB it is the configured size that decides."""
    return layout is Layout.LPA2 or (layout is Layout.LPA and ps == WIDE_PS)


def _output_bits(has: Features, ps: int, layout: Layout) -> int:
    """The smallest of what is configured, what the PE has (R_CLPQT), and what a descriptor can say (R_QGLQX at 4KB)."""
    implemented = WIDE_BITS if has.physical_bits is None else has.physical_bits
    return min(implemented, PHYSICAL_BITS[ps], NARROW_BITS if layout is Layout.BITS_48 else WIDE_BITS)


def _stage2(register: ReadRegister, secure: bool) -> Stage2:
    has, hcr = features(register), hcr_of(register)
    vtcr = VTCR_EL2(register("VTCR_EL2"))
    if vtcr.D128:
        raise Unavailable("VTCR_EL2.D128 is 1: 128-bit descriptors are not decoded")
    if vtcr.S2POE:
        raise Unavailable("VTCR_EL2.S2POE is 1: stage 2 permission overlays are not decoded")
    holder, table_base = ("VSTCR_EL2", "VSTTBR_EL2") if secure else ("VTCR_EL2", "VTTBR_EL2")
    geometry = VTCR_EL2(register(holder))
    asked = TCR_EL1.TG0.meaning(geometry.TG0) or "reserved"
    granule = has.granule(asked, 2)
    layout = _layout(granule, bool(vtcr.DS), has.lpa2_stage2, has, vtcr.PS)
    output_bits = _output_bits(has, vtcr.PS, layout)
    granule_bits = GRANULE_BITS[granule]
    physical_bits = WIDE_BITS if has.physical_bits is None else has.physical_bits
    # R_DTLMN, "VTCR_EL2.T0SZ": stage 2 takes no more than the PE has of physical address.
    smallest = 64 - min(physical_bits, NARROW_BITS if layout is Layout.BITS_48 else WIDE_BITS)
    if aarch32_el1(register):
        # An AArch32 EL1 has 40 bits of IPA, however small the PE is: AArch64.S2MinTxSZ.
        smallest = min(smallest, 64 - AARCH32_IPA_BITS)
    hcrx = hcrx_of(register) or HCRX_EL2(0)
    indirect = has.indirection_stage2 and vtcr.S2PIE
    sctlr = SCTLR(optional(register, "SCTLR_EL2") or 0)
    return Stage2(
        secure=secure,
        holder=holder,
        table_base=table_base,
        geometry=geometry,
        vtcr=vtcr,
        vttbr=VTTBR(register(table_base)),
        hcr=hcr,
        granule_bits=granule_bits,
        start=_start(geometry, granule_bits, layout, physical_bits, has),
        layout=layout,
        output_bits=output_bits,
        wide_root=_has_wide_root(layout, vtcr.PS),
        big_endian=bool(sctlr.EE),
        hardware_access_flag=has.access_flag and bool(vtcr.HA),
        hardware_dirty=has.dirty_state and bool(vtcr.HA and vtcr.HD),
        execute_never_by_level=has.execute_never_by_level,
        forced_write_back=has.forced_write_back and bool(hcr.FWB),
        s2pir=PIR(register("S2PIR_EL2")) if indirect else None,
        disabled=registers_disabled(register),
        realm=security_state(register, EL10.el) is SecurityState.REALM,
        maintenance_writes=has.maintenance_writes and bool(hcrx.CMOW),
        size_in_bounds=smallest <= geometry.T0SZ <= _maximum(has, granule_bits),
        assumed=has.assumed,
        notes=_granule_note(f"{holder}.TG0", asked, granule),
    )


def _start(geometry: VTCR_EL2, granule_bits: int, layout: Layout, physical_bits: int, has: Features) -> int | None:
    """Return the level that SL2 and SL0 name; None for one that this granule, or this PE, does not have.

    R_SRKBC, AArch64.S2InvalidSL: a level that only a larger physical address would need is not there.
    """
    wide = layout is Layout.LPA2
    start = START_LEVELS[granule_bits].get((geometry.SL2 if wide and granule_bits == 12 else 0, geometry.SL0))
    needs = {(12, 0): 44, (14, 1): 42, (14, 0): WIDE_BITS, (16, 1): 44}
    if start is None or physical_bits < needs.get((granule_bits, start), 0):
        return None
    if (granule_bits, start) == (12, 3) and not has.small_tables:
        return None
    return None if (granule_bits, start) == (14, 0) and not wide else start
