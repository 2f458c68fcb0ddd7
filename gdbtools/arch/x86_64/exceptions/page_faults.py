"""Page faults, as x86-64's `Exceptions`: what is on the stack joined with cr2, at the handler's first instruction.

Source: Intel SDM volume 3, "Interrupt 14".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    Fit,
    Privilege,
    ReadRegister,
    RecordNames,
    Shown,
    Syndrome,
    VectorEntry,
    Walk,
    optional,
)
from gdbtools.arch.x86_64.exceptions import frame
from gdbtools.arch.x86_64.instructions import effects
from gdbtools.arch.x86_64.privileges import SUPERVISOR, USER, USER_CPL
from gdbtools.arch.x86_64.registers import local_apic
from gdbtools.arch.x86_64.registers.control import Selector
from gdbtools.arch.x86_64.syndrome import page_fault
from gdbtools.arch.x86_64.tables.entries import beyond_width
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.bits import FieldValue
from gdbtools.errors import Unavailable

LONGEST_BYTES: Final = 15
NAMES: Final = RecordNames("error code", "cr2", "rip", "rflags")
ON_STACK: Final = replace(NAMES, return_address="rip on the stack", state="rflags on the stack")


class PageFaults(Exceptions):
    """Page faults of 64-bit mode."""

    names = NAMES
    effect_words = EffectWords(
        "a serializing instruction",
        "a serializing instruction",
        "invlpg",
        # "Operations that Invalidate TLBs and Paging-Structure Caches": a page fault does, of its address.
        by_itself="the fault has had this CPU forget the address",
        table_cache="paging-structure cache",
    )
    vectors_bytes = 1
    longest_instruction_bytes = LONGEST_BYTES
    # "Caching Translation Information": an entry is cached only if it is present and has no reserved bit set.
    cached_refusals = frozenset((FaultKind.PERMISSION, FaultKind.PROTECTION_KEY))
    fences_are_local = True
    # "Operations that Invalidate TLBs and Paging-Structure Caches".
    fault_forgets = "a page fault has its CPU forget what it holds of that address, so this one does not come again"
    # "Optional Invalidation".
    grants_owe_nothing = True
    barriers_are_owed = False
    # Xen, for its paravirtual guests.
    tables_are_unhooked = True

    def instruction_bytes(self, begins: bytes) -> int:  # noqa: ARG002
        """Instructions are not decoded here: as long as the longest they may be."""
        return LONGEST_BYTES

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
        return self.decode(frame.frame_or_written(register)[0])

    def context(self, register: ReadRegister) -> tuple[int, ...]:
        return register("cr3"), optional(register, "idtr") or 0

    def record(self, register: ReadRegister) -> ExceptionRecord:
        """Join the error code, cr2 and what is on the stack."""
        code, found = frame.frame_or_written(register)
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
        origin = asking if found is None else USER if Selector(found.cs).RPL == USER_CPL else SUPERVISOR
        return ExceptionRecord(
            target=SUPERVISOR,
            syndrome=syndrome,
            address=address,
            return_address=returns_to,
            origin=origin,
            state=None if found is None else found.rflags,
            regime=regimes.LINEAR,
            names=NAMES if found is None else ON_STACK,
            asking=None if asking == origin else asking,
        )

    def raised_at(self, exception: ExceptionRecord) -> VA | None:
        return exception.return_address

    def fits(
        self,
        exception: ExceptionRecord,
        instruction: int | None,  # noqa: ARG002
        register: ReadRegister | None = None,  # noqa: ARG002
    ) -> Agreement:
        at = exception.return_address
        if at is None:
            return Agreement(Fit.NOT_SHOWN, "of its frame nothing is known")
        if exception.syndrome.address is not AddressMeaning.FETCHED:
            return Agreement(Fit.NOT_SHOWN, f"what the instruction at {at:#x} accesses is not decoded here")
        if 0 <= exception.address - at < LONGEST_BYTES:
            return Agreement(Fit.FITS, f"{exception.names.return_address} is where it was fetched from")
        said = f"cr2 is {exception.address:#x}, and {exception.names.return_address} {at:#x} is no fetch of that"
        return Agreement(Fit.CONTRADICTS, said)

    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
        if regime not in (None, regimes.LINEAR):
            raise Unavailable(
                f"a fault of {regime} is a VM exit and goes to no vector: stop where the hypervisor takes it"
            )
        at = frame.handler(register)
        return {} if at is None else {at: frame.MNEMONICS[frame.PAGE_FAULT]}

    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:  # noqa: ARG002
        return "idtr"

    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        name = self.vectors(register).get(VA(register("rip")))
        return None if name is None else VectorEntry(name)

    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:  # noqa: ARG002
        return ""

    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        return exception.regime == regime

    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:  # noqa: ARG002
        return regimes.LINEAR

    def maintenance(self, instruction: int) -> AccessKind:  # noqa: ARG002
        return AccessKind.MAINTENANCE

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
