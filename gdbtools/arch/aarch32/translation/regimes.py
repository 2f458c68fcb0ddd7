"""From registers to regimes, by name: which format the tables have, and which range translates an address.

Source: DDI 0487, chapter G5: "About VMSAv8-32", "Translation regimes", "Translation table base address register and
translation table control register", and "Execution privilege, Exception levels, and AArch32 Privilege levels".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from gdbtools.addresses import Input
from gdbtools.arch.aarch32.privilege_levels import MONITOR, PL2, of_mode
from gdbtools.arch.aarch32.registers.hypervisor import HCR, HSCTLR, HTCR, HTTBR, VTTBR32
from gdbtools.arch.aarch32.registers.processor_state import CPSR, SCR
from gdbtools.arch.aarch32.registers.translation import (
    DACR,
    HAS_PXN,
    ID_MMFR0,
    NMRR,
    PRRR,
    SCTLR32,
    TTBCR,
    TTBCR_LONG,
    TTBR_LONG,
)
from gdbtools.arch.aarch32.tables.short_entries import ShortRules
from gdbtools.arch.aarch32.translation.hyp_stage import NAME as HYP_NAME
from gdbtools.arch.aarch32.translation.hyp_stage import HypStage
from gdbtools.arch.aarch32.translation.long_stage import LongStage
from gdbtools.arch.aarch32.translation.second_stage import NAME, SecondStage32, second_stage
from gdbtools.arch.aarch32.translation.short_stage import ShortStage
from gdbtools.arch.aarch32.translation.stage import OWN_NAMES
from gdbtools.arch.aarch32.translation.translation_off import TranslationOff
from gdbtools.arch.arm.second_stage import ArmSecondStage
from gdbtools.arch.model import Privilege, ReadRegister, Regime, optional
from gdbtools.errors import Unavailable, UsageError

PL1_REGIME, PL2_REGIME, STAGE2_REGIME = "pl1", "pl2", NAME
_SECURE: Final = (
    "the CPU is in Secure state, which has its own SCTLR, TTBCR, TTBR0, TTBR1 and DACR; QEMU's gdbstub gives those of "
    "Non-secure state alone; those are: --with SCR.NS=1"
)
_ABOVE: Final = "the CPU is in Hyp mode: VTTBR (VMID {}) and HCR are those of the last guest that was loaded"
_ASSUMED_SCTLR: Final = "SCTLR: M=1, AFE=0, TRE=0, WXN=0, EE=0"
_ASSUMED_HSCTLR: Final = "HSCTLR: M=1, WXN=0, EE=0"
_ASSUMED_DACR: Final = "DACR: every domain a client's"
_CLIENTS: Final = DACR(0x5555_5555)


def current(register: ReadRegister) -> str:
    """Return the name of the regime that the CPU is using; a source without cpsr is taken for a kernel's."""
    return PL2_REGIME if is_in_hyp_mode(register) else PL1_REGIME


def is_in_hyp_mode(register: ReadRegister) -> bool:
    cpsr = optional(register, "cpsr")
    return cpsr is not None and of_mode(CPSR(cpsr).M) == PL2


