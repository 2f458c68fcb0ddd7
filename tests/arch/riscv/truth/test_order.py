"""Which refusal goes first where several apply: each row has one access that two rules refuse.

"Virtual Address Translation Process", its steps in their order; "Shadow Stack Memory Protection"; "Physical Memory
Protection and Paging"; "Guest Physical Address Translation"; "Two-Stage Address Translation".
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.arch.riscv.machine import AD, ADUE, RAM, SSE, SUM, A, Hart, R, U, V, W, X, guest, paged

NAPOT, EVERYWHERE = 3 << 3, (1 << 54) - 1
N, RESERVED, MEMORY_TYPE = 1 << 63, 1 << 54, 1 << 61
ALL = V | R | W | X | U | AD
PAGE, ACCESS, GUEST = "page fault", "access fault", "guest-page fault"
CODES = {
    PAGE: {"read": 13, "write": 15, "fetch": 12, "hlvx": 13},
    ACCESS: {"read": 5, "write": 7, "fetch": 1, "hlvx": 5},
    GUEST: {"read": 21, "write": 23, "fetch": 20, "hlvx": 21},
}


def protecting(hart: Hart, pa: int, granted: int = 0) -> Hart:
    """Have the page at an address grant this much of R, W and X, and all else everything."""
    hart.regs |= {"pmpcfg0": (NAPOT | 7) << 8 | NAPOT | granted, "pmpaddr0": pa >> 2 | 0x1FF, "pmpaddr1": EVERYWHERE}
    return hart


def with_bits(hart: Hart, pa: int, more: int) -> Hart:
    """Set more bits in an entry."""
    hart.memory[pa] |= more
    return hart


# One stage of Sv39: its tables are at RAM, RAM + 0x1000 and RAM + 0x2000, its page is at RAM + 0x400000.
PAGE_AT = RAM + 0x40_0000
ONE_STAGE: dict[str, tuple[Callable[[], Hart], str, str, str, str]] = {
    "step 2 before step 3: an entry that may not be read is not looked at": (
        lambda: protecting(paged(0), RAM + 0x2000), "read", "s", ACCESS, "PROTECTED",
    ),
    "step 3 of a table before step 2 of the next": (
        lambda: with_bits(protecting(paged(V), RAM + 0x2000), RAM + 0x1000, RESERVED), "fetch", "s", PAGE,
        "RESERVED_BITS",
    ),
    "step 3 before step 5: reserved bits before alignment": (
        lambda: paged(V | R | AD | RESERVED, level=1, pa=PAGE_AT + 0x1000), "read", "s", PAGE, "RESERVED_BITS",
    ),
    "step 3 before step 7: a shadow stack with reserved bits": (
        lambda: paged(V | W | AD | RESERVED, menvcfg=SSE), "write", "s", PAGE, "RESERVED_BITS",
    ),
    "step 3 before step 7: a shadow stack with a memory type that is not enabled": (
        lambda: paged(V | W | AD | MEMORY_TYPE, menvcfg=SSE), "fetch", "s", PAGE, "MEMORY_TYPES_OFF",
    ),
    "step 3 before step 7: a shadow stack of contiguous pages that are none": (
        lambda: paged(V | W | AD | N, menvcfg=SSE), "write", "s", PAGE, "NAPOT_SIZE",
    ),
    "step 5 before step 6: alignment before U": (
        lambda: paged(V | R | AD, level=1, pa=PAGE_AT + 0x1000), "read", "u", PAGE, "MISALIGNED",
    ),
    "step 5 before step 7: a shadow stack that is not aligned": (
        lambda: paged(V | W | AD, level=1, pa=PAGE_AT + 0x1000, menvcfg=SSE), "write", "s", PAGE, "MISALIGNED",
    ),
    "step 6 before step 7: a supervisor's shadow stack, by a user": (
        lambda: paged(V | W | AD, menvcfg=SSE), "write", "u", PAGE, "SUPERVISOR_ONLY",
    ),
    "step 6 before step 7: a user's shadow stack, by a supervisor without SUM": (
        lambda: paged(V | W | U | AD, menvcfg=SSE), "write", "s", PAGE, "USER_PAGE",
    ),
    "step 6 before step 7: a user's shadow stack is no supervisor's code, whatever SUM is": (
        lambda: paged(V | W | U | AD, menvcfg=SSE, mstatus=SUM), "fetch", "s", PAGE, "USER_CODE",
    ),
    "step 7 before step 9: a shadow stack that is not dirty": (
        lambda: paged(V | W | A, menvcfg=SSE), "write", "s", ACCESS, "SHADOW_STACK",
    ),
    "step 6 before step 8: U before W": (
        lambda: paged(V | R | U | AD), "write", "s", PAGE, "USER_PAGE",
    ),
    "step 8 before step 9: W before D": (
        lambda: paged(V | R), "write", "s", PAGE, "NOT_WRITABLE",
    ),
    "step 8 before step 9: W before a write of the table that protection refuses": (
        lambda: protecting(paged(V | R, menvcfg=ADUE), RAM + 0x2000, 1), "write", "s", PAGE, "NOT_WRITABLE",
    ),
    "step 9 before the access: who sets D is asked before the page's protection": (
        lambda: protecting(paged(V | R | W | A), PAGE_AT), "write", "s", PAGE, "NOT_DIRTY",
    ),
    "before step 1: no table is read for an address that is not canonical": (
        lambda: protecting(paged(V | R | AD), RAM), "read", "s", PAGE, "NOT_CANONICAL",
    ),
}  # fmt: skip
FAR = {"before step 1: no table is read for an address that is not canonical": 1 << 40}

# Two stages of Sv39 and Sv39x4: the VS-stage's tables are at the GPAs 0 to 0x2000, which are at RAM + 0x10000 and up;
# its page is at the GPA 0x3000, which is at RAM + 0x20000. The G-stage's last table is at RAM + 0x5000.
TWO_STAGES: dict[str, tuple[Callable[[], Hart], str, str, str, str]] = {
    "the G-stage is asked for an entry before protection is": (
        lambda: protecting(guest(ALL, tables=V | X | U | AD), RAM + 0x10000), "read", "vs", GUEST, "NOT_READABLE",
    ),
    "protection is asked for an entry before it is looked at": (
        lambda: protecting(guest(0), RAM + 0x12000), "write", "vs", ACCESS, "PROTECTED",
    ),
    "protection is asked for the G-stage's own entry before that is looked at": (
        lambda: protecting(guest(V | R | AD, guest_flags=0, tables=ALL), RAM + 0x5000), "fetch", "vs", ACCESS,
        "PROTECTED",
    ),
    "the VS-stage refuses the access before the G-stage has a say": (
        lambda: guest(V | R | AD, guest_flags=0, tables=ALL), "write", "vs", PAGE, "NOT_WRITABLE",
    ),
    "a shadow stack of the VS-stage refuses before the G-stage has a say": (
        lambda: guest(V | W | AD, guest_flags=0, tables=ALL, menvcfg=SSE, henvcfg=SSE), "write", "vs", ACCESS,
        "SHADOW_STACK",
    ),
    "the VS-stage wants D set before the G-stage has a say about the page": (
        lambda: guest(V | R | W | A, guest_flags=0, tables=ALL), "write", "vs", PAGE, "NOT_DIRTY",
    ),
    "the G-stage refuses the update of an entry before it refuses the page": (
        lambda: guest(V | R, guest_flags=0, tables=V | R | U | AD, menvcfg=ADUE, henvcfg=ADUE), "read", "vs", GUEST,
        "NOT_WRITABLE",
    ),
    "the G-stage refuses the update of an entry before protection does": (
        lambda: protecting(
            guest(V | R, tables=V | R | U | AD, menvcfg=ADUE, henvcfg=ADUE), RAM + 0x12000, 1
        ), "read", "vs", GUEST, "NOT_WRITABLE",
    ),
    "protection refuses the update of an entry before the G-stage refuses the page": (
        lambda: protecting(
            guest(V | R, guest_flags=0, tables=ALL, menvcfg=ADUE, henvcfg=ADUE), RAM + 0x12000, 1
        ), "read", "vs", ACCESS, "PROTECTED",
    ),
    "the VS-stage's rights go before the update of its entry": (
        lambda: guest(V | R, tables=V | R | U | AD, menvcfg=ADUE, henvcfg=ADUE), "write", "vs", PAGE, "NOT_WRITABLE",
    ),
    "the G-stage refuses the page before its protection does": (
        lambda: protecting(guest(V | R | AD, guest_flags=V | X | U | AD, tables=ALL), RAM + 0x20000), "read", "vs",
        GUEST, "NOT_READABLE",
    ),
    "U of the G-stage goes before its R, W and X": (
        lambda: guest(V | R | W | AD, guest_flags=V | R | AD, tables=ALL), "write", "vu", PAGE, "SUPERVISOR_ONLY",
    ),
    "a page that HLVX may not execute is refused before its protection is asked": (
        lambda: protecting(guest(V | R | X | AD, guest_flags=V | R | U | AD, tables=ALL), RAM + 0x20000), "hlvx", "vs",
        GUEST, "NOT_EXECUTABLE",
    ),
}  # fmt: skip


CASES = {**ONE_STAGE, **TWO_STAGES}


@pytest.mark.parametrize("claim", CASES)
def test_the_first_of_two_refusals_is_the_one_that_is_raised(claim: str) -> None:
    build, kind, mode, fault, cause = CASES[claim]
    hart, va = build(), FAR.get(claim, 0)
    assert hart.outcome(va, kind, mode) == ("fault", CODES[fault][kind])
    assert hart.cause(va, kind, mode).partition(" ")[0] == cause
