"""Short descriptors: what an entry is, where it leads, who may do what, and what refuses it."""

from __future__ import annotations

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch32.tables import memory_types
from gdbtools.arch.arm.memory_names import memory_type
from gdbtools.arch.model import AccessKind, EntryKind, FaultKind, Mapped
from gdbtools.arch.scan import scan
from tests.arch.aarch32.machine import (
    AARCH32,
    AFE,
    EE,
    EXECUTE,
    PAN,
    READ,
    ROOT0,
    ROOT1,
    SECOND,
    SUPERVISOR,
    TRE,
    UWXN,
    WRITE,
    WXN,
    M,
    Machine,
    page,
    section,
    why,
)

SECTION, SUPERSECTION, LARGE, SMALL = 0b10, 1 << 18 | 0b10, 0b01, 0b10
FULL = 0b11 << 10
"""AP of a section that grants everything."""
PAGE_FULL = 0b11 << 4


def leads(machine: Machine, va: int) -> tuple[int, int]:
    outcome = machine.walk(va).outcome
    assert isinstance(outcome, Mapped), outcome
    return outcome.address, outcome.size_bytes


def test_a_section_maps_a_megabyte() -> None:
    assert leads(section(0x8010_0000 | SECTION | FULL), 0x12345) == (0x8011_2345, 1 << 20)


def test_a_supersection_maps_16_megabytes_by_16_entries_and_has_40_bits_of_address() -> None:
    entry = 0x8100_0000 | SUPERSECTION | FULL | 0xA << 20 | 0x5 << 5
    machine = Machine({}, {ROOT0 + 4 * n: entry for n in range(16)})
    assert leads(machine, 0xF1_2345) == (0x5A_81F1_2345, 1 << 24)
    assert machine.attributes(0).contiguous


def test_a_small_page_and_a_large_one() -> None:
    machine = page(0x8000_1000 | SMALL | PAGE_FULL)
    machine.entries |= {SECOND + 4 * n: 0x8001_0000 | LARGE | PAGE_FULL for n in range(16, 32)}
    assert leads(machine, 0x234) == (0x8000_1234, 1 << 12)
    assert leads(machine, 0x1_F123) == (0x8001_F123, 1 << 16)
    assert not machine.attributes(0).contiguous
    assert machine.attributes(0x1_F123).contiguous
    assert [step.entry.kind for step in machine.walk(0).steps] == [EntryKind.TABLE, EntryKind.PAGE]
    assert [step.entry.kind for step in section(SECTION).walk(0).steps] == [EntryKind.BLOCK]


def test_a_second_level_table_has_256_entries_wherever_it_is() -> None:
    """By VA[19:12], and on a boundary of 1 KB."""
    table = SECOND | 0x400
    machine = Machine({}, {ROOT0: table | 1, ROOT0 + 4: table | 1})
    machine.entries |= {table: 0x8000_1000 | SMALL | PAGE_FULL, table + 4 * 255: 0x8000_2000 | SMALL | PAGE_FULL}
    assert [leads(machine, va)[0] for va in (0, 0x10_0000, 0xF_F000, 0x1F_F000)] == [
        0x8000_1000, 0x8000_1000, 0x8000_2000, 0x8000_2000,
    ]  # fmt: skip


def test_the_last_address_is_one_like_others() -> None:
    machine = Machine({}, {ROOT0 + 4 * 0xFFF: 0x8010_0000 | SECTION | FULL})
    assert leads(machine, 0xFFFF_FFFF) == (0x801F_FFFF, 1 << 20)


def test_what_is_no_entry_leads_nowhere_and_has_no_attributes() -> None:
    machine = section(0)
    assert machine.walk(0).steps[0].entry.address == 0
    assert machine.regimes()[0].attributes(()) is None


def test_a_whole_table_of_them_is_as_each_walk_says() -> None:
    machine = page(0x8000_1000 | SMALL | PAGE_FULL)
    machine.entries |= {SECOND + 4 * n: 0x8001_0000 | LARGE | PAGE_FULL for n in range(16, 32)}
    machine.entries |= {ROOT0 + 4 * n: 0x8100_0000 | SUPERSECTION | FULL for n in range(16, 32)}
    machine.entries |= {ROOT0 + 4 * n: (0x9000_0000 + (n << 20)) | SECTION | FULL for n in (32, 33)}
    (regime,) = machine.regimes()
    runs = list(scan(regime, machine.read))
    assert [(run.first, run.size_bytes) for run in runs] == [
        (0, 1 << 12), (0x10000, 1 << 16), (0x100_0000, 1 << 24), (0x200_0000, 2 << 20),
    ]  # fmt: skip
    for run in runs:
        for at in range(run.first, run.first + run.size_bytes, run.leaf_bytes):
            assert run.output is not None
            assert leads(machine, at)[0] == run.output + at - run.first


