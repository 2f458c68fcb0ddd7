"""AArch64: the VMSAv8-64 translation system, as one `Architecture`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from gdbtools.addresses import VA, Input
from gdbtools.arch.aarch64 import GENERAL, IDENTITY, syndrome
from gdbtools.arch.aarch64.descriptor_repair import A64Repair
from gdbtools.arch.aarch64.exception_levels import LEVELS
from gdbtools.arch.aarch64.exceptions import agreement, record
from gdbtools.arch.aarch64.exceptions.entry_needs import VECTORS_BYTES
from gdbtools.arch.aarch64.instructions import effects
from gdbtools.arch.aarch64.instructions.gadgets import A64, INSTRUCTION_BYTES, is_unprivileged, maintenance
from gdbtools.arch.aarch64.permissions.checks import as_user
from gdbtools.arch.aarch64.registers import (
    hypervisor,
    identification,
    overview,
    processor_state,
    translation,
    written_names,
)
from gdbtools.arch.aarch64.registers.features import STAND_INS, optional
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
from gdbtools.arch.aarch64.tables.table_heuristics import A64Tables
from gdbtools.arch.aarch64.translation import isolation, regimes, root_registers, shown_controls, stage2_owner
from gdbtools.arch.aarch64.translation.stage1 import Stage1
from gdbtools.arch.aarch64.translation.stage1_off import Stage1Off
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.aarch64.translation.stage2_owner import Stage2Off
from gdbtools.arch.aarch64.traps import fine_grained
from gdbtools.arch.aarch64.traps import registers as trap_registers
from gdbtools.arch.aarch64.traps.deciders import deciders
from gdbtools.arch.capabilities import Architecture, PageTableIsolation
from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.instruction_effects import Effect, EffectWords
from gdbtools.arch.isolation import Switch, View
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Agreement,
    Derived,
    ExceptionRecord,
    Fault,
    FaultKind,
    Privilege,
    ReadRegister,
    Refusal,
    Regime,
    Shown,
    Syndrome,
    VectorEntry,
    Walk,
)
from gdbtools.bits import FieldValue, Word

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
    **trap_registers.DECLARED,
    **fine_grained.DECLARED,
}
_WITHOUT_HOST: Final[Mapping[str, type[Word]]] = {"TCR_EL2": translation.TCR_EL2, **trap_registers.WITHOUT_HOST}
"""What is laid out otherwise while HCR_EL2.E2H is clear."""


def check(walk: Walk, access: Access, state: int) -> Refusal | None:
    """Ask stage 1 first, whole, and then stage 2: a permission fault at stage 1 hides what stage 2 would say."""
    pstate, regime = SPSR(state), walk.regime
    if isinstance(regime, Stage2):
        return regime.check(walk, access.kind, 0 if as_user(access, pstate, True) else 1)
    if isinstance(regime, Stage2Off):
        return walk.refusal
    assert isinstance(regime, Stage1 | Stage1Off)
    user = as_user(access, pstate, regime.unprivileged_counts)
    if isinstance(regime, Stage1):
        refused = regime.check(walk, access.kind, user, pstate)
    else:
        refused = regime.check(walk, access.kind)
    if refused is not None or walk.final is None or regime.below is None:
        return refused
    return regime.below.check(walk.final, access.kind, 0 if user else 1)


class A64Exceptions(Exceptions):
    """Exceptions that are taken to AArch64 state."""

    names = record.names_at("x")
    effect_words = EffectWords("DSB", "ISB", "TLBI")
    vectors_bytes = VECTORS_BYTES
    longest_instruction_bytes = INSTRUCTION_BYTES
    # Rule R_SQBCS in "Translation Lookaside Buffers": no entry that causes a Translation, Address size or Access flag
    # fault.
    cached_refusals = (FaultKind.PERMISSION,)

    def instruction_bytes(self, begins: bytes) -> int:  # noqa: ARG002
        return INSTRUCTION_BYTES

    def way_back(self, register: ReadRegister, through: VA | None) -> Mapping[str, int] | None:  # noqa: ARG002
        """ELR and SPSR are still the exception's, so that an ERET is all that it takes."""
        return None if through is None else {"pc": through}

    def syndrome_of(self, exception_class: int, iss: int) -> int | None:
        fields = syndrome.ESR_ELx
        if exception_class >> fields.EC.width or iss & ~(fields.ISS.mask | fields.IL.mask):
            return None
        return int(fields(iss).with_(EC=exception_class, IL=1))

    def decode(self, value: int) -> Syndrome:
        return syndrome.decode(value)

    def is_syndrome(self, name: str) -> bool:
        return name.startswith("ESR_EL")

    def syndrome(self, register: ReadRegister) -> Syndrome:
        return syndrome.decode(register(f"ESR_EL{record.target(register)}"))

    def context(self, register: ReadRegister) -> tuple[int, ...]:
        target = record.target(register)
        bases = (optional(register, f"{name}_EL{target}") for name in ("VBAR", "TTBR0", "TTBR1"))
        return target, *(base or 0 for base in bases)

    def record(self, register: ReadRegister) -> ExceptionRecord:
        return record.record(register)

    def raised_at(self, exception: ExceptionRecord) -> VA | None:
        return agreement.raised_at(exception)

    def fits(
        self, exception: ExceptionRecord, instruction: int | None, register: ReadRegister | None = None
    ) -> Agreement:
        return agreement.fits(exception, instruction, register)

    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
        return record.vectors(register) if regime is None else record.vectors_for(register, regime)

    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:
        return f"VBAR_EL{record.target(register) if regime is None else record.taken_at(regime)}"

    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        return record.vector_entry(register, register("pc"))

    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:
        return agreement.against_entry(exception, entry)

    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        return record.is_of(exception, regime)

    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:
        return regimes.of_level(register, privilege)

    def maintenance(self, instruction: int) -> AccessKind:
        return maintenance(instruction)

    def is_unprivileged(self, instruction: int) -> bool:
        return is_unprivileged(instruction)

    def effects(self, code: bytes, end: VA, register: ReadRegister, regime: str, about: Walk) -> Sequence[Effect]:
        return effects.recent(effects.words_of(code), end, register, regime, about)

    def shown_by(
        self, fault: Fault, walk: Walk, access: Access, state: int | None, register: ReadRegister
    ) -> Shown | None:
        by_tables = shown_controls.address_size(fault, walk, register) or shown_controls.access_flag(
            fault, walk, register
        )
        if by_tables is not None or state is not None:
            return by_tables
        return shown_controls.privileged_access_never(fault, check(walk, access, int(SPSR(0).with_(PAN=1))))

    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:
        if exception.origin is None:
            return ()
        return deciders(exception.syndrome, exception.origin, exception.target, register)


