"""The RISC-V oracle's guest itself, with tables laid by hand: neither our own walker nor other rules have a say.

Everywhere the leaves are in the root: 1 GiB of Sv39 and Sv39x4, 4 MiB of Sv32 and Sv32x4.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gdbtools.errors import Unavailable
from tests.guests import packages
from tests.guests.packages import QEMU_SUITES
from tests.guests.riscv.oracle import (
    DATA,
    FROM_STUB,
    MPP_S,
    MPRV,
    MPV,
    NAPOT,
    PMP_ENTRIES,
    RAM,
    REGISTER_NAMES,
    REQUESTS,
    RWX,
    STUB,
    TABLES,
    Answer,
    Operation,
    Request,
    RiscvOracle,
    napot,
    word_at,
)

pytestmark = pytest.mark.guest

LEAF, USER = 0b11001111, 1 << 4
"""V, R, W, X, A and D; U is another."""
SUM = 1 << 18
ILLEGAL_INSTRUCTION = 2
NOBODY = 0x28000000
"""In reach of a table's root, and never mapped."""
OPEN = {
    "pmpcfg0": NAPOT << 8 | NAPOT | (NAPOT | RWX) << 16,
    "pmpaddr0": napot(RAM, 16 << 20),
    "pmpaddr1": napot(0, 1 << 31),
}
"""PMP that keeps all from the guest itself, and from what is below its RAM."""


@pytest.fixture(
    scope="module",
    params=[(name, bits) for name in ("system", *QEMU_SUITES) for bits in (64, 32)],
    ids=lambda each: f"{each[0]}-riscv{each[1]}",
)
def oracle(request: pytest.FixtureRequest) -> Iterator[RiscvOracle]:
    name, bits = request.param
    try:
        qemu = packages.qemu(name, f"qemu-system-riscv{bits}")
    except Unavailable as missing:
        pytest.skip(str(missing))
    with RiscvOracle(qemu, bits) as oracle:
        yield oracle


class Laid:
    """One root of each register; a mapped address is `shift` above the data page that it leads to."""

    def __init__(self, oracle: RiscvOracle) -> None:
        self.oracle, self.wide = oracle, oracle.bits == 64
        self.leaf_bytes = 1 << 30 if self.wide else 4 << 20
        self.entry_bytes = 8 if self.wide else 4
        self.open = {**OPEN, "pmpaddr2": (1 << 54) - 1 if self.wide else 0xFFFFFFFF}

    def root(self, pa: int, leaves: dict[int, int]) -> int:
        """Write a table of leaves by their address, and return satp, or hgatp, of it."""
        page = bytearray(4 * 4096)
        for address, entry in leaves.items():
            at = address // self.leaf_bytes * self.entry_bytes
            page[at : at + self.entry_bytes] = entry.to_bytes(self.entry_bytes, "little")
        self.oracle.write(pa, page)
        return (8 << 60 if self.wide else 1 << 31) | pa >> 12

    def leaf(self, pa: int, more: int = 0) -> int:
        return pa // self.leaf_bytes * self.leaf_bytes >> 12 << 10 | LEAF | more

    def inside(self, pa: int) -> int:
        return pa % self.leaf_bytes

    def ask(self, registers: dict[str, int], *requests: Request, stub_va: int = 0) -> list[Answer]:
        self.oracle.set({**self.open, **registers})
        return self.oracle.ask(requests, (stub_va, stub_va))


@pytest.fixture
def laid(oracle: RiscvOracle) -> Laid:
    return Laid(oracle)


def test_untranslated_a_load_tells_where_it_was_and_so_does_a_jump(laid: Laid) -> None:
    for status in (0, MPP_S):
        load, jump = laid.ask(
            {}, Request(DATA + 0x840, Operation.LOAD, MPRV | status), Request(DATA + 0x40, Operation.JUMP, status)
        )
        assert (load.cause, load.value) == (None, word_at(DATA + 0x840))
        assert (jump.cause, jump.tval, jump.epc) == (ILLEGAL_INSTRUCTION, word_at(DATA + 0x40), DATA + 0x40)


def test_one_stage_leads_from_an_address_to_its_page_and_nowhere_else(laid: Laid) -> None:
    va = laid.leaf_bytes * 3 | laid.inside(DATA) + 0x848
    registers = {"satp": laid.root(TABLES, {va: laid.leaf(DATA)})}
    load, none = laid.ask(
        registers, Request(va, Operation.LOAD, MPRV | MPP_S), Request(NOBODY, Operation.STORE, MPRV | MPP_S)
    )
    assert (load.cause, load.value) == (None, word_at(DATA + 0x848))
    assert (none.cause, none.tval) == (15, NOBODY)


