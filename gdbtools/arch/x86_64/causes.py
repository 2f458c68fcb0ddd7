"""What decided that a walk or an access was refused: a name for each rule of the manual, and the sentence for it.

Source: Intel SDM volume 3, "Paging": "Access Rights", "Page-Fault Exceptions", "Reserved Bits", "Protection Keys", and
of volume 1 "Canonical Addressing"; AMD64 APM volume 2, "Page Translation and Protection".
"""

from __future__ import annotations

from gdbtools.arch.model import Cause


class PagingCause(Cause):
    """A rule of paging that refuses."""

    NOT_PRESENT = "the entry is not present"
    RESERVED_BIT = "a reserved bit is set"
    ADDRESS_WIDTH = "an address bit beyond MAXPHYADDR is set"
    NX_OFF = "NX is reserved while EFER.NXE is 0"
    PAGE_SIZE = "no entry of this level maps a page, so PS is reserved"
    MISALIGNED = "it maps a large page whose address is not aligned to its size"
    NOT_CANONICAL = "the bits above the linear address do not repeat its highest bit"
    ADDRESS_TOO_LARGE = "the address is beyond what this mode translates"
    SUPERVISOR_ONLY = "user mode has no access: U/S is 0"
    READ_ONLY = "it is not writable: R/W is 0"
    NO_EXECUTE = "it is not executable: NX is 1"
    SMEP = "user mode may access it, so SMEP keeps supervisor mode from executing it"
    SMAP = "user mode may access it, and with SMAP supervisor mode may not while eflags.AC is 0"
    KEY_NO_ACCESS = "its protection key denies all data accesses"
    KEY_NO_WRITE = "its protection key denies writes"
    NOT_SHADOW_STACK = "it is no shadow stack: that is dirty, and read-only by its last entry alone"
    USER_SHADOW_STACK = "user mode may access it, so it is no shadow stack of supervisor mode"
    NOT_A_GUESTS = "a guest has no access: U/S is 0, and every access of a guest is a user's here"
    GUEST_ADDRESS_TOO_LARGE = "the guest physical address is beyond what these tables translate"
    EPT_NOT_PRESENT = "the entry is not present: it grants nothing"
    EPT_WRITE_ONLY = "it is misconfigured: writable and not readable"
    EPT_EXECUTE_ONLY = "it is misconfigured: this processor has no execute-only pages"
    EPT_MEMORY_TYPE = "it is misconfigured: its memory type is reserved"
    EPT_NOT_READABLE = "it is not readable: R is 0"
    EPT_NOT_WRITABLE = "it is not writable: W is 0"
    EPT_NOT_EXECUTABLE = "it is not executable: X is 0"
    EPT_NOT_USER_EXECUTABLE = "it is not executable for user-mode addresses: UX is 0"

    @property
    def is_absent(self) -> bool:
        return self in (PagingCause.NOT_PRESENT, PagingCause.EPT_NOT_PRESENT)

    @property
    def is_address_size(self) -> bool:
        return self is PagingCause.ADDRESS_WIDTH

    @property
    def is_for_users_sake(self) -> bool:
        return self in (PagingCause.SMEP, PagingCause.SMAP)