class A64Isolation(PageTableIsolation):
    """Kernel page-table isolation by TTBR1: the upper half is reduced while a process runs."""

    def range(self, register: ReadRegister, name: str | None = None) -> Regime | None:
        return isolation.upper_range(register, name)

    def switch(self, register: ReadRegister, view: View, name: str | None = None) -> Switch | None:
        return isolation.switch(register, view, name)

    def ways_in(
        self, register: ReadRegister, reduced: Mapping[str, int], view: View, first: VA, size_bytes: int
    ) -> Mapping[VA, str]:
        return isolation.ways_in(register, reduced, view, first, size_bytes)


class AArch64(Architecture):
    """The Arm 64-bit architecture: VMSAv8-64, every regime of it."""

    identity = IDENTITY
    registers = DECLARED
    principal = tuple(_OF_TRANSLATION)
    brief_fields = overview.FIELDS
    leaves = (TwoLevelLeaf, OneLevelLeaf, NestedLeaf, IndirectLeaf, Stage2Leaf, Stage2IndirectLeaf)
    memory_types = memory_types.NAMES
    regime_names = regimes.NAMES
    privileges = LEVELS
    pc = "pc"
    general = GENERAL
    exceptions = A64Exceptions()
    isolation = A64Isolation()
    repair = A64Repair()
    gadgets = A64()
    table_heuristics = A64Tables()

    def word(self, name: str, register: ReadRegister) -> Word:
        value = register(name)
        if name.startswith("ESR"):
            return syndrome.decode(value).word
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

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        return check(walk, access, state)

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

    def status(self, fault: Fault) -> int | None:
        return syndrome.status(fault)

    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:
        if isinstance(regime, Stage2 | Stage2Off):
            return LEVELS[:2]
        assert isinstance(regime, Stage1 | Stage1Off)
        controls = regime.controls
        own = LEVELS[controls.el]
        return (LEVELS[0], own) if controls.user else (own,)


ARCHITECTURE: Final = AArch64()
