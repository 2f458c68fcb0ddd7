"""What decided that a walk or an access was refused: a name for each rule of VMSAv8-64, and the sentence for it."""

from __future__ import annotations

from gdbtools.arch.model import Cause


class VMSACause(Cause):
    """A rule of VMSAv8-64 that refuses."""

    INVALID_ENTRY = "the descriptor is not valid"
    SOFT_INVALID = "its valid bit alone is clear (soft-invalid, as Xen leaves it for the next access)"
    RESERVED_ENTRY = "the descriptor's type is reserved at the last level"
    BLOCK_NOT_ALLOWED = "a block is not allowed at this level with this granule"
    OUTSIDE_RANGE = "the address lies outside the range that TnSZ gives this half"
    RANGE_DISABLED = "walks of this half are disabled"
    RANGE_SIZE = "TnSZ is outside what this CPU supports"
    ADDRESS_TOO_LARGE = "the address is beyond the physical address size"
    OUTPUT_TOO_LARGE = "the output address is beyond the physical address size"
    TABLE_TOO_LARGE = "the next table's address is beyond the physical address size"
    ROOT_TOO_LARGE = "the root table's address is beyond the physical address size"
    NOT_ACCESSED = "the access flag is clear"
    PRIVILEGED_ONLY = "EL0 has no access"
    READ_ONLY = "nobody may write"
    EXECUTE_NEVER = "execution is denied"
    WRITABLE_BY_USER = "EL0 may write it, so EL1 must not execute it"
    WRITE_IMPLIES_EXECUTE_NEVER = "it is writable, and what is writable must not be executed"
    PRIVILEGED_ACCESS_NEVER = "EL0 may access it, and Privileged Access Never is on"
    TAGGED_FETCH = "the top byte is ignored for data only, and this is an instruction fetch"
    LOGICAL_TAG_FETCH = "the tag is left out of an address of data only, and this is an instruction fetch"
    STARTING_LEVEL = "stage 2 cannot start where SL0 says with this T0SZ and this CPU"
    NO_READ = "stage 2 lets nobody read"
    NO_WRITE = "stage 2 lets nobody write"
    BASE_PERMISSION = "the base permission of its index does not grant it"
    OVERLAY = "the permission overlay takes it away"
    NOT_DIRTY = "it is not dirty, and hardware does not record the first write"
    DEVICE_WALK = "stage 2 gives the table Device memory, and walks of that are forbidden"
    SECURE_FETCH = "it is Non-secure memory, and Secure state must not fetch instructions from that"
    FOREIGN_FETCH = "it is memory of another state, and instructions are fetched from this state's own only"
    DEVICE_FETCH = "it is Device memory, from which a CPU may refuse to fetch instructions"
    MAINTENANCE_WITHOUT_WRITE = "it is not writable, and cache maintenance that invalidates needs that here"
    REGISTERS_DISABLED = "EL3 has the permission registers taken for 0, and then they grant nothing"

    @property
    def is_soft_invalid(self) -> bool:
        return self is VMSACause.SOFT_INVALID

    @property
    def is_absent(self) -> bool:
        return self is VMSACause.INVALID_ENTRY

    @property
    def is_address_size(self) -> bool:
        return self in (VMSACause.OUTPUT_TOO_LARGE, VMSACause.TABLE_TOO_LARGE)

    @property
    def is_for_users_sake(self) -> bool:
        return self is VMSACause.PRIVILEGED_ACCESS_NEVER