def test_a_store_changes_the_word_that_it_is_told_to(laid: Laid) -> None:
    [answer] = laid.ask({}, Request(DATA + 0x850, Operation.STORE, MPRV | MPP_S))
    assert answer.cause is None
    assert int.from_bytes(laid.oracle.read(DATA + 0x850, 4), "little") == REQUESTS
    laid.oracle.write(DATA + 0x850, word_at(DATA + 0x850).to_bytes(4, "little"))


def test_u_and_sum_are_mprvs_and_the_stubs(laid: Laid) -> None:
    va = laid.leaf_bytes * 3
    stub_va = laid.leaf_bytes * 5 | laid.inside(STUB)
    at = va | laid.inside(DATA) + 0x800
    table = {va: laid.leaf(DATA, USER), stub_va: laid.leaf(STUB)}
    for operation in (Operation.LOAD, Operation.STUB_LOAD):
        mprv = 0 if operation in FROM_STUB else MPRV
        asked = [Request(at, operation, MPP_S | mprv | sum_) for sum_ in (0, SUM)]
        refused, allowed = laid.ask({"satp": laid.root(TABLES, table)}, *asked, stub_va=stub_va)
        assert refused.cause == 13
        assert allowed.value == word_at(at - va - laid.inside(DATA) + DATA)


def test_two_stages_lead_through_both_for_hlv_and_mpv_and_from_the_stub(laid: Laid) -> None:
    va, gpa, stub_gpa = laid.leaf_bytes * 3, laid.leaf_bytes * 6, laid.leaf_bytes * 7
    stub_va = laid.leaf_bytes * 5 | laid.inside(STUB)
    tables_gpa = laid.leaf_bytes * 9 | laid.inside(TABLES)
    laid.root(TABLES, {va: laid.leaf(gpa), stub_va: laid.leaf(stub_gpa)})
    second = {gpa: DATA, stub_gpa: STUB, tables_gpa: TABLES}
    hgatp = laid.root(TABLES + 0x4000, {each: laid.leaf(pa, USER) for each, pa in second.items()})
    vsatp = (8 << 60 if laid.wide else 1 << 31) | tables_gpa >> 12
    at = va | laid.inside(DATA) + 0x804
    asked = [
        Request(at, Operation.HLV_S, 0),
        Request(at, Operation.LOAD, MPP_S | MPV | MPRV),
        Request(at, Operation.STUB_LOAD, MPP_S | MPV),
        Request(NOBODY, Operation.STUB_LOAD, MPP_S | MPV),
    ]
    *answers, none = laid.ask({"vsatp": vsatp, "hgatp": hgatp}, *asked, stub_va=stub_va)
    assert [each.value for each in answers] == [word_at(DATA + 0x804)] * 3
    assert (none.cause, none.tval) == (13, NOBODY)


def test_what_g_stage_lacks_is_told_by_mtval2(laid: Laid) -> None:
    hgatp = laid.root(TABLES, {laid.leaf_bytes: laid.leaf(DATA, USER)})
    [answer] = laid.ask({"hgatp": hgatp}, Request(NOBODY | 0x800, Operation.JUMP, MPP_S | MPV))
    assert (answer.cause, answer.tval, answer.tval2) == (20, NOBODY | 0x800, (NOBODY | 0x800) >> 2)


def test_each_batch_sees_the_tables_as_they_are_now(laid: Laid) -> None:
    va = laid.leaf_bytes * 3
    for mapped in (True, False, True):
        registers = {"satp": laid.root(TABLES, {va: laid.leaf(DATA)} if mapped else {})}
        [answer] = laid.ask(registers, Request(va | laid.inside(DATA) + 0x800, Operation.LOAD, MPRV | MPP_S))
        assert (answer.cause is None) is mapped


def test_pmp_keeps_everybody_from_the_guest_itself(laid: Laid) -> None:
    asked = [Request(RAM + 0x1000, each, MPRV | MPP_S) for each in (Operation.LOAD, Operation.STORE)]
    load, store = laid.ask({}, *asked)
    assert (load.cause, store.cause) == (5, 7)


def test_any_value_in_any_register_is_survived(laid: Laid) -> None:
    va = laid.leaf_bytes * 3
    asked = [Request(va, operation, MPP_S) for operation in Operation if operation not in FROM_STUB]
    # mseccfg would change M-mode's own rights for good, and vsatp and hgatp of an unknown mode end QEMU 7.2.
    kept = ("mseccfg", "vsatp", "hgatp", "pmpcfg0", *(f"pmpaddr{entry}" for entry in range(PMP_ENTRIES)))
    laid.ask({name: (1 << 64) - 1 for name in REGISTER_NAMES if name not in kept}, *asked)
    registers = {"satp": laid.root(TABLES, {va: laid.leaf(DATA)})}
    [answer] = laid.ask(registers, Request(va | laid.inside(DATA) + 0x800, Operation.LOAD, MPRV | MPP_S))
    assert answer.cause is None