@pytest.mark.parametrize(
    ("machine", "refused"),
    [
        (section(0), ("INVALID_ENTRY", "TYPE", 1)),
        (page(0), ("INVALID_ENTRY", "TYPE", 2)),
        (section(0x8010_0000 | 0b11 | FULL, ID_MMFR0=3), ("RESERVED_WITHOUT_PXN", "TYPE", 1)),
        (section(0x8010_0000 | SECTION | FULL, ID_MMFR0=3), None),
        (section(0x8010_0000 | 0b11 | FULL), None),
        (section(0x8010_0000 | 0b11 | FULL, ID_MMFR0=4), None),
        (section(0x8010_0000 | SECTION | 0b10 << 10, SCTLR=M | AFE), ("NOT_ACCESSED", "AF", 1)),
        (page(0x8000_1000 | SMALL | 0b10 << 4, SCTLR=M | AFE), ("NOT_ACCESSED", "AF", 2)),
        (page(0x8000_1000 | SMALL | 0b01 << 4, SCTLR=M | AFE), None),
        (section(0x8010_0000 | SECTION | FULL, TTBCR=1 << 4), ("RANGE_DISABLED", "PD0", 1)),
        (section(0x8010_0000 | SECTION | FULL, TTBCR=1 << 5), None),
    ],
)
def test_what_is_no_entry_is_refused(machine: Machine, refused: tuple[str, str, int] | None) -> None:
    assert why(machine.refused(0)) == refused
    assert why(machine.walk(0).refusal) == refused


@pytest.mark.parametrize(
    ("machine", "kind"),
    [
        (section(0), FaultKind.TRANSLATION),
        (section(0x8010_0000 | SECTION | FULL, TTBCR=1 << 4), FaultKind.TRANSLATION),
        (section(SECTION | 0b10 << 10, SCTLR=M | AFE), FaultKind.ACCESS_FLAG),
        (section(SECTION | FULL, DACR=0), FaultKind.DOMAIN),
    ],
)
def test_the_kinds_of_refusals_are_stage_1s(machine: Machine, kind: FaultKind) -> None:
    found = machine.refused(0)
    assert found is not None
    assert (found.fault.kind, found.fault.stage) == (kind, 1)


# AP[2:0], and what PL1 and PL0 may do where nothing is executable: "AP[2:0] access permissions control".
PERMISSIONS = {
    0b000: ("---", "---"), 0b001: ("rw-", "---"), 0b010: ("rw-", "r--"), 0b011: ("rw-", "rw-"),
    0b100: ("---", "---"), 0b101: ("r--", "---"), 0b110: ("r--", "r--"), 0b111: ("r--", "r--"),
}  # fmt: skip
SIMPLIFIED = {0b00: ("rw-", "---"), 0b01: ("rw-", "rw-"), 0b10: ("r--", "---"), 0b11: ("r--", "r--")}


@pytest.mark.parametrize("ap", PERMISSIONS)
def test_the_three_bits_of_ap(ap: int) -> None:
    never = section(SECTION | (ap >> 2) << 15 | (ap & 3) << 10 | 1 << 4)
    assert never.rights(0) == PERMISSIONS[ap]
    small = page(SMALL | (ap >> 2) << 9 | (ap & 3) << 4 | 1)
    assert small.rights(0) == PERMISSIONS[ap]
    large = page(LARGE | (ap >> 2) << 9 | (ap & 3) << 4 | 1 << 15)
    assert large.rights(0) == PERMISSIONS[ap]
    may = section(SECTION | (ap >> 2) << 15 | (ap & 3) << 10)
    assert may.rights(0) == tuple(each[:2] + ("x" if "r" in each else "-") for each in PERMISSIONS[ap])


