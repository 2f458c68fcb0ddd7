"""U, R, W and X with SUM and MXR: "Encoding of PTE R/W/X fields", "Memory Privilege in sstatus Register"."""

from __future__ import annotations

import pytest

from tests.arch.riscv.machine import ADUE, MXR, PBMTE, SSE, SUM, A, D, R, U, V, W, X, guest, paged

AD = A | D
# X, W, R: what is granted of read, write, fetch; None: the encoding is reserved.
GRANTS: dict[tuple[int, int, int], str | None] = {
    (0, 0, 1): "r",
    (0, 1, 0): None,
    (0, 1, 1): "rw",
    (1, 0, 0): "x",
    (1, 0, 1): "rx",
    (1, 1, 0): None,
    (1, 1, 1): "rwx",
}
KINDS = {"r": "read", "w": "write", "x": "fetch"}


def granted(flags: int, mode: str, **regs: int) -> str:
    hart = paged(V | AD | flags, **regs)
    return "".join(letter for letter, kind in KINDS.items() if hart.outcome(0, kind, mode)[0] == "mapped")


@pytest.mark.parametrize("xwr", GRANTS)
@pytest.mark.parametrize("user", [False, True])
def test_each_encoding_grants_what_the_manual_says(xwr: tuple[int, int, int], user: bool) -> None:
    x, w, r = xwr
    flags, may = x * X | w * W | r * R | user * U, GRANTS[xwr]
    if may is None:
        assert paged(V | AD | flags).cause(0) == "WRITE_WITHOUT_READ descriptor.R"
        assert granted(flags, "s") == granted(flags, "u") == ""
        return
    own, others = ("u", "s") if user else ("s", "u")
    assert granted(flags, own) == may
    assert granted(flags, others) == ""
    # SUM gives a supervisor the data of user pages, and never their code.
    assert granted(flags, "s", mstatus=SUM) == (may.replace("x", "") if user else may)
    # MXR lets loads read what is executable.
    readable = "r" + may.replace("r", "") if "x" in may else may
    assert granted(flags, own, mstatus=MXR) == readable


def test_the_causes_of_a_refusal_are_told_apart() -> None:
    assert paged(V | AD | R).cause(0, "read", "u") == "SUPERVISOR_ONLY descriptor.U"
    assert paged(V | AD | R | U).cause(0, "read", "s") == "USER_PAGE mstatus.SUM"
    assert paged(V | AD | R | X | U, mstatus=SUM).cause(0, "fetch", "s") == "USER_CODE descriptor.U"
    assert paged(V | AD | X).cause(0, "read") == "NOT_READABLE descriptor.R"
    assert paged(V | AD | R).cause(0, "write") == "NOT_WRITABLE descriptor.W"
    assert paged(V | AD | R).cause(0, "fetch") == "NOT_EXECUTABLE descriptor.X"


# Accesses to a leaf with A and D as given: which set them by hardware, and which a fault leaves to software.
NEEDS = {(0, 0): ("read", "write", "fetch"), (A, 0): ("write",), (AD, 0): (), (D, 0): ("read", "write", "fetch")}


@pytest.mark.parametrize("flags", [0, A, D, AD])
@pytest.mark.parametrize("adue", [0, ADUE])
def test_who_sets_accessed_and_dirty(flags: int, adue: int) -> None:
    hart = paged(V | R | W | X | flags, menvcfg=PBMTE | adue)
    for kind, code in (("read", 13), ("write", 15), ("fetch", 12)):
        needed = not flags & A or (kind == "write" and not flags & D)
        expected = ("fault", code) if needed and not adue else ("mapped", 0x8040_0000)
        assert hart.outcome(0, kind, "s") == expected, kind
    if not adue and flags != AD:
        cause = "NOT_DIRTY descriptor.D" if flags & A else "NOT_ACCESSED descriptor.A"
        assert hart.cause(0, "write") == cause


def test_a_permission_is_refused_before_accessed_is_asked_for() -> None:
    assert paged(V | R).cause(0, "write") == "NOT_WRITABLE descriptor.W"
    assert paged(V | R).cause(0, "read", "u") == "SUPERVISOR_ONLY descriptor.U"


@pytest.mark.parametrize(("kind", "expected"), [("read", ("mapped", 0x8040_0000)), ("write", ("fault", 7)),
                                                ("fetch", ("fault", 1))])  # fmt: skip
