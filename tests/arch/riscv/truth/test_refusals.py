"""What each refusal tells: its kind, its stage, its level, and the bits of the entry that decided.

RISC-V's exceptions say neither why nor where; these are of the walk: "Virtual Address Translation Process", "Guest
Physical Address Translation", "Physical Memory Protection".
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gdbtools.arch.model import FaultKind
from tests.arch.riscv.machine import AD, ADUE, PBMTE, RAM, SSE, SUM, SV57, A, Hart, R, U, V, W, X, guest, paged

N, NC = 1 << 63, 1 << 61
TRANSLATION, PERMISSION = FaultKind.TRANSLATION, FaultKind.PERMISSION
FLAG, ACCESS = FaultKind.ACCESS_FLAG, FaultKind.ACCESS
NAPOT, EVERYWHERE = 3 << 3, (1 << 54) - 1
ALL = V | R | W | X | U | AD


def protecting(hart: Hart, pa: int, granted: int = 0) -> Hart:
    hart.regs |= {"pmpcfg0": (NAPOT | 7) << 8 | NAPOT | granted, "pmpaddr0": pa >> 2 | 0x1FF, "pmpaddr1": EVERYWHERE}
    return hart


# What is asked of which hart; the cause, its kind, stage and level (None: no entry was reached), and what decided: the
# value of its field, and where it is.
Told = tuple[str, FaultKind, int, int | None, int, int | None]
LAST, GUESTS, TABLE, LEAF = RAM + 0x2000, RAM + 0x12000, RAM + 0x5000, RAM + 0x5018
REFUSALS: list[tuple[Callable[[], Hart], int, str, str, Told]] = [
    (lambda: paged(0), 0, "read", "s", ("INVALID_ENTRY", TRANSLATION, 1, 0, 0, LAST)),
    (lambda: paged(0, SV57, 3), 0, "read", "s", ("INVALID_ENTRY", TRANSLATION, 1, 3, 0, RAM + 0x1000)),
    (lambda: paged(V | W | X | AD), 0, "read", "s", ("WRITE_WITHOUT_READ", TRANSLATION, 1, 0, 0, LAST)),
    (lambda: paged(V | R | AD | 5 << 54), 0, "read", "s", ("RESERVED_BITS", TRANSLATION, 1, 0, 5, LAST)),
    (lambda: paged(V | R | AD | 0x7F << 54), 0, "read", "s", ("RESERVED_BITS", TRANSLATION, 1, 0, 31, LAST)),
    (lambda: paged(V | R | AD | 2 << 59), 0, "read", "s", ("RESERVED_60_59", TRANSLATION, 1, 0, 2, LAST)),
    (lambda: paged(V | 1 << 59), 0, "read", "s", ("RESERVED_60_59", TRANSLATION, 1, 0, 1, LAST)),
    (lambda: paged(V), 0, "read", "s", ("TABLE_AT_LAST_LEVEL", TRANSLATION, 1, 0, 0, LAST)),
    (lambda: paged(V | A), 0, "read", "s", ("TABLE_AD_BITS", TRANSLATION, 1, 0, 1, LAST)),
    (lambda: paged(V | N), 0, "read", "s", ("TABLE_NAPOT", TRANSLATION, 1, 0, 1, LAST)),
    (lambda: paged(V | NC), 0, "read", "s", ("TABLE_MEMORY_TYPE", TRANSLATION, 1, 0, 1, LAST)),
    (lambda: paged(V | R | AD | N), 0, "read", "s", ("NAPOT_SIZE", TRANSLATION, 1, 0, 0, LAST)),
    (lambda: paged(V | R | AD | N, level=1), 0, "read", "s", ("NAPOT_LEVEL", TRANSLATION, 1, 1, 1, RAM + 0x1000)),
    (lambda: paged(V | R | AD | NC, menvcfg=0), 0, "read", "s", ("MEMORY_TYPES_OFF", TRANSLATION, 1, 0, 1, LAST)),
    (lambda: paged(V | R | AD | 3 * NC), 0, "read", "s", ("MEMORY_TYPE_RESERVED", TRANSLATION, 1, 0, 3, LAST)),
    (lambda: paged(V | R | AD, level=1, pa=RAM + 0x3000), 0, "read", "s",
     ("MISALIGNED", TRANSLATION, 1, 1, 3, RAM + 0x1000)),
    (lambda: paged(V | R | AD), 1 << 38, "read", "s", ("NOT_CANONICAL", TRANSLATION, 1, None, 8, None)),
    (lambda: guest(ALL, vsatp=0), 1 << 41, "read", "vs", ("GUEST_ADDRESS_TOO_LARGE", TRANSLATION, 2, None, 8, None)),
    (lambda: paged(V | R | AD), 0, "read", "u", ("SUPERVISOR_ONLY", PERMISSION, 1, 0, 0, LAST)),
    (lambda: paged(V | X | U | AD, mstatus=SUM), 0, "fetch", "s", ("USER_CODE", PERMISSION, 1, 0, 1, LAST)),
    (lambda: paged(V | R | U | AD), 0, "read", "s", ("USER_PAGE", PERMISSION, 1, 0, 0, None)),
    (lambda: paged(V | X | AD), 0, "read", "s", ("NOT_READABLE", PERMISSION, 1, 0, 0, LAST)),
    (lambda: paged(V | R | AD), 0, "write", "s", ("NOT_WRITABLE", PERMISSION, 1, 0, 0, LAST)),
    (lambda: paged(V | R | AD), 0, "fetch", "s", ("NOT_EXECUTABLE", PERMISSION, 1, 0, 0, LAST)),
    (lambda: paged(V | W | AD, menvcfg=SSE), 0, "write", "s", ("SHADOW_STACK", ACCESS, 1, 0, 0, LAST)),
    (lambda: paged(V | R), 0, "read", "s", ("NOT_ACCESSED", FLAG, 1, 0, 0, LAST)),
    (lambda: paged(V | R | W | A), 0, "write", "s", ("NOT_DIRTY", FLAG, 1, 0, 0, LAST)),
    (lambda: guest(V | R | AD, V | R | AD, ALL), 0, "read", "vs", ("NOT_A_GUESTS", PERMISSION, 2, 0, 0, LEAF)),
    (lambda: guest(V | R | AD, V | X | U | AD, ALL), 0, "read", "vs", ("NOT_READABLE", PERMISSION, 2, 0, 0, LEAF)),
    (lambda: guest(V | R | W | AD, ALL & ~W, ALL), 0, "write", "vs", ("NOT_WRITABLE", PERMISSION, 2, 0, 0, LEAF)),
    (lambda: guest(V | X | AD, ALL & ~X, ALL), 0, "fetch", "vs", ("NOT_EXECUTABLE", PERMISSION, 2, 0, 0, LEAF)),
    (lambda: guest(V | R | AD, ALL & ~A, ALL), 0, "read", "vs", ("NOT_ACCESSED", FLAG, 2, 0, 0, LEAF)),
    (lambda: guest(V | R | AD, ALL, 0), 0, "read", "vs", ("INVALID_ENTRY", TRANSLATION, 2, 0, 0, TABLE)),
    (lambda: guest(V | R | W | A, ALL, ALL), 0, "write", "vs", ("NOT_DIRTY", FLAG, 1, 0, 0, GUESTS)),
    (lambda: protecting(paged(V | R | AD), RAM + 0x1000), 0, "read", "s", ("PROTECTED", ACCESS, 1, 1, NAPOT, None)),
    (lambda: protecting(paged(V | R | AD), RAM + 0x40_0000), 0, "read", "s",
     ("PROTECTED", ACCESS, 1, 0, NAPOT, None)),
    (lambda: protecting(guest(V | R | AD, ALL), RAM + 0x4000), 0, "read", "vs",
     ("PROTECTED", ACCESS, 2, 1, NAPOT, None)),
    (lambda: protecting(paged(V | R, menvcfg=ADUE), LAST, 1), 0, "read", "s",
     ("PROTECTED", ACCESS, 1, 0, NAPOT | 1, None)),
    (lambda: protecting(guest(V | R | AD, ALL & ~A, ALL, menvcfg=ADUE | PBMTE), TABLE, 1), 0, "read", "vs",
     ("PROTECTED", ACCESS, 2, 0, NAPOT | 1, None)),
    (lambda: Hart({"satp": 0, "mstatus": 0, "pmpcfg0": NAPOT | 7, "pmpaddr0": 0, "mseccfg": 2}), RAM, "read", "m",
     ("UNPROTECTED_MACHINE", ACCESS, 1, None, 1, None)),
    (lambda: Hart({"satp": 0, "mstatus": 0, "pmpcfg0": NAPOT | 7, "pmpaddr0": 0, "mseccfg": 1}), RAM, "fetch", "m",
     ("UNPROTECTED_MACHINE", ACCESS, 1, None, 1, None)),
]  # fmt: skip


@pytest.mark.parametrize("row", range(len(REFUSALS)), ids=[f"{row[4][0]}-{n}" for n, row in enumerate(REFUSALS)])
def test_each_refusal_tells_what_it_is_where_it_was_and_what_decided(row: int) -> None:
    build, va, kind, mode, told = REFUSALS[row]
    _, refused, _ = build().ask(va, kind, mode)
    assert refused is not None
    fault, decider = refused.fault, refused.decider
    assert (decider.cause.name, fault.kind, fault.stage, fault.level, decider.value, decider.pa) == told