@pytest.mark.parametrize("ap", SIMPLIFIED)
def test_the_two_bits_of_ap_where_the_third_is_the_access_flag(ap: int) -> None:
    one = section(SECTION | (ap >> 1) << 15 | (ap & 1) << 11 | 1 << 10 | 1 << 4, SCTLR=M | AFE)
    assert one.rights(0) == SIMPLIFIED[ap]
    small = page(SMALL | (ap >> 1) << 9 | (ap & 1) << 5 | 1 << 4 | 1, SCTLR=M | AFE)
    assert small.rights(0) == SIMPLIFIED[ap]


@pytest.mark.parametrize(
    ("machine", "kind", "user", "refused"),
    [
        (section(SECTION), READ, False, ("NO_ACCESS", "AP", 1)),
        (section(SECTION | 1 << 15), READ, False, ("PERMISSION_RESERVED", "AP", 1)),
        (section(SECTION | 1 << 10), READ, True, ("PRIVILEGED_ONLY", "AP", 1)),
        (section(SECTION | 0b10 << 10), WRITE, True, ("USER_READ_ONLY", "AP", 1)),
        (section(SECTION | 0b10 << 10), WRITE, False, None),
        (section(SECTION | 1 << 15 | FULL), WRITE, False, ("READ_ONLY", "AP", 1)),
        (section(SECTION | 1 << 15 | FULL), WRITE, True, ("READ_ONLY", "AP", 1)),
        (section(SECTION | 1 << 10, SCTLR=M | AFE), READ, True, ("PRIVILEGED_ONLY", "AP", 1)),
        (section(SECTION | 1 << 15 | FULL, SCTLR=M | AFE), WRITE, False, ("READ_ONLY", "AP", 1)),
        (section(SECTION | FULL | 1 << 4), EXECUTE, True, ("EXECUTE_NEVER", "XN", 1)),
        (section(SECTION | 1), EXECUTE, True, ("NO_ACCESS", "AP", 1)),
        (section(SECTION | FULL | 1), EXECUTE, False, ("PRIVILEGED_EXECUTE_NEVER", "PXN", 1)),
        (section(SECTION | FULL | 1), EXECUTE, True, None),
        (page(SMALL | PAGE_FULL, SECOND | 1 << 2 | 1), EXECUTE, False, ("PRIVILEGED_EXECUTE_NEVER", "PXN", 2)),
        (page(SMALL | PAGE_FULL, SECOND | 1 << 2 | 1, ID_MMFR0=3), EXECUTE, False, None),
        (page(SMALL | PAGE_FULL), EXECUTE, False, None),
        (section(SECTION | FULL, SCTLR=M | WXN), EXECUTE, True, ("WRITE_IMPLIES_EXECUTE_NEVER", "WXN", 1)),
        (section(SECTION | FULL, SCTLR=M | WXN), EXECUTE, False, ("WRITE_IMPLIES_EXECUTE_NEVER", "WXN", 1)),
        (section(SECTION | 1 << 15 | FULL, SCTLR=M | WXN), EXECUTE, True, None),
        (section(SECTION | 0b10 << 10, SCTLR=M | WXN), EXECUTE, True, None),
        (section(SECTION | FULL, SCTLR=M | UWXN), EXECUTE, False, ("WRITABLE_BY_USER", "UWXN", 1)),
        (section(SECTION | FULL, SCTLR=M | UWXN), EXECUTE, True, None),
        (section(SECTION | 0b10 << 10, SCTLR=M | UWXN), EXECUTE, False, None),
    ],
)
def test_what_withholds_a_right_is_named(
    machine: Machine, kind: AccessKind, user: bool, refused: tuple[str, str, int] | None
) -> None:
    found = machine.refused(0, kind, user)
    assert why(found) == refused
    assert found is None or found.fault.kind is FaultKind.PERMISSION


def test_a_register_that_decides_is_named_as_its_holder() -> None:
    for control in (WXN, UWXN):
        found = section(SECTION | FULL, SCTLR=M | control).refused(0, EXECUTE)
        assert found is not None
        assert (found.decider.holder, found.decider.value, found.decider.pa) == ("SCTLR", 1, None)
    table = page(SMALL | PAGE_FULL, SECOND | 1 << 2 | 1).refused(0, EXECUTE)
    assert table is not None
    assert (table.decider.holder, table.decider.pa, table.decider.level) == ("descriptor", ROOT0, 1)


