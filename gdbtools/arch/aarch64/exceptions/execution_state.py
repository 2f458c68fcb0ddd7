"""Whether EL1 runs in AArch32, and how that is known.

Source: DDI 0487, "HCR_EL2.RW", "SCR_EL3.RW", "ID_AA64PFR0_EL1.EL1", "Execution state".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.identification import ID_AA64PFR0_EL1
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.translation.security import SecurityState, scr_el3, security_state
from gdbtools.arch.model import ReadRegister, optional

EL1: Final = 1
BOTH_STATES: Final = 2
"""ID_AA64PFR0_EL1.EL1 of a level that has AArch32, too."""


def aarch32_el1(register: ReadRegister) -> str:
    """Return what says that EL1 is AArch32; empty where it is AArch64, or nothing says otherwise.

    The state of a CPU that is at EL1 or EL0 goes before the control that a reset or another guest left behind.
    """
    cpsr = optional(register, "cpsr")
    if cpsr is not None and (state := SPSR(cpsr)).el <= EL1:
        if not state.is_aarch32:
            return ""
        if state.el == EL1:
            return f"cpsr is of {SPSR.M.meaning(state.M) or 'AArch32'}"
    return _configured(register)


def _configured(register: ReadRegister) -> str:
    pfr0, hcr, scr = optional(register, "ID_AA64PFR0_EL1"), optional(register, "HCR_EL2"), scr_el3(register)
    if pfr0 is not None and ID_AA64PFR0_EL1(pfr0).EL1 != BOTH_STATES:
        return ""
    without_el2 = security_state(register, EL1) is SecurityState.SECURE and scr is not None and not scr.EEL2
    has_el2 = bool(ID_AA64PFR0_EL1(pfr0).EL2) if pfr0 is not None else bool(hcr)
    if hcr is None or without_el2 or not has_el2:
        return "SCR_EL3.RW is 0" if scr is not None and pfr0 is not None and not scr.RW else ""
    word = HCR_EL2(hcr)
    return "" if word.RW or (word.E2H and word.TGE) else "HCR_EL2.RW is 0"
