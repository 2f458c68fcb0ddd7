"""The error code of a page fault, and what follows from it.

Source: Intel SDM volume 3, "Page-Fault Exceptions" and "Interrupt 14".
"""

from __future__ import annotations

from typing import ClassVar, Final

from gdbtools.arch.model import Access, AccessKind, AddressMeaning, Fault, FaultKind, Return, Syndrome
from gdbtools.bits import NO_YES, Field, FieldValue, Word


class PageFaultCode(Word):
    """The error code of #PF."""

    width = 32
    SGX = Field(15, doc="an access-control requirement of SGX", values=NO_YES)
    HLAT = Field(7, doc="during a walk by HLAT", values=NO_YES)
    SS = Field(6, doc="an access to a shadow stack", values=NO_YES)
    PK = Field(5, doc="a protection key", values=NO_YES)
    I = Field(4, doc="I/D: what was accessed", values={0: "data", 1: "an instruction was fetched"})  # noqa: E741
    RSVD = Field(3, doc="a reserved bit of an entry is set", values=NO_YES)
    U = Field(2, doc="U/S: who asked", values={0: "supervisor", 1: "user"})
    W = Field(1, doc="W/R", values={0: "read", 1: "write"})
    P = Field(0, doc="present", values={0: "an entry is not present", 1: "every entry is present"})

    KINDS: ClassVar = (
        FaultKind.TRANSLATION,
        FaultKind.RESERVED_BIT,
        FaultKind.PERMISSION,
        FaultKind.PROTECTION_KEY,
    )

    @classmethod
    def of_fault(cls, fault: Fault, access: Access, tells_fetches: bool) -> PageFaultCode:
        """Return the code of a fault; `tells_fetches` says whether I is set at all: with NX or SMEP."""
        return cls(0).with_(
            P=int(fault.kind is not FaultKind.TRANSLATION),
            W=int(access.kind.is_write),
            U=int(access.privilege.is_user or access.unprivileged),
            RSVD=int(fault.kind is FaultKind.RESERVED_BIT),
            I=int(tells_fetches and access.kind is AccessKind.EXECUTE),
            PK=int(fault.kind is FaultKind.PROTECTION_KEY),
            SS=int(access.kind.is_shadow_stack),
        )

    @property
    def kind(self) -> FaultKind:
        """The kind of fault that it says; RSVD says so alone where P is clear beside it, as QEMU leaves it."""
        if self.RSVD:
            return FaultKind.RESERVED_BIT
        if not self.P:
            return FaultKind.TRANSLATION
        return FaultKind.PROTECTION_KEY if self.PK else FaultKind.PERMISSION

    @property
    def access_kind(self) -> AccessKind:
        if self.I:
            return AccessKind.EXECUTE
        if self.SS:
            return AccessKind.SHADOW_STACK_WRITE if self.W else AccessKind.SHADOW_STACK_READ
        return AccessKind.WRITE if self.W else AccessKind.READ


REASONS: Final = {
    FaultKind.TRANSLATION: "not present",
    FaultKind.RESERVED_BIT: "reserved bit",
    FaultKind.PERMISSION: "access rights",
    FaultKind.PROTECTION_KEY: "protection key",
}
"""What the error code says of the reason, in words."""
_NOT_REPLAYED: Final = (PageFaultCode.SGX, PageFaultCode.HLAT)
_NOTES: Final = {
    PageFaultCode.HLAT: "HLAT: the tables that the hypervisor chose (HLATP) were walked, not those of cr3; an entry of "
    "theirs with bit 11 (restart) set sends the walk to cr3",
    PageFaultCode.SGX: "SGX: paging allowed it, and the enclave page cache map refused it",
}

_NEVER_BOTH: Final = (
    (PageFaultCode.I, PageFaultCode.W, "a fetch writes nothing"),
    (PageFaultCode.I, PageFaultCode.SS, "nothing is fetched from a shadow stack"),
    (PageFaultCode.I, PageFaultCode.PK, "keys are of data alone"),
    (PageFaultCode.RSVD, PageFaultCode.PK, "a walk that ends at a reserved bit has found no key"),
)


def decode(value: int) -> Syndrome:
    """Decode an error code of a page fault; never refuses a value."""
    word = PageFaultCode(value & 0xFFFF_FFFF)
    fetched = word.access_kind is AccessKind.EXECUTE
    return Syndrome(
        word=word,
        name="page fault (#PF)",
        fault=Fault(word.kind),
        access_kind=word.access_kind,
        status=int(word),
        from_lower=bool(word.U),
        address=AddressMeaning.FETCHED if fetched else AddressMeaning.ACCESSED,
        returns=Return.THIS_INSTRUCTION,
        other_rules=tuple(FieldValue(each, 1) for each in _NOT_REPLAYED if each.of(word)),
        notes=_notes(word),
        not_told_apart=frozenset((word.kind,)),
        reason=f"{'user' if word.U else 'supervisor'} {word.access_kind.label}, {REASONS[word.kind]}",
    )


def _notes(word: PageFaultCode) -> tuple[str, ...]:
    absent = ("RSVD without P: QEMU leaves P clear where a reserved bit is set",) if word.RSVD and not word.P else ()
    never = [
        f"{one.name} with {other.name} is of no CPU: {why}"
        for one, other, why in _NEVER_BOTH
        if one.of(word) and other.of(word)
    ]
    if word.PK and not word.P:
        never.append("PK without P is of no CPU: what is not present has no key")
    return (*absent, *never, *(said for bit, said in _NOTES.items() if bit.of(word)))
