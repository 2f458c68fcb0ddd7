"""PL1 and PL0 below an AArch64 hypervisor, where they are EL1 and EL0: by AArch64's names of their registers.

Each System register of AArch32 is mapped to one of AArch64, or to a half of one.  Source: DDI 0487, "Mapping of AArch32
System registers to the AArch64 System registers", and the section of each register.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gdbtools.arch.aarch32.privilege_levels import PL0
from gdbtools.arch.aarch32.registers.processor_state import CPSR
from gdbtools.arch.aarch32.registers.translation import HAS_PXN
from gdbtools.arch.aarch32.syndrome import fault_status
from gdbtools.arch.aarch32.translation import regimes
from gdbtools.arch.aarch32.translation.long_stage import LongStage
from gdbtools.arch.aarch32.translation.stage import PagedStage32
from gdbtools.arch.aarch32.translation.translation_off import TranslationOff
from gdbtools.arch.arm.second_stage import ArmSecondStage
from gdbtools.arch.model import Access, Fault, Privilege, ReadRegister, Refusal, Regime, Walk
from gdbtools.arch.other_state import OtherState
from gdbtools.bits import Field
from gdbtools.errors import Unavailable

_WHOLE, _LOW, _HIGH = Field((63, 0)), Field((31, 0)), Field((63, 32))
MAPPED: Final[Mapping[str, tuple[str, Field]]] = {
    "SCTLR": ("SCTLR_EL1", _LOW),
    "TTBCR": ("TCR_EL1", _LOW),
    "TTBR0": ("TTBR0_EL1", _WHOLE),
    "TTBR1": ("TTBR1_EL1", _WHOLE),
    "MAIR0": ("MAIR_EL1", _LOW),
    "MAIR1": ("MAIR_EL1", _HIGH),
    "DACR": ("DACR32_EL2", _LOW),
}
"""By the name that it has in AArch32: the register that it is in AArch64, and its bits of that."""
ARMV8: Final[Mapping[str, int]] = {"ID_MMFR0": HAS_PXN}
"""What every processor with AArch64 has."""


def mapped(register: ReadRegister) -> ReadRegister:
    """Return AArch32's registers out of AArch64's."""

    def narrow(name: str) -> int:
        if name in ARMV8:
            return ARMV8[name]
        if name not in MAPPED:
            raise Unavailable(f"{name} is none of the registers that translate for EL1 in AArch32 state")
        whole, field = MAPPED[name]
        return field.of(register(whole))

    return narrow


class UnderAArch64(OtherState):
    """EL1 and EL0 in AArch32 state."""

    def regimes(
        self,
        register: ReadRegister,
        levels: tuple[Privilege, Privilege],
        below: Regime | None,
        off: str,
        default_cacheable: bool,
    ) -> tuple[Regime, ...]:
        assert below is None or isinstance(below, ArmSecondStage), "below is a stage 2 of Arm's"
        return regimes.ranges(mapped(register), levels, below, off, default_cacheable)

    def is_of(self, regime: Regime) -> bool:
        return isinstance(regime, PagedStage32 | TranslationOff)

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        return check(walk, access, state)

    def status(self, fault: Fault, walk: Walk) -> int | None:
        return fault_status.status(fault, isinstance(walk.regime, LongStage))


def check(walk: Walk, access: Access, state: int) -> Refusal | None:
    """Ask stage 1 first, whole, and then the stage below where there is one."""
    regime = walk.regime
    as_user = access.privilege == PL0 or access.unprivileged
    if isinstance(regime, PagedStage32):
        return regime.check(walk, access.kind, as_user, CPSR(state & 0xFFFF_FFFF))
    assert isinstance(regime, TranslationOff), "there are no others"
    return regime.check(walk, access.kind, as_user)
