"""Long descriptors: ranges, what an entry is, what tables hand down, and what refuses."""

from __future__ import annotations

import pytest

from gdbtools.arch.model import AccessKind, EntryKind, FaultKind, Mapped, Run
from gdbtools.arch.scan import scan
from tests.arch.aarch32.machine import (
    EAE,
    EE,
    EXECUTE,
    PAN,
    READ,
    ROOT0,
    ROOT1,
    SECOND,
    SUPERVISOR,
    THIRD,
    UWXN,
    WRITE,
    WXN,
    M,
    Machine,
    long_page,
    why,
)

AF, PXN, XN, NG = 1 << 10, 1 << 53, 1 << 54, 1 << 11
BOTH, READ_ONLY = 1 << 6, 2 << 6
PAGE, BLOCK = AF | 0b11, AF | 0b01
PXN_TABLE = 1 << 59
PXN_BELOW = THIRD | 3 | PXN_TABLE
NS_TABLE, NO_WRITE, NO_USER, XN_TABLE = 1 << 63, 1 << 62, 1 << 61, 1 << 60


def leads(machine: Machine, va: int) -> tuple[int, int]:
    outcome = machine.walk(va).outcome
    assert isinstance(outcome, Mapped), outcome
    return outcome.address, outcome.size_bytes


def test_a_page_and_blocks_of_both_sizes() -> None:
    assert leads(long_page(0x80_1234_5000 | PAGE), 0xABC) == (0x80_1234_5ABC, 1 << 12)
    assert leads(long_page(0, second=0x80_1220_0000 | BLOCK), 0x1F_FABC) == (0x80_123F_FABC, 1 << 21)
    assert leads(long_page(0, first=0x80_0000_0000 | BLOCK), 0x3FFF_FABC) == (0x80_3FFF_FABC, 1 << 30)


def test_the_kinds_of_entries() -> None:
    machines = long_page(PAGE), long_page(0, second=BLOCK), long_page(0, first=BLOCK), long_page(0b10)
    kinds = [machine.walk(0).steps[-1].entry.kind for machine in machines]
    assert kinds == [EntryKind.PAGE, EntryKind.BLOCK, EntryKind.BLOCK, EntryKind.INVALID]
    assert machines[-1].walk(0).steps[-1].entry.address == 0


def test_a_root_of_four_entries_is_on_a_boundary_of_32_bytes() -> None:
    machine = Machine({"TTBCR": EAE, "TTBR0": ROOT0 | 0x20}, {ROOT0 | 0x20: 0x80_0000_0000 | BLOCK}, 8)
    assert leads(machine, 0) == (0x80_0000_0000, 1 << 30)


def test_a_walk_that_is_disabled_is_refused_before_its_root() -> None:
    machine = long_page(PAGE, TTBCR=EAE | 1 << 7, TTBR0=ROOT0 | 1 << 40)
    assert why(machine.refused(0)) == ("RANGE_DISABLED", "EPD0", 1)


@pytest.mark.parametrize(("attr", "device"), [(0x00, True), (0x0C, True), (0x11, False), (0x44, False)])
def test_what_is_a_device(attr: int, device: bool) -> None:
    assert long_page(PAGE, MAIR0=attr).attributes(0).device is device


@pytest.mark.parametrize(
    ("machine", "refused"),
    [
        (long_page(0, first=0), ("INVALID_ENTRY", "VALID", 1)),
        (long_page(0b10, second=0b10), ("INVALID_ENTRY", "VALID", 2)),
        (long_page(0b10), ("INVALID_ENTRY", "VALID", 3)),
        (long_page(BLOCK), ("RESERVED_ENTRY", "TYPE", 3)),
        (long_page(0b11), ("NOT_ACCESSED", "AF", 3)),
        (long_page(0, second=0b01), ("NOT_ACCESSED", "AF", 2)),
        (long_page(1 << 40 | PAGE), ("OUTPUT_TOO_LARGE", "OutputAddress", 3)),
        (long_page(1 << 47 | 0b11), ("OUTPUT_TOO_LARGE", "OutputAddress", 3)),
        (long_page(0, second=1 << 40 | THIRD | 3), ("TABLE_TOO_LARGE", "NextTable", 2)),
        (long_page(1 << 39 | PAGE), None),
        (long_page(PAGE, TTBR0=ROOT0 | 1 << 40), ("ROOT_TOO_LARGE", "BADDR", 0)),
        (long_page(PAGE, TTBCR=EAE | 1 << 7), ("RANGE_DISABLED", "EPD0", 1)),
        (long_page(PAGE, TTBCR=EAE | 1 << 23), None),
    ],
)
def test_what_is_no_entry_is_refused(machine: Machine, refused: tuple[str, str, int] | None) -> None:
    assert why(machine.refused(0)) == refused


