"""What a VM exit says of the second stage: EPT's exit qualification, and EXITINFO1 of a nested page fault.

Source: Intel SDM volume 3, "Exit Qualification for EPT Violations"; AMD64 APM volume 2, "Nested versus Guest Page
Faults, Fault Ordering".
"""

from __future__ import annotations

from typing import Final

from gdbtools.bits import NO_YES, Field, Word

EPT_VIOLATION: Final = 48
EPT_MISCONFIGURATION: Final = 49
"""The basic exit reasons."""


class ExitQualification(Word):
    """The exit qualification of an EPT violation."""

    ASYNCHRONOUS = Field(16, doc="asynchronous to the instruction", values=NO_YES)
    VERIFICATION = Field(15, doc="guest-paging verification", values=NO_YES)
    SSS = Field(14, doc="bit 60 of the last entry", values=NO_YES)
    SS = Field(13, doc="a shadow-stack access", values=NO_YES)
    NMI = Field(12, doc="NMIs were unblocked by IRET", values=NO_YES)
    GUEST_NX = Field(11, doc="the guest's tables: not executable", values=NO_YES)
    GUEST_RW = Field(10, doc="the guest's tables: writable", values=NO_YES)
    GUEST_US = Field(9, doc="the guest's tables: a user-mode address", values=NO_YES)
    FINAL = Field(8, doc="the translation of a linear address, not an access to the guest's tables", values=NO_YES)
    LINEAR = Field(7, doc="there is a guest-linear address", values=NO_YES)
    UX = Field(6, doc="was executable for user-mode addresses", values=NO_YES)
    X = Field(5, doc="was executable", values=NO_YES)
    W = Field(4, doc="was writable", values=NO_YES)
    R = Field(3, doc="was readable", values=NO_YES)
    FETCH = Field(2, doc="an instruction fetch", values=NO_YES)
    WRITE = Field(1, doc="a data write", values=NO_YES)
    READ = Field(0, doc="a data read", values=NO_YES)


class NestedPageFaultInfo(Word):
    """EXITINFO1 of a nested page fault: an error code of a page fault, and which of the guest's accesses it was."""

    SSS = Field(37, doc="supervisor shadow-stack check", values=NO_YES)
    TABLE = Field(33, doc="during the guest's table walk", values=NO_YES)
    FINAL = Field(32, doc="at the guest's final physical address", values=NO_YES)
    SS = Field(6, doc="a shadow-stack access", values=NO_YES)
    ID = Field(4, doc="an instruction fetch", values=NO_YES)
    RSV = Field(3, doc="a reserved bit of a nested entry is set", values=NO_YES)
    US = Field(2, doc="a user access, as all of a guest are", values=NO_YES)
    RW = Field(1, doc="a write", values=NO_YES)
    P = Field(0, doc="every nested entry is present", values=NO_YES)
