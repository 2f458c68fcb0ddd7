"""RISC-V's traps, as one `Exceptions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.instruction_effects import Effect, EffectWords
from gdbtools.arch.model import (
    AccessKind,
    Agreement,
    ExceptionRecord,
    FaultKind,
    InstructionAccess,
    Privilege,
    ReadRegister,
    Syndrome,
    VectorEntry,
    Walk,
    optional,
)
from gdbtools.arch.riscv import syndrome
from gdbtools.arch.riscv.exceptions import agreement, levels, record, returning, vectors
from gdbtools.arch.riscv.instructions import LONGEST_BYTES, effects, fences, length
from gdbtools.arch.riscv.privilege_modes import VS, VU, S
from gdbtools.arch.riscv.registers.status import HSTATUS64, MSTATUS64
from gdbtools.arch.riscv.translation import regimes
from gdbtools.bits import Field, FieldValue

SFENCE: Final = "sfence.vma"
_OWN: Final = EffectWords(SFENCE, SFENCE, SFENCE, of_leaves=True)
# "Hypervisor Memory-Management Fence Instructions": what SFENCE.VMA is to a hart's own tables, each is to its stage.
_OF_GUEST: Final = EffectWords("hfence.vvma", "hfence.vvma", "hfence.vvma", of_leaves=True, regime=regimes.GUEST)
_OF_GUEST_STAGE: Final = EffectWords(
    "hfence.gvma", "hfence.gvma", "hfence.gvma", of_leaves=True, regime=regimes.GUEST_STAGE
)
_ILLEGAL, _VIRTUAL = 2, 22


class Traps(Exceptions):
    """Traps of harts where MXLEN is `bits`."""

    names = levels.ANY
    effect_words = _OWN
    vectors_bytes = vectors.VECTORS_BYTES
    longest_instruction_bytes = LONGEST_BYTES
    # "Supervisor Memory-Management Fence Instruction": an implementation may cache any entry that it has read, an
    # invalid one too, until it is told.
    cached_refusals = frozenset((*syndrome.PAGE_FAULT_KINDS, FaultKind.PAGE))
    fences_are_local = True

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def instruction_bytes(self, begins: bytes) -> int:
        return length(begins)

    def way_back(self, register: ReadRegister, through: VA | None) -> Mapping[str, int] | None:
        return returning.way_back(register, self.bits, through)

    def syndrome_of(self, exception_class: int, iss: int) -> int | None:  # noqa: ARG002
        """There are no classes: a cause is whole."""
        return None

    def decode(self, value: int) -> Syndrome:
        return syndrome.decode(value, self.bits)

    def is_syndrome(self, name: str) -> bool:
        return name in [each.cause for each in levels.OF_MODE.values()]

    def syndrome(self, register: ReadRegister) -> Syndrome:
        return self.decode(register(levels.OF_MODE[levels.target(register)].cause))

    def context(self, register: ReadRegister) -> tuple[int, ...]:
        target = levels.target(register)
        roots = (optional(register, name) or 0 for name in ("satp", "vsatp", "hgatp"))
        return int(target), optional(register, levels.OF_MODE[target].vector) or 0, *roots

    def record(self, register: ReadRegister) -> ExceptionRecord:
        return record.record(register, self.bits)

    def raised_at(self, exception: ExceptionRecord) -> VA | None:
        return agreement.raised_at(exception)

    def fits(
        self, exception: ExceptionRecord, instruction: int | None, register: ReadRegister | None = None
    ) -> Agreement:
        return agreement.fits(exception, instruction, self.bits, register)

    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
        return vectors.vectors(register, regime)

    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:
        return vectors.vector_base(register, regime)

    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        return vectors.vector_entry(register, register("pc"))

    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:
        return vectors.against_entry(exception, entry)

    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        return vectors.is_of(exception, regime)

    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:  # noqa: ARG002
        return regimes.OF_MODE[privilege]

    def maintenance(self, instruction: int) -> AccessKind:  # noqa: ARG002
        """A cache block operation's fault is a store's: there is no syndrome of its own."""
        return AccessKind.MAINTENANCE

    def access_by(self, code: bytes, register: ReadRegister, at: VA | None = None) -> InstructionAccess | None:  # noqa: ARG002
        return agreement.access_by(code, self.bits, register)

    def is_unprivileged(self, instruction: int) -> bool:  # noqa: ARG002
        """A supervisor has no loads that are checked as a user's, but HLV, which are of another regime."""
        return False

    def words_for(self, exception: ExceptionRecord) -> EffectWords:
        """A guest fences its own tables by SFENCE.VMA; of the G-stage, and from outside, each stage has its own."""
        fault = exception.syndrome.fault
        if fault is not None and fault.stage > 1:
            return _OF_GUEST_STAGE
        return _OF_GUEST if exception.regime == regimes.GUEST and exception.target not in (VS, VU) else _OWN

    def effects(self, code: bytes, end: VA, register: ReadRegister, regime: str, about: Walk) -> Sequence[Effect]:
        return effects.recent(code, end, register, self.bits, regime == regimes.GUEST, about)

    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:
        """Return what makes fences, SRET or WFI trap: TVM, TSR and TW, where they are set and it was one of them."""
        code, origin = syndrome.code_of(exception.syndrome), exception.origin
        if code not in (_ILLEGAL, _VIRTUAL) or origin is None or not exception.address:
            return ()
        holder, fields = _CONTROLS.get((code, origin), ("", ()))
        value = optional(register, holder) if holder else None
        if value is None:
            return ()
        wanted = fences.controlled_by(exception.address)
        named = [each for each in fields if wanted and each.name.endswith(wanted)]
        return [(holder, FieldValue(each, 1)) for each in named if each.of(value)]


_OF_MACHINE: Final = ("mstatus", (MSTATUS64.TVM, MSTATUS64.TSR, MSTATUS64.TW))
_OF_HYPERVISOR: Final = ("hstatus", (HSTATUS64.VTVM, HSTATUS64.VTSR, HSTATUS64.VTW))
_CONTROLS: Final[Mapping[tuple[int, Privilege], tuple[str, tuple[Field, ...]]]] = {
    (_ILLEGAL, S): _OF_MACHINE,
    (_VIRTUAL, VS): _OF_HYPERVISOR,
    (_VIRTUAL, VU): _OF_HYPERVISOR,
}
