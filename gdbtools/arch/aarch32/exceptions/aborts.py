"""AArch32's aborts, as one `Exceptions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.aarch32.exceptions import record, vectors
from gdbtools.arch.aarch32.privilege_levels import PL2
from gdbtools.arch.aarch32.syndrome import DATA, FETCH, decode
from gdbtools.arch.aarch32.syndrome.fault_status import IFSR, IFSR_LONG
from gdbtools.arch.aarch32.translation import regimes
from gdbtools.arch.arm.fault_status import RECORDED_AS
from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.instruction_effects import Effect, EffectWords
from gdbtools.arch.model import (
    AccessKind,
    Agreement,
    ExceptionRecord,
    FaultKind,
    Fit,
    Privilege,
    ReadRegister,
    RecordNames,
    Syndrome,
    VectorEntry,
    Walk,
    optional,
)
from gdbtools.bits import FieldValue

LONGEST_BYTES: Final = 4
_TAKEN_FOR: Final = f"taken for a value of {DATA}; --fetch takes it for one of {FETCH}, of a prefetch abort"
_CONTEXT: Final = ("TTBCR", "TTBR0", "TTBR1", "SCTLR", "VBAR")
_OTHER_SET: Final = "whether it was of A32 or of T32 is in SPSR_abt, which QEMU's gdbstub does not give"


def _taken_by_hyp_mode(register: ReadRegister, regime: str | None) -> bool:
    if regime is None:
        return regimes.is_in_hyp_mode(register)
    return regime in (regimes.PL2_REGIME, regimes.STAGE2_REGIME)


class Aborts(Exceptions):
    """Data aborts and prefetch aborts that PL1 takes, and what Hyp mode does."""

    names = record.NAMES[DATA]
    recorded_as = RECORDED_AS
    effect_words = EffectWords("DSB", "ISB", "TLBIMVA")
    vectors_bytes = vectors.VECTORS_BYTES
    longest_instruction_bytes = LONGEST_BYTES
    # "TLB maintenance requirements": what causes a Translation fault or an Access flag fault is never held in a TLB.
    cached_refusals = frozenset((FaultKind.PERMISSION, FaultKind.DOMAIN))
    caught = ("access-flag", "translation", "permission", "domain")

    def instruction_bytes(self, begins: bytes) -> int:  # noqa: ARG002
        return LONGEST_BYTES

    def way_back(self, register: ReadRegister, through: VA | None) -> Mapping[str, int] | None:  # noqa: ARG002
        """Return what leads to an instruction that returns: SPSR_abt, which that restores, cannot be had."""
        return None if through is None else {"pc": through}

    def syndrome_of(self, exception_class: int, iss: int) -> int | None:  # noqa: ARG002
        """There are no classes: a fault status is whole."""
        return None

    def decode(self, value: int) -> Syndrome:
        found = decode(value)
        return replace(found, notes=(*found.notes, _TAKEN_FOR))

    def decode_fetch(self, value: int) -> Syndrome:
        return decode(value, FETCH)

    def names_of(self, syndrome: Syndrome) -> RecordNames:
        return record.NAMES[FETCH if isinstance(syndrome.word, IFSR | IFSR_LONG) else DATA]

    def is_syndrome(self, name: str) -> bool:
        """Return whether it is the one that a value by itself is taken for; IFSR has the same codes."""
        return name == DATA

    def syndrome(self, register: ReadRegister) -> Syndrome:
        return record.syndrome(register)

    def context(self, register: ReadRegister) -> tuple[int, ...]:
        own = ("HTCR", "HTTBR", "HSCTLR", "HVBAR") if regimes.is_in_hyp_mode(register) else _CONTEXT
        return tuple(optional(register, name) or 0 for name in own)

    def record(self, register: ReadRegister) -> ExceptionRecord:
        return record.record(register)

    def raised_at(self, exception: ExceptionRecord) -> VA | None:
        return exception.return_address

    def fits(
        self,
        exception: ExceptionRecord,
        instruction: int | None,  # noqa: ARG002
        register: ReadRegister | None = None,  # noqa: ARG002
    ) -> Agreement:
        names, at = exception.names, exception.return_address
        if at is None:
            since = "" if exception.target == PL2 else "LR_abt may have changed since: "
            return Agreement(Fit.NOT_SHOWN, f"{since}{names.return_address} is not known")
        if exception.syndrome.access_kind is not AccessKind.EXECUTE:
            return Agreement(Fit.NOT_SHOWN, _OTHER_SET)
        # A T32 instruction may lie across two pages, and its second half be refused.
        if exception.address in (at, at + 2):
            return Agreement(Fit.FITS, f"{names.return_address} is where it was fetched from")
        said = f"{names.address} is {exception.address:#x} and {names.return_address} {at:#x}"
        return Agreement(Fit.CONTRADICTS, f"{said}, of which a fetch has but one", of_address=True)

    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
        """Return where aborts are taken: PL1's of its own tables in PL1, those of its second stage in Hyp mode."""
        if _taken_by_hyp_mode(register, regime):
            own = regime != regimes.STAGE2_REGIME
            return vectors.of_hyp_mode(register, own, regime != regimes.PL2_REGIME)
        return vectors.aborts(register)

    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:
        if _taken_by_hyp_mode(register, regime):
            return "HVBAR"
        return "SCTLR" if vectors.has_high_vectors(register) else "VBAR"

    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        return vectors.entry_at(register, register("pc"))

    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:
        if exception.target == PL2:
            is_lower = entry.name == vectors.HYP_TRAP
            if exception.syndrome.from_lower in (None, is_lower):
                return ""
            whose = "a lower level" if exception.syndrome.from_lower else "Hyp mode itself"
            return f"pc is at the vector entry {entry.name}, and {exception.names.syndrome} is of {whose}"
        if exception.syndrome.name == entry.name:
            return ""
        return f"pc is at the vector entry {entry.name}, which leaves {exception.names.syndrome} as it was"

    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        fault = exception.syndrome.fault
        if fault is None:
            return False
        return fault.stage == 2 if regime == regimes.STAGE2_REGIME else fault.stage == 1 and exception.regime == regime

    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:  # noqa: ARG002
        return regimes.PL2_REGIME if privilege == PL2 else regimes.PL1_REGIME

    def maintenance(self, instruction: int) -> AccessKind:  # noqa: ARG002
        return AccessKind.MAINTENANCE

    def is_unprivileged(self, instruction: int) -> bool:  # noqa: ARG002
        """Return False: of an instruction alone nobody can say whether it is of A32 or of T32."""
        return False

    def effects(self, code: bytes, end: VA, register: ReadRegister, regime: str, about: Walk) -> Sequence[Effect]:  # noqa: ARG002
        """Return nothing, for the same reason."""
        return ()

    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:  # noqa: ARG002
        return ()