def test_the_kinds_of_those_refusals() -> None:
    kinds = {
        FaultKind.TRANSLATION: long_page(0), FaultKind.ADDRESS_SIZE: long_page(1 << 40 | PAGE),
        FaultKind.ACCESS_FLAG: long_page(0b11),
    }  # fmt: skip
    for kind, machine in kinds.items():
        found = machine.refused(0)
        assert found is not None
        assert (found.fault.kind, found.fault.stage) == (kind, 1)
    root = long_page(PAGE, TTBR0=ROOT0 | 1 << 40).refused(0)
    assert root is not None
    assert (root.fault.kind, root.decider.holder) == (FaultKind.ADDRESS_SIZE, "TTBR0")


RIGHTS = {0: ("rw-", "---"), 1: ("rw-", "rw-"), 2: ("r--", "---"), 3: ("r--", "r--")}


@pytest.mark.parametrize("ap", RIGHTS)
@pytest.mark.parametrize("limit", range(4))
@pytest.mark.parametrize("where", ["first", "second"])
def test_what_a_table_limits_below_it(ap: int, limit: int, where: str) -> None:
    tables = {"first": SECOND | 3, "second": THIRD | 3}
    tables[where] |= limit << 61
    effective = ap & ~(limit & 1) | limit & 2
    assert long_page(ap << 6 | XN | PAGE, **tables).rights(0) == RIGHTS[effective]


@pytest.mark.parametrize(
    ("machine", "kind", "user", "refused"),
    [
        (long_page(PAGE), READ, True, ("PRIVILEGED_ONLY", "AP", 3)),
        (long_page(READ_ONLY | PAGE), WRITE, False, ("READ_ONLY", "AP", 3)),
        (long_page(READ_ONLY | BOTH | PAGE), WRITE, True, ("READ_ONLY", "AP", 3)),
        (long_page(XN | PAGE), EXECUTE, False, ("EXECUTE_NEVER", "XN", 3)),
        (long_page(PXN | BOTH | PAGE), EXECUTE, False, ("PRIVILEGED_EXECUTE_NEVER", "PXN", 3)),
        (long_page(PXN | BOTH | PAGE), EXECUTE, True, None),
        (long_page(PAGE), EXECUTE, True, ("PRIVILEGED_ONLY", "AP", 3)),
        (long_page(PAGE), EXECUTE, False, None),
        (long_page(PAGE, first=SECOND | 3 | XN_TABLE), EXECUTE, False, ("EXECUTE_NEVER", "XNTable", 3)),
        (
            long_page(BOTH | PAGE, second=PXN_BELOW),
            EXECUTE,
            False,
            ("PRIVILEGED_EXECUTE_NEVER", "PXNTable", 3),
        ),
        (long_page(BOTH | PAGE, second=PXN_BELOW), EXECUTE, True, None),
        (long_page(BOTH | PAGE, first=SECOND | 3 | NO_USER), READ, True, ("PRIVILEGED_ONLY", "APTable", 3)),
        (long_page(BOTH | PAGE, first=SECOND | 3 | NO_WRITE), WRITE, False, ("READ_ONLY", "APTable", 3)),
        (long_page(PAGE, SCTLR=M | WXN), EXECUTE, False, ("WRITE_IMPLIES_EXECUTE_NEVER", "WXN", 3)),
        (long_page(BOTH | PAGE, SCTLR=M | WXN), EXECUTE, True, ("WRITE_IMPLIES_EXECUTE_NEVER", "WXN", 3)),
        (long_page(READ_ONLY | PAGE, SCTLR=M | WXN), EXECUTE, False, None),
        (long_page(BOTH | PAGE, SCTLR=M | UWXN), EXECUTE, False, ("WRITABLE_BY_USER", "UWXN", 3)),
        (long_page(PAGE, SCTLR=M | UWXN), EXECUTE, False, None),
        (long_page(BOTH | PAGE, cpsr=SUPERVISOR | PAN), READ, False, ("PRIVILEGED_ACCESS_NEVER", "PAN", 3)),
        (long_page(3 << 6 | PAGE, cpsr=SUPERVISOR | PAN), READ, False, ("PRIVILEGED_ACCESS_NEVER", "PAN", 3)),
        (long_page(BOTH | PAGE, cpsr=SUPERVISOR | PAN), EXECUTE, False, None),
        (long_page(PAGE, DACR=0), READ, False, None),
    ],
)
def test_what_withholds_a_right_is_named(
    machine: Machine, kind: AccessKind, user: bool, refused: tuple[str, str, int] | None
) -> None:
    assert why(machine.refused(0, kind, user)) == refused