@pytest.mark.parametrize(("access", "cause"), [(0, "DOMAIN_NO_ACCESS"), (2, "DOMAIN_RESERVED")])
def test_a_domain_without_access_refuses_at_the_level_of_its_leaf(access: int, cause: str) -> None:
    dacr = access << 2 * 9 | 0x5555_5555 & ~(3 << 2 * 9)
    for machine, level in ((section(SECTION | FULL | 9 << 5, DACR=dacr), 1),
                           (page(SMALL | PAGE_FULL, SECOND | 9 << 5 | 1, DACR=dacr), 2)):  # fmt: skip
        for kind in (READ, WRITE, EXECUTE):
            found = machine.refused(0, kind)
            assert found is not None
            assert (found.fault.kind, found.fault.level) == (FaultKind.DOMAIN, level)
            assert (found.decider.cause.name, found.decider.holder, found.decider.field.name) == (cause, "DACR", "D9")
            assert found.decider.value == access
        assert machine.rights(0) == ("---", "---")


def test_of_a_domains_manager_nothing_is_checked_but_the_access_flag() -> None:
    dacr = 3 << 2 * 9
    entry = SECTION | 9 << 5 | 1 << 4 | 1
    assert section(entry, DACR=dacr, SCTLR=M | WXN | UWXN, cpsr=SUPERVISOR | PAN).rights(0) == ("rwx", "rwx")
    for kind in (READ, WRITE, EXECUTE, AccessKind.INVALIDATION):
        assert section(entry, DACR=dacr, cpsr=SUPERVISOR | PAN).refused(0, kind, user=True) is None
        assert section(entry | FULL, DACR=dacr, cpsr=SUPERVISOR | PAN).refused(0, kind) is None
    assert why(section(entry, DACR=dacr, SCTLR=M | AFE).refused(0)) == ("NOT_ACCESSED", "AF", 1)


def test_a_supersection_is_of_domain_0_and_what_is_not_valid_or_accessed_goes_before_the_domain() -> None:
    assert why(section(SUPERSECTION | FULL | 9 << 5, DACR=1).refused(0)) is None
    assert why(page(0, SECOND | 9 << 5 | 1, DACR=1).refused(0)) == ("INVALID_ENTRY", "TYPE", 2)
    assert why(section(SECTION | 9 << 5, DACR=1, SCTLR=M | AFE).refused(0)) == ("NOT_ACCESSED", "AF", 1)


def test_privileged_access_never_is_about_pl1s_data_in_what_pl0_may_access() -> None:
    def ap(value: int) -> Machine:
        return section(SECTION | value << 10, cpsr=SUPERVISOR | PAN)

    assert why(ap(0b11).refused(0)) == ("PRIVILEGED_ACCESS_NEVER", "PAN", 1)
    assert why(ap(0b10).refused(0, WRITE)) == ("PRIVILEGED_ACCESS_NEVER", "PAN", 1)
    found = ap(0b11).refused(0)
    assert found is not None
    assert (found.decider.holder, found.decider.value) == ("CPSR", 1)
    assert ap(0b11).refused(0, EXECUTE) is None
    assert ap(0b01).refused(0) is None
    assert ap(0b11).refused(0, user=True) is None
    assert ap(0b11).refused(0, unprivileged=True) is None
    assert section(SECTION | FULL).refused(0) is None


def test_an_unprivileged_load_is_checked_as_pl0s() -> None:
    assert why(section(SECTION | 1 << 10).refused(0, unprivileged=True)) == ("PRIVILEGED_ONLY", "AP", 1)


def test_cache_maintenance_needs_no_right_but_one_that_discards() -> None:
    read_only = section(SECTION | 1 << 15 | 1 << 10)
    for kind in (AccessKind.MAINTENANCE, AccessKind.CLEAN_INVALIDATION):
        assert section(SECTION).refused(0, kind) is None
        assert why(read_only.refused(0, kind, user=True)) == ("PRIVILEGED_ONLY", "AP", 1)
    assert why(read_only.refused(0, AccessKind.INVALIDATION)) == ("READ_ONLY", "AP", 1)


