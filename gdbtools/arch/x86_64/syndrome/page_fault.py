"""The error code of a page fault.

Source: Intel SDM volume 3, "Page-Fault Exceptions" and "Interrupt 14".
"""

from __future__ import annotations

from typing import ClassVar

from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind
from gdbtools.bits import NO_YES, Field, Word


class PageFaultCode(Word):
    """The error code of #PF."""

    width = 32
    SGX = Field(15, doc="an access-control requirement of SGX", values=NO_YES)
    HLAT = Field(7, doc="during a walk by HLAT", values=NO_YES)
    SS = Field(6, doc="an access to a shadow stack", values=NO_YES)
    PK = Field(5, doc="a protection key", values=NO_YES)
    I = Field(4, doc="I/D: an instruction was fetched", values={0: "data", 1: "instruction fetch"})  # noqa: E741
    RSVD = Field(3, doc="a reserved bit of an entry is set", values=NO_YES)
    U = Field(2, doc="U/S: who asked", values={0: "supervisor", 1: "user"})
    W = Field(1, doc="W/R", values={0: "read", 1: "write"})
    P = Field(0, doc="present", values={0: "an entry is not present", 1: "all entries are present"})

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
            W=int(access.kind is AccessKind.WRITE),
            U=int(access.privilege.is_user),
            RSVD=int(fault.kind is FaultKind.RESERVED_BIT),
            I=int(tells_fetches and access.kind is AccessKind.EXECUTE),
            PK=int(fault.kind is FaultKind.PROTECTION_KEY),
        )
