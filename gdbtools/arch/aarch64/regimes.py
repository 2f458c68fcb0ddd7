"""From registers to regimes: `regime_for` builds the range of VMSAv8-64 stage 1 that translates an address.

Geometry is data: a granule and a TnSZ give a tuple of levels.  Source: DDI 0487, chapter D8 "The AArch64 Virtual Memory
System Architecture", sections "Translation process", "Translation granules", "VMSAv8-64 stage 1 translation".
"""

from __future__ import annotations

from gdbtools.arch.aarch64.geometry import (
    GRANULE_BITS,
    PHYSICAL_BITS,
    MAXIMUM_SMALL_TnSZ,
    MAXIMUM_TnSZ,
    MINIMUM_TnSZ,
)
from gdbtools.arch.aarch64.registers import (
    HCR_EL2,
    ID_AA64MMFR0_EL1,
    ID_AA64MMFR1_EL1,
    ID_AA64MMFR2_EL1,
    MAIR_EL1,
    SCTLR_EL1,
    SPSR,
    TCR2_EL1,
    TCR_EL1,
    TTBR,
)
from gdbtools.arch.aarch64.stage1 import LOWER, UPPER, Half, Stage1, Stage1Off
from gdbtools.arch.model import (
    ReadRegister,
    Regime,
)
from gdbtools.errors import Unavailable

FEAT_PAN3 = 3
"""ID_AA64MMFR1_EL1.PAN, from which on SCTLR_EL1.EPAN means something."""


def optional(register: ReadRegister, name: str) -> int | None:
    """A register whose absence the architecture lets us read as "feature not known"."""
    try:
        return register(name)
    except Unavailable:
        return None


def _output_bits(register: ReadRegister, ips: int | None) -> int:
    """The smaller of what the kernel set (TCR_EL1.IPS) and what the PE has (PARange), 52 where neither is known."""
    mmfr0 = optional(register, "ID_AA64MMFR0_EL1")
    implemented = 52 if mmfr0 is None else PHYSICAL_BITS.get(ID_AA64MMFR0_EL1(mmfr0).PARange, 48)
    return min(implemented, 52 if ips is None else PHYSICAL_BITS[ips])


NOT_DECODED = (
    (TCR2_EL1.D128, "128-bit descriptors are"),
    (TCR2_EL1.PIE, "permission indirection is"),
    (TCR2_EL1.POE, "permission overlays are"),
    (TCR2_EL1.E0POE, "permission overlays are"),
)
"""What gives AP, UXN and PXN, or the whole descriptor, another meaning."""


def refuse_what_is_not_decoded(register: ReadRegister) -> None:
    """Raise `Unavailable` where the tables mean something that this version would read wrongly."""
    cpsr = optional(register, "cpsr")
    el = 1 if cpsr is None else SPSR(cpsr).el
    if el > 1:
        raise Unavailable(
            f"this CPU is at EL{el}, and only the EL1&0 regime is decoded so far; "
            "stop it in the guest (EL1 or EL0) and ask again"
        )
    tcr2 = TCR2_EL1(optional(register, "TCR2_EL1") or 0)
    for field, meaning in NOT_DECODED:
        if field.of(tcr2):
            raise Unavailable(f"TCR2_EL1.{field.name} is 1: {meaning} not decoded so far")
    hcr = HCR_EL2(optional(register, "HCR_EL2") or 0)
    if hcr.E2H and hcr.TGE:
        raise Unavailable("HCR_EL2.E2H and TGE are 1: EL0 runs under the EL2&0 regime, which is not decoded so far")
    if hcr.VM or hcr.DC:
        bit = "VM" if hcr.VM else "DC"
        raise Unavailable(f"HCR_EL2.{bit} is 1: this guest is under stage 2, which is not decoded so far")


def regimes(register: ReadRegister) -> tuple[Regime, ...]:
    """Give the ranges of the EL1&0 regime: TTBR0's and TTBR1's, or the one of an MMU that is off.

    Needs TCR_EL1, TTBR0_EL1 and TTBR1_EL1; what stands in for the others where they cannot be had is in the regime's
    `assumed`.  Raises `Unavailable` for a missing register and for what this version does not decode.
    """
    refuse_what_is_not_decoded(register)
    sctlr = _sctlr(register)
    if not sctlr.M:
        return (_stage1_off(register),)
    return _stage1(register, sctlr, LOWER), _stage1(register, sctlr, UPPER)


def _sctlr(register: ReadRegister) -> SCTLR_EL1:
    """SCTLR_EL1, or the MMU on and nothing else: who asks about tables has them in use."""
    value = optional(register, "SCTLR_EL1")
    return SCTLR_EL1(0).with_(M=1) if value is None else SCTLR_EL1(value)


