"""AArch64: the VMSAv8-64 translation system, as one `Architecture`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gdbtools.addresses import Input
from gdbtools.arch.aarch64 import GENERAL, IDENTITY, syndrome
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.registers import (
    hypervisor,
    identification,
    overview,
    processor_state,
    translation,
    written_names,
)
from gdbtools.arch.aarch64.registers.features import STAND_INS
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.tables import memory_types
from gdbtools.arch.aarch64.tables.descriptors import (
    IndirectLeaf,
    NestedLeaf,
    OneLevelLeaf,
    Stage2IndirectLeaf,
    Stage2Leaf,
    TwoLevelLeaf,
)
from gdbtools.arch.aarch64.translation import regimes, stage2_owner
from gdbtools.arch.aarch64.translation.check import check
from gdbtools.arch.aarch64.translation.stage1 import Stage1
from gdbtools.arch.aarch64.translation.stage1_off import Stage1Off
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.aarch64.translation.stage2_owner import Stage2Off
from gdbtools.arch.aarch64.traps import fine_grained
from gdbtools.arch.aarch64.traps import registers as trap_registers
from gdbtools.arch.capabilities import Architecture, part
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Derived,
    Fault,
    Privilege,
    ReadRegister,
    Refusal,
    Regime,
    Walk,
    optional,
)
from gdbtools.bits import Word

if TYPE_CHECKING:
    from gdbtools.arch.capabilities import DescriptorRepair, PageTableIsolation
    from gdbtools.arch.exceptions import Exceptions
    from gdbtools.arch.gadgets import Gadgets
    from gdbtools.arch.guests import GuestRegisters
    from gdbtools.arch.hardware_flags import HardwareFlags
    from gdbtools.arch.other_state import OtherState
    from gdbtools.arch.table_heuristics import TableHeuristics

_STAGE1: Final[Mapping[str, type[Word]]] = {
    "TTBR0": translation.TTBR,
    "TTBR1": translation.TTBR,
    "TCR": translation.TCR_EL1,
    "TCR2": translation.TCR2,
    "SCTLR": translation.SCTLR,
    "MAIR": translation.MAIR,
    "PIR": translation.PIR,
    "PIRE0": translation.PIR,
    "POR": translation.POR,
    "ESR": syndrome.ESR_ELx,
    "FAR": processor_state.FAR,
    "ELR": processor_state.ELR,
    "SPSR": processor_state.SPSR,
    "VBAR": processor_state.VBAR,
    "CONTEXTIDR": processor_state.CONTEXTIDR,
}
_OF_TRANSLATION: Final[Mapping[str, type[Word]]] = {
    **{f"{name}_EL1": word for name, word in _STAGE1.items()},
    "POR_EL0": translation.POR,
    "cpsr": processor_state.SPSR,
    "ID_AA64PFR0_EL1": identification.ID_AA64PFR0_EL1,
    "ID_AA64MMFR0_EL1": identification.ID_AA64MMFR0_EL1,
    "ID_AA64MMFR1_EL1": identification.ID_AA64MMFR1_EL1,
    "ID_AA64MMFR2_EL1": identification.ID_AA64MMFR2_EL1,
    "ID_AA64MMFR3_EL1": identification.ID_AA64MMFR3_EL1,
    "HCR_EL2": hypervisor.HCR_EL2,
    "HCRX_EL2": hypervisor.HCRX_EL2,
    "VTTBR_EL2": hypervisor.VTTBR,
    "VTCR_EL2": hypervisor.VTCR_EL2,
    "VSTTBR_EL2": hypervisor.VTTBR,
    "VSTCR_EL2": hypervisor.VSTCR_EL2,
    "S2PIR_EL2": translation.PIR,
    "HPFAR_EL2": hypervisor.HPFAR_EL2,
    **{f"{name}_EL2": word for name, word in _STAGE1.items()},
    "SCR_EL3": hypervisor.SCR_EL3,
    "GPCCR_EL3": hypervisor.GPCCR_EL3,
    **{f"{name}_EL3": word for name, word in _STAGE1.items() if name not in ("TTBR1", "TCR2", "PIRE0", "CONTEXTIDR")},
    "TCR_EL3": translation.TCR_EL3,
}
DECLARED: Final[Mapping[str, type[Word]]] = {
    **_OF_TRANSLATION,
    "DACR32_EL2": hypervisor.DACR32_EL2,
    "CTR_EL0": identification.CTR_EL0,
    "CSSELR_EL1": identification.CSSELR,
    "CCSIDR_EL1": identification.CCSIDR,
    "VMPIDR_EL2": identification.MPIDR,
    **trap_registers.DECLARED,
    **fine_grained.DECLARED,
}
_WITHOUT_HOST: Final[Mapping[str, type[Word]]] = {"TCR_EL2": translation.TCR_EL2, **trap_registers.WITHOUT_HOST}
"""What is laid out otherwise while HCR_EL2.E2H is clear."""


def _exceptions() -> Exceptions:
    from gdbtools.arch.aarch64.exceptions.taken import A64Exceptions

    return A64Exceptions()


def _isolation() -> PageTableIsolation:
    from gdbtools.arch.aarch64.translation.isolation import A64Isolation

    return A64Isolation()


def _repair() -> DescriptorRepair:
    from gdbtools.arch.aarch64.descriptor_repair import A64Repair

    return A64Repair()


def _gadgets() -> Gadgets:
    from gdbtools.arch.aarch64.instructions.gadgets import A64

    return A64()


def _hardware_flags() -> HardwareFlags:
    from gdbtools.arch.aarch64.hardware_flags import A64Flags

    return A64Flags()


def _table_heuristics() -> TableHeuristics:
    from gdbtools.arch.aarch64.tables.table_heuristics import A64Tables

    return A64Tables()


def _guests() -> GuestRegisters:
    from gdbtools.arch.aarch64.translation.guests import A64Guests

    return A64Guests()


def _other_state() -> OtherState:
    from gdbtools.arch.aarch64.translation.lower_state import other_state

    return other_state()


def _is_own(regime: Regime) -> bool:
    """Return whether a regime is of AArch64 state, and not of an EL1 in AArch32."""
    return isinstance(regime, Stage1 | Stage1Off | Stage2 | Stage2Off)


class AArch64(Architecture):
    """The Arm 64-bit architecture: VMSAv8-64, every regime of it."""

    identity = IDENTITY
    registers = DECLARED
    principal = tuple(_OF_TRANSLATION)
    brief_fields = overview.FIELDS
    leaves = (TwoLevelLeaf, OneLevelLeaf, NestedLeaf, IndirectLeaf, Stage2Leaf, Stage2IndirectLeaf)
    memory_types = memory_types.NAMES
    regime_names = regimes.NAMES
    bare_regimes = ("el1", regimes.STAGE2)
    privileges = LEVELS
    pc = "pc"
    general = GENERAL
    exceptions = part(_exceptions)
    isolation = part(_isolation)
    repair = part(_repair)
    gadgets = part(_gadgets)
    hardware_flags = part(_hardware_flags)
    table_heuristics = part(_table_heuristics)
    guests = part(_guests)

    def word(self, name: str, register: ReadRegister) -> Word:
        value = register(name)
        if name.startswith("ESR"):
            return syndrome.decode(value).word
        if DECLARED[name] is SPSR and SPSR(value).is_aarch32:
            return processor_state.SPSR_AArch32(value)
        host = hypervisor.HCR_EL2(optional(register, "HCR_EL2") or 0).E2H
        return (DECLARED if host else {**DECLARED, **_WITHOUT_HOST})[name](value)

    def stand_in(self, name: str) -> Word | None:
        value = STAND_INS.get(name)
        return None if value is None else DECLARED[name](value)

    def register_name(self, text: str, level: int) -> str | None:
        return written_names.register_name(text, (*self.registers, *self.general), level)

    def suffix(self, level: int) -> str:
        return f"_EL{level}"

    def register_names(self) -> Collection[str]:
        return written_names.register_names((*self.registers, *self.general))

    def implied(self, register: ReadRegister, given: Collection[str]) -> Derived:
        return written_names.implied(register, given)

    def laid_out_by(self, name: str) -> tuple[str, str] | None:
        return ("HCR_EL2", "E2H") if name in _WITHOUT_HOST else None

    def in_force(self, register: ReadRegister) -> Sequence[str]:
        return tuple(overview.in_force(register))

    def bare_regime(self, granule: str, name: str, level: int | None) -> Regime:
        from gdbtools.arch.aarch64.translation import root_registers  # only a descriptor without tables needs it

        return root_registers.bare_regime(granule, name, level)

    def privilege(self, register: ReadRegister) -> Privilege:
        return LEVELS[SPSR(register("cpsr")).el]

    def state(self, register: ReadRegister) -> int:
        return register("cpsr")

    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        return tuple(self.marked(each) for each in regimes.regimes(register, name))

    def regime_for(self, register: ReadRegister, address: Input, name: str | None = None) -> Regime:
        return self.marked(regimes.regime_for(register, address, name))

    def marked(self, regime: Regime) -> Regime:
        # Stage 2's software bits are another's.
        if self.dirty.bit is None or not isinstance(regime, Stage1):
            return regime
        return replace(regime, software_dirty=self.dirty.bit)

    def loaded(self, register: ReadRegister) -> Sequence[str]:
        in_use = any(regime.below is not None for regime in regimes.regimes(register))
        return () if in_use or not stage2_owner.has_tables(register) else (regimes.STAGE2,)

    def rooted(self, register: ReadRegister, name: str | None, root: int) -> Mapping[str, int]:
        """Return the register that would have stage 2 begin at a root, laid out as it is; of no other it is enough."""
        if name != regimes.STAGE2:
            return super().rooted(register, name, root)
        return {"VTTBR_EL2": int(hypervisor.VTTBR(root))}

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        if _is_own(walk.regime):
            return check(walk, access, state)
        return _other_state().check(walk, access, state)

    def may_refuse(self, walk: Walk, access: Access) -> Refusal | None:
        """A fetch from Device memory: stage 1's says so first."""
        regime = walk.regime
        if access.kind is not AccessKind.EXECUTE or not isinstance(regime, Stage1 | Stage1Off | Stage2):
            return None
        refused = None if isinstance(regime, Stage1Off) else regime.device_fetch(walk)
        if refused is not None or walk.final is None:
            return refused
        assert isinstance(walk.final.regime, Stage2), "the stage below is stage 2"
        return walk.final.regime.device_fetch(walk.final)

    def status(self, fault: Fault, access: Access | None = None, walk: Walk | None = None) -> int | None:  # noqa: ARG002
        if walk is not None and fault.stage == 1 and not _is_own(walk.regime):
            return _other_state().status(fault, walk)
        return syndrome.status(fault)

    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:
        if isinstance(regime, Stage2 | Stage2Off):
            return LEVELS[:2]
        if not isinstance(regime, Stage1 | Stage1Off):
            return LEVELS[:2]
        controls = regime.controls
        own = LEVELS[controls.el]
        return (LEVELS[0], own) if controls.user else (own,)


ARCHITECTURE: Final = AArch64()
