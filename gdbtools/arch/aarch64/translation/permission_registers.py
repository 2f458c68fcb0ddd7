"""The registers that say how permissions are encoded: TCR2_ELx, PIR_ELx, POR_ELx, and what EL3 lets them do."""

from __future__ import annotations

from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.features import Features
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2, SCR_EL3
from gdbtools.arch.aarch64.registers.identification import ID_AA64PFR0_EL1
from gdbtools.arch.aarch64.registers.translation import PIR, POR
from gdbtools.arch.aarch64.translation.controls import EL3, EL10, Controls
from gdbtools.arch.aarch64.translation.hypervisor_controls import REFUSED, hcr_of, hcrx_of, is_nested
from gdbtools.arch.aarch64.translation.security import scr_el3
from gdbtools.arch.aarch64.translation.stage1 import Permissions
from gdbtools.arch.arm.grants import Limit
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.bits import Word
from gdbtools.errors import Unavailable


def extended_controls(register: ReadRegister, controls: Controls) -> Word:
    """TCR2_ELx, or TCR_EL3; it counts as 0 while SCR_EL3.TCR2En, or at EL1 HCRX_EL2.TCR2En, withholds it.

    Refuses what is not decoded.  Source: IsTCR2EL1Enabled, IsTCR2EL2Enabled.
    """
    name, layout = controls.extended
    value = optional(register, name)
    hcrx, scr = hcrx_of(register), scr_el3(register)
    withheld = controls is EL10 and has_el2(register) and hcrx is not None and not hcrx.TCR2En
    withheld = withheld or (controls is not EL3 and scr is not None and not scr.TCR2En)
    word = layout(0 if value is None or withheld else value)
    for field, meaning in REFUSED:
        if word.field(field).of(word):
            raise Unavailable(f"{name}.{field} is 1: {meaning} not decoded")
    return word


def has_el2(register: ReadRegister) -> bool:
    """Return whether there is an EL2: QEMU's stub gives its registers, as 0, also of a CPU that has none."""
    pfr0 = optional(register, "ID_AA64PFR0_EL1")
    return pfr0 is not None and bool(ID_AA64PFR0_EL1(pfr0).EL2)


def permissions_of(register: ReadRegister, controls: Controls, extended: Word, has: Features) -> Permissions:
    def on(name: str) -> bool:
        return bool(extended.field(name).of(extended))

    def held(name: str, kind: type[Word]) -> tuple[str, Word]:
        return name, kind(register(name))

    nested = is_nested(controls, hcr_of(register))
    indirect, overlay = has.indirection and on("PIE"), has.overlays and on("POE")  # I_VYHZC, R_RQWXN
    user_overlay = has.overlays and controls.user and on("E0POE") and not nested  # R_TMNYQ
    pire0: tuple[str, Word] | Limit | None = None
    if indirect and nested:
        # A guest hypervisor has no EL0, and PIRE0_EL1 is as 0: R_DJZHM, AArch64.GetS1TTWParamsEL10.
        pire0 = Limit(VMSACause.PRIVILEGED_ONLY, HCR_EL2.NV1, 1, register="HCR_EL2")
    elif indirect and controls.user:
        pire0 = held(controls.register("PIRE0"), PIR)
    return Permissions(
        pir=held(controls.register("PIR"), PIR) if indirect else None,
        pire0=pire0,
        privileged_overlay=held(controls.register("POR"), POR) if overlay else None,
        user_overlay=held("POR_EL0", POR) if user_overlay else None,
        disabled=None if controls is EL3 else registers_disabled(register),
    )


def registers_disabled(register: ReadRegister) -> Limit | None:
    """Return what has PIR_ELx, PIRE0_ELx, POR_ELx and S2PIR_EL2 taken for 0 below EL3: "SCR_EL3.PIEn"."""
    scr = scr_el3(register)
    if scr is None or scr.PIEn:
        return None
    return Limit(VMSACause.REGISTERS_DISABLED, SCR_EL3.PIEn, 0, register="SCR_EL3")