@pytest.mark.parametrize("n", range(8))
def test_ttbcr_n_cuts_the_address_space(n: int) -> None:
    ranges = Machine({"TTBCR": n}).regimes()
    if not n:
        assert [(each.short_name, each.first, each.last) for each in ranges] == [("TTBR0", 0, 0xFFFF_FFFF)]
        return
    border = 1 << 32 - n
    assert [(each.short_name, each.first, each.last) for each in ranges] == [
        ("TTBR0", 0, border - 1), ("TTBR1", border, 0xFFFF_FFFF),
    ]  # fmt: skip
    assert [each.levels[0].entries for each in ranges] == [4096 >> n, 4096]


def test_each_range_has_its_root_and_its_own_disabling() -> None:
    registers = {"TTBCR": 1, "TTBR0": ROOT0 | 0x5F, "TTBR1": ROOT1 | 0x3FFF}
    entries = {ROOT0: 0x8010_0000 | SECTION | FULL, ROOT1 + 4 * 0x800: 0x9000_0000 | SECTION | FULL}
    machine = Machine(registers, entries)
    assert leads(machine, 0) == (0x8010_0000, 1 << 20)
    assert leads(machine, 0x8000_0000) == (0x9000_0000, 1 << 20)
    machine.registers["TTBCR"] = 1 | 1 << 5
    assert why(machine.walk(0x8000_0000).refusal) == ("RANGE_DISABLED", "PD1", 1)
    assert leads(machine, 0) == (0x8010_0000, 1 << 20)
    machine.registers |= {"TTBCR": 7, "TTBR0": ROOT0 + 0x80}
    machine.entries[ROOT0 + 0x80] = 0x8020_0000 | SECTION | FULL
    assert leads(machine, 0) == (0x8020_0000, 1 << 20), "of a small root more bits count"


def test_tables_may_be_big_endian() -> None:
    machine = Machine({"SCTLR": M | EE}, {ROOT0: 0x8010_0000 | SECTION | FULL}, order="big")
    assert leads(machine, 0) == (0x8010_0000, 1 << 20)


def test_what_is_not_global_or_not_secure_says_so_where_its_entries_have_it() -> None:
    assert section(SECTION | FULL).attributes(0).is_global
    assert not section(SECTION | FULL | 1 << 17).attributes(0).is_global
    assert not page(SMALL | PAGE_FULL | 1 << 11).attributes(0).is_global
    assert section(SECTION | FULL | 1 << 19).attributes(0).non_secure
    assert not section(SECTION | FULL).attributes(0).non_secure
    assert page(SMALL | PAGE_FULL, SECOND | 1 << 3 | 1).attributes(0).non_secure
    assert not page(SMALL | PAGE_FULL).attributes(0).non_secure
    assert not section(SECTION, SCTLR=M | AFE).attributes(0).accessed
    assert section(SECTION).attributes(0).accessed


# TEX, C, B without remap, S=0: "Memory region attributes".
MEMORY = {
    0b00000: ("Device-nGnRnE", "Outer Shareable"), 0b00001: ("Device-nGnRE", "Outer Shareable"),
    0b00010: ("Normal Write-Through R-allocate", "Non-shareable"),
    0b00011: ("Normal Write-Back R-allocate", "Non-shareable"),
    0b00100: ("Normal Non-cacheable", "Outer Shareable"), 0b00101: ("reserved", "Non-shareable"),
    0b00110: ("IMPLEMENTATION DEFINED", "Non-shareable"),
    0b00111: ("Normal Write-Back RW-allocate", "Non-shareable"),
    0b01000: ("Device-nGnRE", "Outer Shareable"), 0b01001: ("reserved", "Non-shareable"),
    0b01100: ("reserved", "Non-shareable"),
    0b10000: ("Normal Non-cacheable", "Outer Shareable"),
    0b10101: ("Normal Write-Back RW-allocate", "Non-shareable"),
    0b10110: ("Normal inner Write-Through R-allocate, outer Write-Back RW-allocate", "Non-shareable"),
    0b11011: ("Normal inner Write-Back R-allocate, outer Write-Through R-allocate", "Non-shareable"),
    0b11100: ("Normal inner Non-cacheable, outer Write-Back R-allocate", "Non-shareable"),
}  # fmt: skip