def test_a_shadow_stack_is_read_by_loads_and_nothing_else(kind: str, expected: tuple[str, int]) -> None:
    hart = paged(V | W | AD, menvcfg=SSE)
    assert hart.outcome(0, kind, "s") == expected
    if expected[0] == "fault":
        assert hart.cause(0, kind) == "SHADOW_STACK descriptor.R"
    # User mode has to be let in first: that is the page fault of any page.
    assert hart.outcome(0, "write", "u") == ("fault", 15)
    # Without Zicfiss the encoding is reserved; with X it always is.
    assert paged(V | W | AD).cause(0, kind).startswith("WRITE_WITHOUT_READ")
    assert paged(V | W | X | AD, menvcfg=SSE).cause(0, kind).startswith("WRITE_WITHOUT_READ")


# vsstatus.MXR, mstatus.MXR: may a load read what is executable only at the VS-stage, and at the G-stage.
MXR_OF_STAGES = {(0, 0): (False, False), (MXR, 0): (True, False), (0, MXR): (True, True), (MXR, MXR): (True, True)}


@pytest.mark.parametrize("bits", MXR_OF_STAGES)
def test_mxr_of_the_hypervisor_counts_at_both_stages(bits: tuple[int, int]) -> None:
    vsstatus, mstatus = bits
    first, second = MXR_OF_STAGES[bits]
    first_only = guest(V | X | AD, tables=V | R | U | AD, vsstatus=vsstatus, mstatus=mstatus)
    assert first_only.outcome(0, "read", "vs") == (("mapped", 0x8002_0000) if first else ("fault", 13))
    second_only = guest(
        V | R | AD, guest_flags=V | X | U | AD, tables=V | R | U | AD, vsstatus=vsstatus, mstatus=mstatus
    )
    assert second_only.outcome(0, "read", "vs") == (("mapped", 0x8002_0000) if second else ("fault", 21))


def test_the_reading_of_a_guests_tables_is_no_explicit_load() -> None:
    hart = guest(V | R | AD, tables=V | X | U | AD, mstatus=MXR)
    assert hart.outcome(0, "read", "vs") == ("fault", 21)
    assert hart.cause(0, "read", "vs") == "NOT_READABLE descriptor.R"


def test_sum_of_the_hypervisor_is_not_the_guests() -> None:
    assert guest(V | R | U | AD, mstatus=SUM).cause(0, "read", "vs") == "USER_PAGE vsstatus.SUM"
    assert guest(V | R | U | AD, vsstatus=SUM).cause(0, "read", "vs") == ""


@pytest.mark.parametrize(("flags", "ok"), [(R, False), (X, True), (R | X, True)])
def test_hlvx_needs_execution_at_both_stages_and_raises_what_loads_raise(flags: int, ok: bool) -> None:
    tables = V | R | U | AD
    first = guest(V | AD | flags, tables=tables)
    assert first.outcome(0, "hlvx", "vs") == (("mapped", 0x8002_0000) if ok else ("fault", 13))
    second = guest(V | AD | R | X, guest_flags=V | U | AD | flags, tables=tables)
    assert second.outcome(0, "hlvx", "vs") == (("mapped", 0x8002_0000) if ok else ("fault", 21))


# X, W, R and U: what the map shows of user mode and of supervisor mode, before SUM and MXR have a say.
SHOWN = {
    (0, 0, 1, 0): ("---", "r--"), (0, 1, 1, 0): ("---", "rw-"), (1, 0, 0, 0): ("---", "--x"),
    (1, 0, 1, 0): ("---", "r-x"), (1, 1, 1, 0): ("---", "rwx"), (0, 1, 0, 0): ("---", "rg-"),
    (0, 0, 1, 1): ("r--", "r--"), (0, 1, 1, 1): ("rw-", "rw-"), (1, 0, 0, 1): ("--x", "---"),
    (1, 0, 1, 1): ("r-x", "r--"), (1, 1, 1, 1): ("rwx", "rw-"), (0, 1, 0, 1): ("rg-", "rg-"),
}  # fmt: skip


@pytest.mark.parametrize("xwru", SHOWN)
def test_what_is_shown_of_a_leaf_is_what_it_grants(xwru: tuple[int, int, int, int]) -> None:
    x, w, r, u = xwru
    found, _, _ = paged(V | AD | x * X | w * W | r * R | u * U, menvcfg=SSE).ask(0, "read", "s")
    assert found.attributes is not None
    assert tuple(str(each) for _, each in sorted(found.attributes.rights.items())) == SHOWN[xwru]