def test_a_table_that_withholds_is_where_the_bit_is() -> None:
    found = long_page(PAGE, second=THIRD | 3 | XN_TABLE).refused(0, EXECUTE)
    assert found is not None
    assert (found.decider.pa, found.decider.level, found.decider.value) == (SECOND, 2, 1)


@pytest.mark.parametrize(
    ("table", "leaf", "kind", "user", "field"),
    [
        (NO_WRITE, READ_ONLY, WRITE, False, "APTable"),
        (NO_USER, 0, READ, True, "APTable"),
        (XN_TABLE, XN, EXECUTE, False, "XNTable"),
        (PXN_TABLE, PXN, EXECUTE, False, "PXNTable"),
    ],
)
@pytest.mark.parametrize("where", ["first", "second"])
def test_where_a_table_and_the_leaf_withhold_the_table_is_named(
    table: int, leaf: int, kind: AccessKind, user: bool, field: str, where: str
) -> None:
    tables = {"first": SECOND | 3, "second": THIRD | 3}
    tables[where] |= table
    found = long_page(leaf | PAGE, **tables).refused(0, kind, user)
    assert found is not None
    assert (found.decider.field.name, found.decider.pa) == (field, {"first": ROOT0, "second": SECOND}[where])


# T0SZ, T1SZ, and the ranges: "Selecting between TTBR0 and TTBR1, VMSAv8-32 Long-descriptor translation table format".
RANGES = {
    (0, 0): [("TTBR0", 0, 0xFFFF_FFFF)],
    (1, 0): [("TTBR0", 0, 0x7FFF_FFFF), ("TTBR1", 0x8000_0000, 0xFFFF_FFFF)],
    (7, 0): [("TTBR0", 0, 0x01FF_FFFF), ("TTBR1", 0x0200_0000, 0xFFFF_FFFF)],
    (0, 1): [("TTBR0", 0, 0x7FFF_FFFF), ("TTBR1", 0x8000_0000, 0xFFFF_FFFF)],
    (0, 3): [("TTBR0", 0, 0xDFFF_FFFF), ("TTBR1", 0xE000_0000, 0xFFFF_FFFF)],
    (2, 3): [("TTBR0", 0, 0x3FFF_FFFF), ("TTBR1", 0xE000_0000, 0xFFFF_FFFF)],
}
LEVELS = {0: ((1, 4), (2, 512)), 1: ((1, 2), (2, 512)), 2: ((2, 512), (3, 512)), 3: ((2, 256), (3, 512))}


@pytest.mark.parametrize("sizes", RANGES)
def test_the_sizes_of_two_ranges(sizes: tuple[int, int]) -> None:
    zero, one = sizes
    found = Machine({"TTBCR": EAE | zero | one << 16}).regimes()
    assert [(each.short_name, each.first, each.last) for each in found] == RANGES[sizes]
    for each, size in zip(found, sizes, strict=False):
        if size in LEVELS:
            assert tuple((level.number, level.entries) for level in each.levels[:2]) == LEVELS[size]


def test_an_address_between_the_ranges_is_in_none() -> None:
    machine = Machine({"TTBCR": EAE | 2 | 3 << 16}, entry_bytes=8)
    for va in (0x4000_0000, 0xDFFF_F000):
        found = machine.walk(va).refusal
        assert why(found) == ("OUTSIDE_RANGE", "T1SZ", 1)


def test_each_range_has_its_root_whose_low_bits_do_not_count() -> None:
    registers = {"TTBCR": EAE | 1 | 1 << 16, "TTBR0": ROOT0 | 0xE | 0xAB << 48, "TTBR1": ROOT1 | 1}
    machine = Machine(registers, {ROOT0: 0x80_0000_0000 | BLOCK, ROOT1: 0x40_0000_0000 | BLOCK}, 8)
    assert leads(machine, 0) == (0x80_0000_0000, 1 << 30)
    assert leads(machine, 0x8000_0000) == (0x40_0000_0000, 1 << 30)
    machine.registers["TTBCR"] |= 1 << 23
    assert why(machine.walk(0x8000_0000).refusal) == ("RANGE_DISABLED", "EPD1", 1)