@pytest.mark.parametrize("chosen", MEMORY)
def test_the_memory_types_without_remap(chosen: int) -> None:
    tex, cb = chosen >> 2, chosen & 3
    for machine in (
        section(SECTION | tex << 12 | cb << 2),
        page(SMALL | tex << 6 | cb << 2),
        page(LARGE | tex << 12 | cb << 2),
    ):
        found = machine.attributes(0)
        assert (found.memory, found.shareability) == MEMORY[chosen]
        assert found.device is found.memory.startswith("Device")
        assert found.unshared is (found.memory.startswith("Normal") and found.shareability == "Non-shareable")
    shared = section(SECTION | tex << 12 | cb << 2 | 1 << 16).attributes(0)
    assert (shared.memory, shared.shareability) == (MEMORY[chosen][0], "Outer Shareable")
    assert not shared.unshared


def test_under_remap_prrr_and_nmrr_say_what_memory_is() -> None:
    """Type 5, by TEX[0], C, B = 1, 0, 1: Normal; outer Write-Through, inner Write-Back without write-allocation."""
    prrr, nmrr = 2 << 2 * 5, 2 << 2 * 5 + 16 | 3 << 2 * 5

    def memory(bits: int, **registers: int) -> tuple[str, str, bool]:
        given = {"SCTLR": M | TRE, "MAIR0": prrr, "MAIR1": nmrr, **registers}
        found = section(SECTION | 0b001 << 12 | 0b01 << 2 | bits, **given).attributes(0)
        assert page(SMALL | 0b001 << 6 | 0b01 << 2 | (bits >> 6), **given).attributes(0).memory == found.memory
        return found.memory, found.shareability, found.device

    normal = "Normal inner Write-Back R-allocate, outer Write-Through R-allocate"
    assert memory(0) == (normal, "Non-shareable", False)
    assert memory(0b110 << 12) == (normal, "Non-shareable", False), "TEX[2:1] are software's"
    assert memory(1 << 16) == (normal, "Non-shareable", False)
    assert memory(1 << 16, MAIR0=prrr | 1 << 19) == (normal, "Outer Shareable", False)
    assert memory(0, MAIR0=prrr | 1 << 19) == (normal, "Non-shareable", False)
    assert memory(0, MAIR0=prrr | 1 << 18) == (normal, "Outer Shareable", False)
    assert memory(1 << 16, MAIR0=prrr | 1 << 19 | 1 << 29) == (normal, "Inner Shareable", False)
    assert memory(0, MAIR1=0) == ("Normal Non-cacheable", "Outer Shareable", False)
    assert memory(0, MAIR0=1 << 2 * 5 | 1 << 29) == ("Device-nGnRE", "Outer Shareable", True)
    assert memory(0, MAIR0=0) == ("Device-nGnRnE", "Outer Shareable", True)
    assert memory(0, MAIR0=3 << 2 * 5) == ("reserved", "Non-shareable", False)


def test_without_prrr_and_nmrr_memory_is_not_guessed() -> None:
    machine = section(SECTION | 0b101 << 12 | 1 << 16, SCTLR=M | TRE)
    del machine.registers["MAIR1"]
    found = machine.attributes(0)
    assert (found.memory, found.shareability, found.device) == ("as PRRR and NMRR have it", "Outer Shareable", False)
    (regime,) = machine.regimes()
    assert "PRRR, NMRR: unknown, so are memory types" in regime.assumed


def test_tex0_c_and_b_are_the_number_of_a_remapped_type() -> None:
    """Of all but the one that is IMPLEMENTATION DEFINED."""
    for number in (0, 1, 2, 3, 4, 5, 7):
        machine = section(SECTION | (number >> 2) << 12 | (number & 3) << 2, SCTLR=M | TRE, MAIR0=1 << 2 * number)
        assert machine.attributes(0).memory == "Device-nGnRE"
        machine.registers["MAIR0"] = 0x5555 & ~(3 << 2 * number)
        assert machine.attributes(0).memory == "Device-nGnRnE"


def test_every_memory_type_that_may_be_named_is_listed() -> None:
    by_attribute = {memory_type(attr) for attr in range(256)}
    unknown = {f"MAIR Attr{index}" for index in range(8)} | {"as PRRR and NMRR have it"}
    own = by_attribute | unknown | {"IMPLEMENTATION DEFINED", "reserved"}
    assert own == memory_types.NAMES
    assert own | ARCHITECTURES["aarch64"].memory_types == AARCH32.memory_types, "and those of a second stage"
