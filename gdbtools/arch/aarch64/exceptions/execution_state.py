"""Whether EL1 runs in AArch32, how that is known, and which exceptions only one execution state raises.

Source: DDI 0487, "HCR_EL2.RW", "SCR_EL3.RW", "ID_AA64PFR0_EL1.EL1", "Execution state".
"""

from __future__ import annotations

from typing import Final

from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.identification import ID_AA64PFR0_EL1
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.syndrome import EC
from gdbtools.arch.aarch64.translation.security import SecurityState, scr_el3, security_state
from gdbtools.arch.model import ReadRegister, optional

EL1: Final = 1
BOTH_STATES: Final = 2
"""ID_AA64PFR0_EL1.EL1 of a level that has AArch32, too."""
AARCH32_ONLY: Final = frozenset(
    (
        EC.CP15_MCR_MRC,
        EC.CP15_MCRR_MRRC,
        EC.CP14_MCR_MRC,
        EC.LDC_STC,
        EC.VMRS,
        EC.CP14_MRRC,
        EC.SVC_AARCH32,
        EC.HVC_AARCH32,
        EC.SMC_AARCH32,
        EC.FLOATING_POINT_AARCH32,
        EC.BKPT_AARCH32,
        EC.VECTOR_CATCH_AARCH32,
    )
)
AARCH64_ONLY: Final = frozenset(
    (
        EC.POINTER_AUTHENTICATION,
        EC.BRANCH_TARGET,
        EC.SYSTEM_128,
        EC.SVC,
        EC.HVC,
        EC.SMC,
        EC.SYSTEM,
        EC.SVE_ACCESS,
        EC.ERET,
        EC.TSTART,
        EC.POINTER_AUTHENTICATION_FAILURE,
        EC.SME_ACCESS,
        EC.SP_ALIGNMENT,
        EC.MEMORY_OPERATION,
        EC.FLOATING_POINT,
        EC.GUARDED_CONTROL_STACK,
        EC.BRK,
    )
)
"""The classes that only one execution state can raise."""


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