def test_a_range_that_begins_within_an_entry_of_its_root_is_scanned_as_it_is_walked() -> None:
    """T0SZ=7: TTBR1 has all from 32MB on, by a root that translates from 0 on."""
    machine = Machine({"TTBCR": EAE | 7, "TTBR1": ROOT1}, {ROOT1: SECOND | 3}, 8)
    machine.entries |= {SECOND + 8 * n: 0x8000_0000 + (n << 21) | BLOCK for n in range(10, 20)}
    upper = machine.regimes()[1]
    (run,) = scan(upper, machine.read)
    assert isinstance(run, Run)
    assert (run.first, run.size_bytes) == (16 << 21, 4 << 21)
    assert leads(machine, 16 << 21)[0] == run.output == 0x8000_0000 + (16 << 21)


def test_tables_may_be_big_endian() -> None:
    machine = long_page(0x1234_5000 | PAGE, SCTLR=M | EE)
    machine.order = "big"
    assert leads(machine, 0) == (0x1234_5000, 1 << 12)


@pytest.mark.parametrize(("index", "attr"), [(0, 0x00), (1, 0x44), (3, 0xFF), (4, 0x04), (7, 0xAA)])
def test_the_memory_type_is_its_byte_of_mair0_or_mair1(index: int, attr: int) -> None:
    low, high = (attr << 8 * index, 0) if index < 4 else (0, attr << 8 * (index - 4))
    found = long_page(index << 2 | 3 << 8 | PAGE, MAIR0=low, MAIR1=high).attributes(0)
    names = {
        0x00: "Device-nGnRnE", 0x44: "Normal Non-cacheable", 0xFF: "Normal Write-Back RW-allocate",
        0x04: "Device-nGnRE", 0xAA: "Normal Write-Through R-allocate",
    }  # fmt: skip
    assert found.memory == names[attr]
    assert found.device is (attr in (0x00, 0x04))
    assert found.shareability == ("Inner Shareable" if attr in (0xFF, 0xAA) else "Outer Shareable")


def test_the_other_attributes() -> None:
    plain = long_page(PAGE, MAIR0=0xFF).attributes(0)
    assert (plain.is_global, plain.contiguous, plain.non_secure, plain.accessed) == (True, False, False, True)
    assert (plain.shareability, plain.unshared, plain.dirty) == ("Non-shareable", True, None)
    other = long_page(PAGE | NG | 1 << 52 | 1 << 5 | 1 << 8).attributes(0)
    assert (other.is_global, other.contiguous, other.non_secure, other.shareability) == (
        False,
        True,
        True,
        "Outer Shareable",
    )
    assert long_page(PAGE, first=SECOND | 3 | NS_TABLE).attributes(0).non_secure
    assert long_page(PAGE, second=THIRD | 3 | NS_TABLE).attributes(0).non_secure
    assert not long_page(0b11).attributes(0).accessed
    reserved = long_page(PAGE | 1 << 8, MAIR0=0xFF).attributes(0)
    assert reserved.shareability == "reserved"


def test_without_mair1_memory_is_a_number() -> None:
    machine = long_page(3 << 2 | PAGE)
    del machine.registers["MAIR1"]
    found = machine.attributes(0)
    assert (found.memory, found.device, found.unshared) == ("MAIR Attr3", False, False)
    assert "MAIR0, MAIR1: unknown, so are memory types" in machine.regimes()[0].assumed


def test_a_page_shared_by_limits_is_scanned_with_each() -> None:
    """Two entries lead to one table, and one of them limits what is below."""
    entries = {ROOT0: SECOND | 3, SECOND: THIRD | 3, SECOND + 8: THIRD | 3 | NO_WRITE | XN_TABLE, THIRD: PAGE}
    machine = Machine({"TTBCR": EAE}, entries, 8)
    found = [(run.first, run.attributes.rights) for run in scan(machine.regimes()[0], machine.read)]  # type: ignore[union-attr]
    assert [(first, *map(str, rights.values())) for first, rights in found] == [
        (0, "---", "rwx"), (1 << 21, "---", "r--"),
    ]  # fmt: skip
