"""Two stages together: who refuses, which code that is, and what is kept of it.

"Two-Stage Address Translation", "Guest Physical Address Translation", "Guest-Page Faults", menvcfg and henvcfg.
"""

from __future__ import annotations

import pytest

from gdbtools.addresses import IPA
from gdbtools.arch.walk import walk
from tests.arch.riscv.machine import AD, ADUE, PBMTE, RAM, A, D, R, U, V, W, X, guest

CODES = {"read": (13, 21), "write": (15, 23), "fetch": (12, 20)}
ALL = V | R | W | X | U | AD


@pytest.mark.parametrize("kind", CODES)
def test_a_refused_table_fetch_is_a_guest_page_fault_of_the_original_access(kind: str) -> None:
    hart = guest(V | R | W | X | AD, tables=V | X | U | AD)
    found, refused, _ = hart.ask(0, kind, "vs")
    assert hart.outcome(0, kind, "vs") == ("fault", CODES[kind][1])
    assert refused is not None
    assert (refused.fault.stage, refused.fault.s1ptw, refused.fault.level) == (2, True, 0)
    # The evidence: which entry it was for, and the walk that refused it.
    assert found.fetch is not None
    assert (found.fetch.level.number, found.fetch.via.input) == (2, 0)
    assert found.fetch.via.steps[-1].pa == RAM + 0x5000


@pytest.mark.parametrize("kind", CODES)
def test_the_first_stage_refuses_before_the_second_is_asked(kind: str) -> None:
    hart = guest(0, guest_flags=0, tables=ALL)
    assert hart.outcome(0, kind, "vs") == ("fault", CODES[kind][0])


# menvcfg.ADUE, henvcfg.ADUE: who sets A and D of the VS-stage's entries, and of the G-stage's.
@pytest.mark.parametrize(("machine", "hypervisor", "first", "second"), [
    (0, 0, 15, 23), (ADUE, 0, 15, None), (0, ADUE, 15, 23), (ADUE, ADUE, None, None),
])  # fmt: skip
def test_who_sets_dirty_at_each_stage(machine: int, hypervisor: int, first: int | None, second: int | None) -> None:
    environments = {"menvcfg": PBMTE | machine, "henvcfg": PBMTE | hypervisor}
    mapped = ("mapped", RAM + 0x20000)
    clean = guest(V | R | W | A, guest_flags=ALL, **environments)
    assert clean.outcome(0, "write", "vs") == (mapped if first is None else ("fault", first))
    below = guest(V | R | W | AD, guest_flags=ALL & ~D, tables=ALL, **environments)
    assert below.outcome(0, "write", "vs") == (mapped if second is None else ("fault", second))


def test_an_update_of_an_entry_is_a_write_to_where_the_second_stage_has_it() -> None:
    environments = {"menvcfg": PBMTE | ADUE, "henvcfg": PBMTE | ADUE}
    read_only = guest(V | R | W, tables=V | R | U | AD, **environments)
    assert read_only.outcome(0, "read", "vs") == ("fault", 21)
    _, refused, _ = read_only.ask(0, "read", "vs")
    assert refused is not None
    assert (refused.fault.s1ptw, refused.decider.cause.name) == (True, "NOT_WRITABLE")
    # Where nothing has to be set nothing is written.
    assert guest(V | R | W | AD, tables=V | R | U | AD, **environments).outcome(0, "write", "vs")[0] == "mapped"


@pytest.mark.parametrize("table", [0, 1, 2])
def test_reading_an_entry_needs_accessed_at_the_second_stage(table: int) -> None:
    hart = guest(V | R | AD, tables=ALL)
    hart.memory[RAM + 0x5000 + 8 * table] &= ~A
    assert hart.outcome(0, "fetch", "vs") == ("fault", 20)
    # Dirty is of writes, and this is none.
    hart = guest(V | R | X | AD, tables=ALL & ~D)
    assert hart.outcome(0, "fetch", "vs") == ("mapped", RAM + 0x20000)