def regime_for(register: ReadRegister, address: int) -> Regime:
    """Give the range that translates `address`: bit 55 chooses the half, whatever the top byte says."""
    refuse_what_is_not_decoded(register)
    sctlr = _sctlr(register)
    if not sctlr.M:
        return _stage1_off(register)
    return _stage1(register, sctlr, UPPER if address >> 55 & 1 else LOWER)


def _stage1_off(register: ReadRegister) -> Stage1Off:
    """The regime with SCTLR_EL1.M clear; TCR_EL1.TBI0 counts all the same, and bit 55 makes any address too large."""
    return Stage1Off(_output_bits(register, None), bool(TCR_EL1(optional(register, "TCR_EL1") or 0).TBI0))


ASSUMED = {
    "SCTLR_EL1": "SCTLR_EL1: M=1, WXN=0, EE=0",
    "MAIR_EL1": "MAIR_EL1: unknown, so are memory types",
    "ID_AA64MMFR0_EL1": "ID_AA64MMFR0_EL1: PARange as TCR_EL1.IPS",
    "ID_AA64MMFR1_EL1": "ID_AA64MMFR1_EL1: HAFDBS=2, HPDS=1, PAN=3",
    "ID_AA64MMFR2_EL1": "ID_AA64MMFR2_EL1: ST=0, VARange=0, E0PD=1",
}
"""What stands in for a register that the source does not have."""


def _implemented(register: ReadRegister, granule: str) -> str:
    """Give the granule in force: a reserved or unimplemented one is taken for one that the PE has.

    Which one is IMPLEMENTATION DEFINED ("TCR_EL1.TG0"); like QEMU, the smallest.
    """
    mmfr0 = optional(register, "ID_AA64MMFR0_EL1")
    if mmfr0 is None:
        return granule if granule in GRANULE_BITS else "4KB"
    has = ID_AA64MMFR0_EL1(mmfr0)
    absent = 0b1111
    present = {"4KB": has.TGran4 != absent, "16KB": has.TGran16 != 0, "64KB": has.TGran64 != absent}
    return granule if present.get(granule) else next((each for each in present if present[each]), "4KB")


def _stage1(register: ReadRegister, sctlr: SCTLR_EL1, half: Half) -> Stage1:
    tcr = TCR_EL1(register("TCR_EL1"))
    if tcr.DS:
        raise Unavailable("TCR_EL1.DS is 1: 52-bit descriptors (FEAT_LPA2) are not decoded so far")
    asked = half.granules.get(half.TGn.of(tcr), "reserved")
    granule = _implemented(register, asked)
    granule_bits = GRANULE_BITS[granule]
    output_bits = _output_bits(register, tcr.IPS)
    if granule_bits == GRANULE_BITS["64KB"] and output_bits > 48:
        raise Unavailable("TCR_EL1.IPS is 52 bits at 64KB: 52-bit descriptors (FEAT_LPA) are not decoded so far")
    mmfr1, mmfr2 = optional(register, "ID_AA64MMFR1_EL1"), optional(register, "ID_AA64MMFR2_EL1")
    hafdbs = 2 if mmfr1 is None else ID_AA64MMFR1_EL1(mmfr1).HAFDBS
    small = mmfr2 is not None and ID_AA64MMFR2_EL1(mmfr2).ST
    maximum = MAXIMUM_SMALL_TnSZ[granule_bits] if small else MAXIMUM_TnSZ
    mair = optional(register, "MAIR_EL1")
    va_range = 0 if mmfr2 is None else ID_AA64MMFR2_EL1(mmfr2).VARange
    size = half.TnSZ.of(tcr)
    if size < MINIMUM_TnSZ and va_range and granule_bits == GRANULE_BITS["64KB"]:
        raise Unavailable(f"TCR_EL1.{half.TnSZ.name} is {size}: 52-bit addresses (FEAT_LVA) are not decoded so far")
    return Stage1(
        half=half,
        tcr=tcr,
        ttbr=TTBR(register(half.ttbr)),
        sctlr=sctlr,
        mair=None if mair is None else MAIR_EL1(mair),
        granule_bits=granule_bits,
        output_bits=min(output_bits, 48),
        hardware_access_flag=bool(tcr.HA) and hafdbs >= 1,
        hardware_dirty=bool(tcr.HA and tcr.HD) and hafdbs >= 2,
        hpd_implemented=mmfr1 is None or bool(ID_AA64MMFR1_EL1(mmfr1).HPDS),
        epan_implemented=mmfr1 is None or ID_AA64MMFR1_EL1(mmfr1).PAN >= FEAT_PAN3,
        e0pd_implemented=mmfr2 is None or bool(ID_AA64MMFR2_EL1(mmfr2).E0PD),
        size_in_bounds=MINIMUM_TnSZ <= size <= maximum,
        assumed=(
            *(text for name, text in ASSUMED.items() if optional(register, name) is None),
            *([] if granule == asked else [f"{half.TGn.name}: {asked} is not implemented, so {granule}"]),
        ),
    )
