"""Page faults, as x86-64's `Exceptions`: what is on the stack joined with cr2, at the handler's first instruction.

Source: Intel SDM volume 3, "Interrupt 14".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from gdbtools.addresses import VA
from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.instruction_effects import Effect, EffectWords
from gdbtools.arch.model import (
    Access,
    AccessKind,
    AddressMeaning,
    Agreement,
    ExceptionRecord,
    Fault,
    FaultKind,
    InstructionAccess,
    Privilege,
    ReadRegister,
    RecordNames,
    Shown,
    Syndrome,
    VectorEntry,
    Walk,
    optional,
)
from gdbtools.arch.x86_64.exceptions import agreement, frame, unrecorded
from gdbtools.arch.x86_64.instructions import effects
from gdbtools.arch.x86_64.instructions.decoding import LONGEST_BYTES, decode
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER, USER_CPL
from gdbtools.arch.x86_64.registers import local_apic
from gdbtools.arch.x86_64.registers.control import Selector
from gdbtools.arch.x86_64.syndrome import page_fault, selector
from gdbtools.arch.x86_64.tables.entries import beyond_width
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.bits import FieldValue
from gdbtools.errors import Unavailable

NAMES: Final = RecordNames("error code", "cr2", "rip", "eflags")
NAMED: Final = {
    selector.GENERAL_PROTECTION: "general-protection",
    selector.STACK: "stack-fault",
    selector.DOUBLE_FAULT: "double-fault",
}
"""What is caught by its name alone."""
ON_STACK: Final = replace(NAMES, return_address="rip on the stack", state="rflags on the stack")


def _origin(found: frame.FaultFrame) -> Privilege:
    return USER if Selector(found.cs).RPL == USER_CPL else SUPERVISOR


def _written_origin(asking: Privilege, selector: int | None) -> tuple[Privilege, str]:
    """Return where a fault came from whose registers somebody wrote down, and which of them shows it.

    User mode has no supervisor's cs: then that is the handler's, and says nothing.
    """
    if selector is None or (asking == USER and Selector(selector).RPL != USER_CPL):
        return asking, ""
    return USER if Selector(selector).RPL == USER_CPL else SUPERVISOR, f"cs {selector:#x}"


class PageFaults(Exceptions):
    """Page faults of 64-bit mode, and what else leaves an error code: #GP, #SS, #DF."""

    names = NAMES
    effect_words = EffectWords(
        "a serializing instruction",
        "a serializing instruction",
        "invlpg",
        table_cache="paging-structure cache",
    )
    vectors_bytes = 1
    longest_instruction_bytes = LONGEST_BYTES
    # "Caching Translation Information": an entry is cached only if it is present and has no reserved bit set.
    cached_refusals = frozenset((FaultKind.PERMISSION, FaultKind.PROTECTION_KEY))
    fences_are_local = True
    # "Operations that Invalidate TLBs and Paging-Structure Caches".
    fault_forgets = "a page fault has its CPU forget what it holds of that address"
    caught = ("translation", "permission", "reserved-bit", "protection-key")
    named = MappingProxyType({each: f"{each} faults" for each in NAMED.values()})
    handler_register = frame.HANDLER
    # "Optional Invalidation".
    grants_owe_nothing = True
    barriers_are_owed = False
    # Xen, for its paravirtual guests.
    tables_are_unhooked = True

    def instruction_bytes(self, begins: bytes) -> int:
        found = decode(begins)
        return LONGEST_BYTES if found is None else found.size_bytes

    def way_back(self, register: ReadRegister, through: VA | None) -> Mapping[str, int] | None:
        """Return what drops the error code, and leads to an IRETQ, without which nothing returns."""
        return None if through is None else {"rsp": register("rsp") + frame.ERROR_CODE_BYTES, "rip": through}

    def syndrome_of(self, exception_class: int, iss: int) -> int | None:  # noqa: ARG002
        """There are no classes: an error code is whole."""
        return None

    def decode(self, value: int) -> Syndrome:
        return page_fault.decode(value)

    def is_syndrome(self, name: str) -> bool:
        return name == "error_code"

    def syndrome(self, register: ReadRegister) -> Syndrome:
        vector, code, _ = frame.frame_or_written(register)
        return self._decoded(vector, code)

    def _decoded(self, vector: int, code: int) -> Syndrome:
        return self.decode(code) if vector == frame.PAGE_FAULT else selector.decode(vector, code)

    def context(self, register: ReadRegister) -> tuple[int, ...]:
        return register("cr3"), optional(register, "idtr") or 0

    def record(self, register: ReadRegister) -> ExceptionRecord:
        """Join the error code, cr2 and what is on the stack."""
        vector, code, found = frame.frame_or_written(register)
        if vector != frame.PAGE_FAULT:
            assert found is not None, "only a page fault's code is written down"
            return self._other(register, vector, found)
        address, syndrome = VA(register("cr2")), self.decode(code)
        returns_to = None if found is None else VA(found.rip)
        if (
            returns_to == address
            and syndrome.access_kind is AccessKind.READ
            and not regimes.tells_fetches(regimes.regime(register))
        ):
            syndrome = replace(syndrome, access_kind=AccessKind.EXECUTE, address=AddressMeaning.FETCHED)
        asking = USER if syndrome.from_lower else SUPERVISOR
        # A processor's own access to a descriptor table is a supervisor's, whoever runs.
        if found is None:
            origin, shown = _written_origin(asking, optional(register, "cs"))
            state = optional(register, "eflags")
        else:
            origin, shown, state = _origin(found), "", found.rflags
        return ExceptionRecord(
            target=SUPERVISOR,
            syndrome=syndrome,
            address=address,
            return_address=returns_to,
            origin=origin,
            state=state,
            regime=regimes.LINEAR,
            names=NAMES if found is None else ON_STACK,
            asking=None if asking == origin else asking,
            origin_said="as the error code has it",
            origin_shown=shown,
        )

    def _other(self, register: ReadRegister, vector: int, found: frame.FaultFrame) -> ExceptionRecord:
        """Return the record of what has no address of its own, with what can be said of one all the same."""
        syndrome, is_abort = selector.decode(vector, found.error_code), vector == selector.DOUBLE_FAULT
        notes = unrecorded.abort_notes(register, found) if is_abort else ()
        if not is_abort and not found.error_code:
            notes = unrecorded.address_notes(register, found)
        return ExceptionRecord(
            target=SUPERVISOR,
            syndrome=replace(syndrome, notes=(*syndrome.notes, *notes)),
            address=VA(register("cr2") if is_abort else 0),
            return_address=VA(found.rip),
            origin=_origin(found),
            state=found.rflags,
            regime=regimes.LINEAR,
            names=ON_STACK,
        )

    def raised_at(self, exception: ExceptionRecord) -> VA | None:
        return exception.return_address

    def fits(
        self, exception: ExceptionRecord, instruction: int | None, register: ReadRegister | None = None
    ) -> Agreement:
        code = None if instruction is None else instruction.to_bytes(LONGEST_BYTES, "little")
        return agreement.fits(exception, code, register)

    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
        if regime not in (None, regimes.LINEAR):
            raise Unavailable(
                f"a fault of {regime} is a VM exit and goes to no vector: stop where the hypervisor takes it"
            )
        at = frame.handler(register)
        return {} if at is None else {at: frame.MNEMONICS[frame.PAGE_FAULT]}

    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:  # noqa: ARG002
        return "idtr" if optional(register, frame.HANDLER) is None else frame.HANDLER

    def named_vectors(self, register: ReadRegister, name: str, regime: str | None = None) -> Mapping[VA, str]:  # noqa: ARG002
        """Return the handler of what is no fault of the tables: #DF, #SS or #GP."""
        found = frame.handlers(register)
        return {found[vector]: name for vector, known in NAMED.items() if vector in found and known == name}

    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        vector = frame.vector_at(register)
        return None if vector is None else VectorEntry(frame.MNEMONICS[vector])

    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:  # noqa: ARG002
        return ""

    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        return exception.regime == regime

    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:  # noqa: ARG002
        return regimes.LINEAR

    def maintenance(self, instruction: int) -> AccessKind:  # noqa: ARG002
        return AccessKind.MAINTENANCE

    def access_by(self, code: bytes, register: ReadRegister, at: VA | None = None) -> InstructionAccess | None:
        return agreement.access_by(code, register, at)

    def is_unprivileged(self, instruction: int) -> bool:  # noqa: ARG002
        return False

    def effects(self, code: bytes, end: VA, register: ReadRegister, regime: str, about: Walk) -> Sequence[Effect]:  # noqa: ARG002
        """At a handler the stack is another than that of the code before: its own pointer is in the frame."""
        return effects.recent(code, end, frame.interrupted(register), about)

    def last_address(self, register: ReadRegister) -> VA | None:
        """Return cr2: no other register is left of a fault."""
        return VA(register("cr2"))

    def pending(self, register: ReadRegister) -> Sequence[int] | None:
        """Return the vectors that wait in the local APIC's IRR."""
        found = optional(register, local_apic.PENDING)
        return None if found is None else local_apic.vectors(found)

    def shown_by(
        self,
        fault: Fault,
        walk: Walk,
        access: Access,  # noqa: ARG002
        state: int | None,  # noqa: ARG002
        register: ReadRegister,
    ) -> Shown | None:
        """Return what a reserved bit shows of MAXPHYADDR, where no source has that and no other bit is one."""
        if fault.kind is not FaultKind.RESERVED_BIT or optional(register, "maxphyaddr") is not None:
            return None
        return beyond_width(walk.steps)

    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:  # noqa: ARG002
        return ()