# PBMT of the VS-stage and of the G-stage: what both come to.
@pytest.mark.parametrize(("first", "second", "memory"), [
    (0, 0, "PMA"), (0, 1, "NC"), (0, 2, "IO"), (1, 0, "NC"), (1, 2, "NC"), (2, 0, "IO"), (2, 1, "IO"),
])  # fmt: skip
def test_the_first_stages_memory_type_counts_where_it_says_one(first: int, second: int, memory: str) -> None:
    found, refused, _ = guest(V | R | AD | first << 61, ALL | second << 61, ALL).ask(0, "read", "vs")
    assert refused is None
    assert found.attributes is not None
    assert (found.attributes.memory, found.attributes.device) == (memory, memory == "IO")


def test_what_leads_to_no_page_has_no_attributes() -> None:
    hart = guest(0, ALL, ALL)
    found = hart.ask(0, "read", "vs")[0]
    assert found.steps
    assert found.attributes is None
    assert hart.ask(1 << 40, "read", "vs")[0].attributes is None
    second = found.regime.below
    assert second is not None
    last = walk(second, IPA(0x9000), hart.read)
    assert last.steps
    assert last.attributes is None
    assert walk(second, IPA(1 << 41), hart.read).attributes is None


def test_what_the_second_stage_does_not_map_is_shown_as_the_first_grants_it() -> None:
    found, refused, _ = guest(V | R | W | U | AD | 1 << 61, guest_flags=0, tables=ALL).ask(0, "read", "vu")
    assert refused is not None
    assert refused.fault.stage == 2
    assert found.attributes is not None
    assert [str(each) for each in found.attributes.rights.values()] == ["rw-", "rw-"]
    assert found.attributes.memory == "NC"


def test_the_second_stage_alone_shows_users_rights_and_is_global() -> None:
    hart = guest(V | R | AD, V | R | W | U | A, ALL)
    second = hart.ask(0, "read", "vs")[0].regime.below
    assert second is not None
    shown = walk(second, IPA(0x3000), hart.read).attributes
    assert shown is not None
    assert {str(each) for each in shown.rights.values()} == {"rw-"}
    assert (shown.accessed, shown.dirty, shown.is_global) == (True, False, True)


@pytest.mark.parametrize(("machine", "hypervisor", "first", "second"), [
    (0, 0, False, False), (PBMTE, 0, False, True), (0, PBMTE, False, False), (PBMTE, PBMTE, True, True),
])  # fmt: skip
def test_memory_types_are_enabled_at_each_stage(machine: int, hypervisor: int, first: bool, second: bool) -> None:
    environments = {"menvcfg": machine, "henvcfg": hypervisor}
    nc = 1 << 61
    assert (guest(V | R | AD | nc, ALL, **environments).outcome(0, "read", "vs")[0] == "mapped") is first
    assert (guest(V | R | AD, ALL | nc, ALL, **environments).outcome(0, "read", "vs")[0] == "mapped") is second


def test_without_a_g_stage_guest_physical_addresses_are_physical_ones() -> None:
    hart = guest(V | R | AD, hgatp=0, vsatp=8 << 60 | RAM + 0x10000 >> 12)
    hart.put(RAM + 0x10000, 0, (RAM + 0x11000 >> 12) << 10 | V)
    hart.put(RAM + 0x11000, 0, (RAM + 0x12000 >> 12) << 10 | V)
    assert hart.outcome(0x10, "read", "vs") == ("mapped", 0x3010)


@pytest.mark.parametrize(("first", "second", "shown"), [
    (R | W | X, R | W | X, ("---", "rwx")), (R | W | X, R, ("---", "r--")), (R | W | U, R | W | X, ("rw-", "rw-")),
    (R | X | U, R | X, ("r-x", "r--")), (R | X, R | W, ("---", "r--")),
])  # fmt: skip
def test_what_is_shown_of_two_leaves_is_what_both_grant(first: int, second: int, shown: tuple[str, str]) -> None:
    found, _, _ = guest(V | AD | first, V | U | AD | second, ALL).ask(0, "read", "vs")
    assert found.attributes is not None
    assert tuple(str(each) for _, each in sorted(found.attributes.rights.items())) == shown
    assert found.final is not None
    assert found.final.attributes is not None
    own = {str(each) for each in found.final.attributes.rights.values()}
    assert own == {"".join(c if second & bit else "-" for c, bit in (("r", R), ("w", W), ("x", X)))}
