"""EL1 and EL0 in AArch32 state, whose own stage 1 is another architecture's.

It is asked for by its name where the architectures are registered, so that neither imports the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.model import ReadRegister, Regime

if TYPE_CHECKING:
    from gdbtools.arch.other_state import OtherState

NAME = "aarch32"
EL0, EL1 = LEVELS[:2]


def other_state() -> OtherState:
    """Return what translates for EL1 and EL0 in AArch32 state."""
    from gdbtools.arch import ARCHITECTURES  # not before such a level is met

    return ARCHITECTURES[NAME].other_state


def ranges(register: ReadRegister, below: Stage2 | None, hcr: HCR_EL2) -> tuple[Regime, ...]:
    """Return the ranges of EL1&0 in AArch32 state, above a stage 2 where there is one."""
    off = next((f"HCR_EL2.{field.name} is 1" for field in (HCR_EL2.DC, HCR_EL2.TGE) if field.of(hcr)), "")
    return other_state().regimes(register, (EL1, EL0), below, off, bool(hcr.DC))
