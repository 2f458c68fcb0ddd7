"""What decided that a walk or an access was refused: a name for each rule of the manual, and the sentence for it.

Source: The RISC-V Privileged Architecture: "Virtual Address Translation Process" (its steps), Sv39, "Guest Physical
Address Translation", "Shadow Stack Memory Protection", "Physical Memory Protection", Svnapot, Svpbmt, Svrsw60t59b.
"""

from __future__ import annotations

from gdbtools.arch.model import Cause


class PagedCause(Cause):
    """A rule of paged memory, or of its physical protection, that refuses."""

    INVALID_ENTRY = "the entry is not valid"
    WRITE_WITHOUT_READ = "writable but not readable is reserved"
    RESERVED_BITS = "reserved bits are set"
    RESERVED_60_59 = "bits 60 and 59 are set, which only Svrsw60t59b leaves to software"
    TABLE_AD_BITS = "an entry that leads to a table must not have A, D or U"
    TABLE_NAPOT = "an entry that leads to a table must not have N"
    TABLE_MEMORY_TYPE = "an entry that leads to a table must not have a memory type"
    NAPOT_SIZE = "of contiguous pages only runs of 64KB are defined, and this is none"
    NAPOT_LEVEL = "contiguous pages are defined at level 0 only"
    MEMORY_TYPES_OFF = "it has a memory type, and Svpbmt is not enabled for this stage"
    MEMORY_TYPE_RESERVED = "its memory type is reserved"
    TABLE_AT_LAST_LEVEL = "it leads to a further table, and this is the last level"
    MISALIGNED = "it is a superpage whose address is not aligned to its size"
    NOT_CANONICAL = "the bits above the virtual address do not repeat its highest bit"
    ADDRESS_TOO_LARGE = "the address is beyond what physical addresses have"
    GUEST_ADDRESS_TOO_LARGE = "the guest physical address is beyond what this mode translates"
    SUPERVISOR_ONLY = "user mode has no access"
    NOT_A_GUESTS = "a guest has no access: every access of this stage counts as user mode's"
    USER_PAGE = "user mode may access it, and SUM does not permit that to supervisor mode"
    USER_CODE = "user mode may access it, so supervisor mode must not execute it"
    NOT_READABLE = "it is not readable"
    NOT_WRITABLE = "it is not writable"
    NOT_EXECUTABLE = "it is not executable"
    SHADOW_STACK = "it is a shadow stack, which only its own instructions write and nobody executes"
    NOT_ACCESSED = "it is not marked accessed, and hardware does not do that here"
    NOT_DIRTY = "it is not marked dirty, and hardware does not do that here"
    PROTECTED = "physical memory protection does not grant it"
    UNPROTECTED = "no entry of physical memory protection matches, and then only M-mode has access"
    UNPROTECTED_MACHINE = "no entry of physical memory protection matches, and the policy for M-mode denies that"
    PARTLY_PROTECTED = "an entry of physical memory protection matches only a part of it"

    @property
    def is_absent(self) -> bool:
        return self is PagedCause.INVALID_ENTRY

    @property
    def is_for_users_sake(self) -> bool:
        return self is PagedCause.USER_PAGE
