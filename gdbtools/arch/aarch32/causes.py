"""What decided that a walk or an access was refused: a name for each rule of VMSAv8-32, and the sentence for it.

Source: DDI 0487, chapter G5 "The AArch32 Virtual Memory System Architecture": "The VMSAv8-32 Short-descriptor
translation table format", "The VMSAv8-32 Long-descriptor translation table format", "Memory access control", "MMU
faults in AArch32 state".
"""

from __future__ import annotations

from gdbtools.arch.model import Cause


class VMSA32Cause(Cause):
    """A rule of VMSAv8-32 that refuses."""

    INVALID_ENTRY = "the descriptor is not valid"
    RESERVED_ENTRY = "the descriptor's type is reserved at the last level"
    RESERVED_WITHOUT_PXN = "the descriptor's type is reserved where there is no PXN"
    OUTSIDE_RANGE = "the address lies between the ranges that T0SZ and T1SZ give"
    OUTSIDE_HYP_RANGE = "the address is beyond the range that T0SZ gives"
    OUTSIDE_IPA_RANGE = "the IPA is larger than T0SZ allows"
    STARTING_LEVEL = "the starting level, the sign and the size contradict each other"
    RANGE_DISABLED = "walks of this range are disabled"
    ADDRESS_TOO_LARGE = "the address is beyond 32 bits"
    OUTPUT_TOO_LARGE = "the output address is beyond 40 bits"
    TABLE_TOO_LARGE = "the next table's address is beyond 40 bits"
    ROOT_TOO_LARGE = "the root table's address is beyond 40 bits"
    NOT_ACCESSED = "the access flag is clear"
    DOMAIN_NO_ACCESS = "DACR gives no access to its domain"
    DOMAIN_RESERVED = "DACR has a reserved value for its domain, which is taken for no access"
    NO_ACCESS = "nobody has access"
    PERMISSION_RESERVED = "its access permissions are reserved, which grants nothing"
    PRIVILEGED_ONLY = "PL0 has no access"
    READ_ONLY = "nobody may write"
    USER_READ_ONLY = "PL0 may only read"
    EXECUTE_NEVER = "execution is denied"
    PRIVILEGED_EXECUTE_NEVER = "execution is denied to PL1"
    NOT_READABLE = "what may not be read must not be executed"
    WRITABLE_BY_USER = "PL0 may write it, and SCTLR.UWXN keeps PL1 from executing it"
    WRITE_IMPLIES_EXECUTE_NEVER = "it is writable, and what is writable must not be executed"
    PRIVILEGED_ACCESS_NEVER = "PL0 may access it, and Privileged Access Never is on"

    @property
    def is_absent(self) -> bool:
        return self is VMSA32Cause.INVALID_ENTRY

    @property
    def is_address_size(self) -> bool:
        return self in (VMSA32Cause.OUTPUT_TOO_LARGE, VMSA32Cause.TABLE_TOO_LARGE)

    @property
    def is_for_users_sake(self) -> bool:
        return self is VMSA32Cause.PRIVILEGED_ACCESS_NEVER
