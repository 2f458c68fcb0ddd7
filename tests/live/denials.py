"""What the tables of the guest deny, scenario by scenario: what is to be said of each, and the bit that decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.live.verdicts import PAGE, UPPER_HALF

MAX: Mapping[str, Any] = {"cpu": "max"}
OUTSIDE, TAGGED = 0x1_0000_0000_0000, 0x5A00_0000_5000_0000


@dataclass(frozen=True)
class Denial:
    """What is said of a scenario: who wanted what, the fault, why, and the bit in a descriptor or in a register."""

    scenario: str
    access: str
    fault: str
    why: str
    field: str
    value: int
    level: int | None = None
    holder: str = "descriptor"
    address: int = PAGE
    needs: Mapping[str, Any] | None = None

    @property
    def sentence(self) -> str:
        return f"{self.access} of {self.address:#x}: {self.fault}, and the tables agree: {self.why}."


TRANSLATION_0, TRANSLATION_3 = "translation fault, level 0", "translation fault, level 3"
PERMISSION, ACCESS_FLAG = "permission fault, level 3", "access flag fault, level 3"
NOT_VALID, NO_EL0, NO_WRITE, NO_EXECUTION = (
    "the descriptor is not valid", "EL0 has no access", "nobody may write", "execution is denied",
)  # fmt: skip
ADDRESS_SIZE_0, ADDRESS_SIZE_2, ADDRESS_SIZE_3 = (f"address size fault, level {level}" for level in (0, 2, 3))
BEYOND = "address is beyond the physical address size"
CLEAR = "the access flag is clear"
HOLE = "the address lies outside the range that TnSZ gives this half"
DISABLED = "walks of this half are disabled"
TOO_FAR = 1 << 45
DENIALS = (
    Denial("invalid_page", "EL1 read", TRANSLATION_3, NOT_VALID, "VALID", 0, 3),
    Denial("invalid_table", "EL1 write", "translation fault, level 2", NOT_VALID, "VALID", 0, 2),
    Denial(
        "reserved_type", "EL1 read", TRANSLATION_3, "the descriptor's type is reserved at the last level",
        "TYPE", 0b01, 3,
    ),
    Denial("read_only", "EL1 write", PERMISSION, NO_WRITE, "AP", 0b10, 3),
    Denial("privileged_only", "EL0 read", PERMISSION, NO_EL0, "AP", 0b00, 3),
    Denial("unprivileged_load", "EL1 unprivileged read", PERMISSION, NO_EL0, "AP", 0b00, 3),
    Denial("copy_to_read_only_page", "EL1 unprivileged write", PERMISSION, NO_WRITE, "AP", 0b11, 3, needs=MAX),
    Denial("user_execute_never", "EL0 execute", PERMISSION, NO_EXECUTION, "UXN", 1, 3),
    Denial("privileged_execute_never", "EL1 execute", PERMISSION, NO_EXECUTION, "PXN", 1, 3),
    Denial(
        "writable_by_user", "EL1 execute", PERMISSION, "EL0 may write it, so EL1 must not execute it", "AP", 0b01, 3,
    ),
    Denial(
        "write_execute_never", "EL1 execute", PERMISSION,
        "it is writable, and what is writable must not be executed", "WXN", 1, holder="SCTLR_EL1",
    ),
    Denial(
        "privileged_access_never", "EL1 read", PERMISSION, "EL0 may access it, and Privileged Access Never is on",
        "PAN", 1, holder="PSTATE", needs=MAX,
    ),
    Denial(
        "el0_prevented", "EL0 read", TRANSLATION_0, NO_EL0, "E0PD1", 1,
        holder="TCR_EL1", address=PAGE | UPPER_HALF, needs=MAX,
    ),
    Denial("table_read_only", "EL1 write", PERMISSION, NO_WRITE, "APTable", 0b10, 2),
    Denial("table_privileged_only", "EL0 read", PERMISSION, NO_EL0, "APTable", 0b01, 2),
    Denial("table_privileged_execute_never", "EL1 execute", PERMISSION, NO_EXECUTION, "PXNTable", 1, 2),
    Denial("table_user_execute_never", "EL0 execute", PERMISSION, NO_EXECUTION, "UXNTable", 1, 2),
    Denial("hierarchy_disabled", "EL1 write", PERMISSION, NO_WRITE, "AP", 0b10, 3, needs=MAX),
    Denial("outside_range", "EL1 read", TRANSLATION_0, HOLE, "T0SZ", 16, holder="TCR_EL1", address=OUTSIDE),
    Denial(
        "tagged_and_outside", "EL1 read", TRANSLATION_0, HOLE, "T0SZ", 16,
        holder="TCR_EL1", address=0x5A << 56 | OUTSIDE,
    ),
    Denial(
        "tagged_fetch", "EL1 execute", TRANSLATION_0,
        "the top byte is ignored for data only, and this is an instruction fetch", "TBID0", 1,
        holder="TCR_EL1", address=TAGGED, needs=MAX,
    ),
    Denial(
        "upper_half_disabled", "EL1 read", TRANSLATION_0, DISABLED, "EPD1", 1,
        holder="TCR_EL1", address=PAGE | UPPER_HALF,
    ),
    Denial("lower_half_disabled", "EL1 read", TRANSLATION_0, DISABLED, "EPD0", 1, holder="TCR_EL1"),
    Denial("not_accessed", "EL1 read", ACCESS_FLAG, CLEAR, "AF", 0, 3),
    Denial("not_accessed", "EL1 read", ACCESS_FLAG, CLEAR, "AF", 0, 3, needs=MAX),
    # The CPU has nobody to leave it to.
    Denial("left_to_hardware", "EL1 read", ACCESS_FLAG, CLEAR, "AF", 0, 3),
    Denial("output_too_large", "EL1 read", ADDRESS_SIZE_3, f"the output {BEYOND}", "OutputAddress", TOO_FAR, 3),
    Denial("table_too_large", "EL1 read", ADDRESS_SIZE_2, f"the next table's {BEYOND}", "NextTable", TOO_FAR, 2),
    Denial(
        "root_too_large", "EL1 read", ADDRESS_SIZE_0, f"the root table's {BEYOND}", "BADDR", TOO_FAR,
        holder="TTBR1_EL1", address=PAGE | UPPER_HALF,
    ),
    # And a handler that loops is no other fault than it would be without.
    Denial("handler_does_nothing", "EL1 read", TRANSLATION_3, NOT_VALID, "VALID", 0, 3),
    Denial("handler_takes_it_for_spurious", "EL1 write", PERMISSION, NO_WRITE, "AP", 0b10, 3),
)  # fmt: skip
NEWER_DENIALS = (
    Denial(
        "enhanced_access_never", "EL1 read", PERMISSION, "EL0 may access it, and Privileged Access Never is on",
        "EPAN", 1, holder="SCTLR_EL1", needs=MAX,
    ),
    Denial(
        "permission_indirection", "EL1 write", PERMISSION, "the base permission of its index does not grant it",
        "Perm0", 0b0001, holder="PIR_EL1", needs=MAX,
    ),
)  # fmt: skip
"""Of FEAT_PAN3 and FEAT_S1PIE."""
ADDRESSES = ("OutputAddress", "NextTable", "BADDR")
"""Fields whose value is the address."""
