"""The exceptions of AArch64 state, as the part of the architecture that commands ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch64 import syndrome
from gdbtools.arch.aarch64.exceptions import agreement, named_exceptions, record
from gdbtools.arch.aarch64.exceptions.entry_needs import VECTORS_BYTES
from gdbtools.arch.aarch64.instructions import accesses, effects
from gdbtools.arch.aarch64.instructions.gadgets import INSTRUCTION_BYTES, is_unprivileged, maintenance
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.translation import regimes, shown_controls
from gdbtools.arch.aarch64.translation.check import check
from gdbtools.arch.arm.fault_status import RECORDED_AS
from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.instruction_effects import Effect, EffectWords
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Agreement,
    ExceptionRecord,
    Fault,
    FaultKind,
    InstructionAccess,
    Privilege,
    ReadRegister,
    Shown,
    Syndrome,
    TrappedOperand,
    VectorEntry,
    Walk,
    optional,
)
from gdbtools.bits import FieldValue

# "TLB maintenance instructions": one by IPA leaves what was made of both stages in one entry, so that one of stage 1
# has to follow.  Both are about the guest whose VMID is in VTTBR_EL2; at EL2 a TLBI by VA is about EL2's own.
_OF_STAGE_2: Final = EffectWords(
    "DSB", "ISB", "TLBI", by_hand="`TLBI IPAS2E1IS` of {}, and `TLBI VMALLE1IS`, with the guest's VMID in VTTBR_EL2"
)


class A64Exceptions(Exceptions):
    """Exceptions that are taken to AArch64 state."""

    names = record.names_at("x")
    recorded_as = RECORDED_AS
    effect_words = EffectWords("DSB", "ISB", "TLBI")
    vectors_bytes = VECTORS_BYTES
    longest_instruction_bytes = INSTRUCTION_BYTES
    # Rule R_SQBCS in "Translation Lookaside Buffers": no entry that causes a Translation, Address size or Access flag
    # fault.
    cached_refusals = (FaultKind.PERMISSION,)

    named = named_exceptions.NAMES
    named_by_regime = True
    named_regimes = named_exceptions.REGIMES

    def access_by(self, code: bytes, register: ReadRegister, at: VA | None = None) -> InstructionAccess | None:  # noqa: ARG002
        return accesses.access_by(code, register)

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

    def ways_in(self, register: ReadRegister) -> Collection[VA]:
        return record.ways_in(register)

    def named_vectors(self, register: ReadRegister, name: str, regime: str | None = None) -> Mapping[VA, str]:  # noqa: ARG002
        return named_exceptions.vectors(register, regime)

    def is_named(self, exception: ExceptionRecord, name: str, regime: str | None = None) -> bool:
        return named_exceptions.is_named(exception, name, regime)

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

    def words_for(self, exception: ExceptionRecord) -> EffectWords:
        fault = exception.syndrome.fault
        return _OF_STAGE_2 if fault is not None and fault.stage > 1 else self.effect_words

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

    def operand(self, exception: ExceptionRecord, register: ReadRegister) -> TrappedOperand | None:
        from gdbtools.arch.aarch64.exceptions.operand import operand  # only a trap has one

        return operand(exception, register)

    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:
        if exception.origin is None:
            return ()
        from gdbtools.arch.aarch64.traps.deciders import deciders  # a syndrome by itself needs no controls

        return deciders(exception.syndrome, exception.origin, exception.target, register)