def regimes(register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
    """Return the ranges of a regime in the order of their addresses, or the one of an MMU that is off."""
    return BUILDERS[_named(register, name)](register)


def regime_for(register: ReadRegister, address: Input, name: str | None = None) -> Regime:
    """Return the range that translates `address`; the last for one that lies in none."""
    ranges = regimes(register, name)
    return next((each for each in ranges if each.first <= address <= each.last), ranges[-1])


def _named(register: ReadRegister, name: str | None) -> str:
    wanted = current(register) if name is None else name
    if wanted not in BUILDERS:
        raise UsageError(f"{wanted} is no regime of AArch32; there is {', '.join(BUILDERS)}")
    return wanted


def is_secure(register: ReadRegister) -> bool:
    """Return whether the CPU is in Secure state: SCR is there where there is EL3."""
    scr, cpsr = optional(register, "SCR"), optional(register, "cpsr")
    return scr is not None and (not SCR(scr).NS or (cpsr is not None and CPSR(cpsr).M == MONITOR))


def _pl1(register: ReadRegister) -> tuple[Regime, ...]:
    if is_secure(register):
        raise Unavailable(_SECURE)
    hcr = HCR(optional(register, "HCR") or 0)
    below = _stage2(register)[0] if hcr.VM or hcr.DC else None
    off = next((f"HCR.{field.name} is 1" for field in (HCR.DC, HCR.TGE) if field.of(hcr)), "")
    return ranges(register, OWN_NAMES, below, off, bool(hcr.DC))


def _pl2(register: ReadRegister) -> tuple[Regime, ...]:
    value = optional(register, "HSCTLR")
    hsctlr = HSCTLR(0).with_(M=1, C=1, I=1) if value is None else HSCTLR(value)
    if not hsctlr.M:
        return (TranslationOff("HSCTLR.M is 0", names=(PL2,), called=HYP_NAME),)
    low, high = optional(register, "HMAIR0"), optional(register, "HMAIR1")
    mair = None if low is None or high is None else high << 32 | low
    assumed = [] if value is not None else [_ASSUMED_HSCTLR]
    assumed += [] if mair is not None else ["HMAIR0, HMAIR1: unknown, so are memory types"]
    return (HypStage(HTTBR(register("HTTBR")), HTCR(register("HTCR")), hsctlr, mair, tuple(assumed)),)


def _stage2(register: ReadRegister) -> tuple[SecondStage32, ...]:
    hcr, base = HCR(optional(register, "HCR") or 0), VTTBR32(register("VTTBR"))
    is_on = hcr.VM or hcr.DC
    if not is_on and not base.BADDR:
        raise Unavailable("HCR.VM is 0, and VTTBR names no table: there is no stage 2")
    built = second_stage(register)
    notes = [*built.notes, *([] if is_on else ["HCR.VM is 0: stage 2 is off"])]
    notes += [_ABOVE.format(base.VMID)] if is_in_hyp_mode(register) else []
    return (replace(built, notes=tuple(notes)),)


def ranges(
    register: ReadRegister,
    names: tuple[Privilege, Privilege],
    below: ArmSecondStage | None,
    off: str,
    default_cacheable: bool = False,
) -> tuple[Regime, ...]:
    """Return the ranges of stage 1 above a stage 2; `off` says why it is off, empty where SCTLR decides.

    `names` are the privileged level and the user's.
    """
    value = optional(register, "SCTLR")
    sctlr = SCTLR32(0).with_(M=1, C=1, I=1) if value is None else SCTLR32(value)
    off = off or ("" if sctlr.M else "SCTLR.M is 0")
    through = () if below is None else below.assumed
    notes = () if below is None else below.notes
    if off:
        return (TranslationOff(off, default_cacheable, names, below, through, notes),)
    assumed = (*through, *([] if value is not None else [_ASSUMED_SCTLR]))
    ttbcr = TTBCR(register("TTBCR"))
    given = _Stage(register, sctlr, names, below, assumed, notes)
    return _long(given) if ttbcr.EAE else _short(given, ttbcr)


class _Stage(NamedTuple):
    """What both formats are built from."""

    register: ReadRegister
    sctlr: SCTLR32
    names: tuple[Privilege, Privilege]
    below: ArmSecondStage | None
    assumed: tuple[str, ...]
    notes: tuple[str, ...]


def _short(given: _Stage, ttbcr: TTBCR) -> tuple[Regime, ...]:
    register, sctlr = given.register, given.sctlr
    prrr, nmrr = optional(register, "MAIR0"), optional(register, "MAIR1")
    dacr = optional(register, "DACR")
    model = optional(register, "ID_MMFR0")
    never = model is None or ID_MMFR0(model).VMSA >= HAS_PXN
    lacking = [] if dacr is not None else [_ASSUMED_DACR]
    lacking += [] if model is not None else ["ID_MMFR0: there is PXN"]
    remap = None if prrr is None or nmrr is None else (PRRR(prrr), NMRR(nmrr))
    lacking += [] if remap is not None or not sctlr.TRE else ["PRRR, NMRR: unknown, so are memory types"]

    def a_range(ttbr: str, upper: bool) -> Regime:
        return ShortStage(
            ttbr=ttbr,
            upper=upper,
            base=_low(register(ttbr)),
            ttbcr=ttbcr,
            sctlr=sctlr,
            dacr=_CLIENTS if dacr is None else DACR(dacr),
            remap=remap,
            rules=ShortRules(bool(sctlr.AFE), bool(sctlr.TRE), never),
            names=given.names,
            below=given.below,
            assumed=(*given.assumed, *lacking),
            notes=given.notes,
        )

    return _ranges(a_range, bool(ttbcr.N))


def _long(given: _Stage) -> tuple[Regime, ...]:
    register = given.register
    ttbcr = TTBCR_LONG(register("TTBCR"))
    low, high = optional(register, "MAIR0"), optional(register, "MAIR1")
    mair = None if low is None or high is None else high << 32 | low
    lacking = () if mair is not None else ("MAIR0, MAIR1: unknown, so are memory types",)

    def a_range(ttbr: str, upper: bool) -> Regime:
        return LongStage(
            ttbr=ttbr,
            upper=upper,
            base=TTBR_LONG(register(ttbr)),
            ttbcr=ttbcr,
            sctlr=given.sctlr,
            mair=mair,
            names=given.names,
            below=given.below,
            assumed=(*given.assumed, *lacking),
            notes=given.notes,
        )

    return _ranges(a_range, bool(ttbcr.T0SZ or ttbcr.T1SZ))


def _ranges(a_range: Callable[[str, bool], Regime], are_two: bool) -> tuple[Regime, ...]:
    """Return the range of each TTBR that counts: TTBR1's is the upper one."""
    lower = a_range("TTBR0", False)
    return (lower, a_range("TTBR1", True)) if are_two else (lower,)


def _low(value: int) -> int:
    """Return the half of TTBR0 or TTBR1 that counts for short descriptors."""
    return value & 0xFFFF_FFFF


BUILDERS: Final[Mapping[str, Callable[[ReadRegister], tuple[Regime, ...]]]] = MappingProxyType(
    {PL1_REGIME: _pl1, PL2_REGIME: _pl2, STAGE2_REGIME: _stage2}
)
"""Each regime by its name: from registers to its ranges."""
NAMES: Final = tuple(BUILDERS)
