"""The permission check, against the tables of DDI 0487 "Memory access control"; tests/guests asks the hardware."""

from __future__ import annotations

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.causes import VMSACause
from gdbtools.arch.aarch64.registers.translation import TCR_EL1
from gdbtools.arch.aarch64.translation.regimes import regime_for
from gdbtools.arch.model import Access, AccessKind, Fault, FaultKind, Refusal
from gdbtools.arch.walk import walk
from tests.tables import EL1H, Tables, reader

ARM = ARCHITECTURES["aarch64"]
VA = 0x1000
PAN = 1 << 22
WXN = 1 << 19


def refusal_of(kind: AccessKind, el: int, tables: dict[str, int] | None = None, pstate: int = 0, sctlr: int = 0,
               tcr: dict[str, int] | None = None, mmfr1: int = 1 << 12, **leaf: int) -> Refusal | None:  # fmt: skip
    t = Tables()
    t.map(VA, 0x4567_8000, tables=tables, **leaf)
    values = t.registers(SCTLR_EL1=1 | sctlr, ID_AA64MMFR1_EL1=mmfr1)
    values["TCR_EL1"] = int(TCR_EL1(values["TCR_EL1"]).with_(**(tcr or {})))
    found = walk(regime_for(reader(values), VA), VA, t.read)
    return ARM.check(found, Access(kind, el), EL1H | pstate)


# "Data accesses": AP[2:1] against (EL1 read, EL1 write, EL0 read, EL0 write).
@pytest.mark.parametrize(
    ("ap", "allowed"),
    [
        (0b00, (True, True, False, False)),
        (0b01, (True, True, True, True)),
        (0b10, (True, False, False, False)),
        (0b11, (True, False, True, False)),
    ],
)
def test_ap_grants_what_the_table_says(ap: int, allowed: tuple[bool, ...]) -> None:
    asked = [(el, kind) for el in (1, 0) for kind in (AccessKind.READ, AccessKind.WRITE)]
    assert tuple(refusal_of(kind, el, AP=ap) is None for el, kind in asked) == allowed


def test_a_permission_fault_is_of_the_leafs_level_even_when_a_table_decided() -> None:
    refused = refusal_of(AccessKind.WRITE, 1, tables={"APTable": 0b10})
    assert refused is not None
    assert refused.fault == Fault(FaultKind.PERMISSION, 1, 3)
    assert (refused.decider.field.name, refused.decider.level) == ("APTable", 0)


@pytest.mark.parametrize(
    ("tables", "kind", "el"),
    [
        ({"APTable": 0b01}, AccessKind.READ, 0),
        ({"APTable": 0b10}, AccessKind.WRITE, 1),
        ({"UXNTable": 1}, AccessKind.EXECUTE, 0),
        ({"PXNTable": 1}, AccessKind.EXECUTE, 1),
    ],
)
def test_tables_limit_what_is_below_unless_hpd_says_not(tables: dict[str, int], kind: AccessKind, el: int) -> None:
    leaf = {"AP": 0b11} if kind is AccessKind.EXECUTE else {"AP": 0b01}
    assert refusal_of(kind, el, **leaf) is None
    assert refusal_of(kind, el, tables=tables, **leaf) is not None
    assert refusal_of(kind, el, tables=tables, tcr={"HPD0": 1}, **leaf) is None
    # HPD0 is RES0 where FEAT_HPDS is not implemented.
    assert refusal_of(kind, el, tables=tables, tcr={"HPD0": 1}, mmfr1=0, **leaf) is not None


def test_execute_never_bits_are_of_their_own_level() -> None:
    assert refusal_of(AccessKind.EXECUTE, 1, UXN=1, AP=0b10) is None
    assert refusal_of(AccessKind.EXECUTE, 0, UXN=1, AP=0b11) is not None
    assert refusal_of(AccessKind.EXECUTE, 0, PXN=1, AP=0b11) is None
    assert refusal_of(AccessKind.EXECUTE, 1, PXN=1, AP=0b11) is not None


def test_what_el0_may_write_el1_must_not_execute() -> None:
    refused = refusal_of(AccessKind.EXECUTE, 1, AP=0b01)
    assert refused is not None
    assert refused.decider.cause is VMSACause.WRITABLE_BY_USER
    assert refusal_of(AccessKind.EXECUTE, 0, AP=0b01) is None


def test_el0_may_execute_what_it_may_not_read() -> None:
    assert refusal_of(AccessKind.EXECUTE, 0, AP=0b00) is None


def test_wxn_makes_what_is_writable_execute_never() -> None:
    refused = refusal_of(AccessKind.EXECUTE, 1, sctlr=WXN, AP=0b00)
    assert refused is not None
    assert (refused.decider.holder, refused.decider.field.name) == ("SCTLR_EL1", "WXN")
    assert refusal_of(AccessKind.EXECUTE, 1, sctlr=WXN, AP=0b10) is None
    assert refusal_of(AccessKind.EXECUTE, 0, sctlr=WXN, AP=0b01) is not None
    assert refusal_of(AccessKind.EXECUTE, 0, sctlr=WXN, AP=0b00) is None


def test_pan_refuses_privileged_data_accesses_to_what_el0_may_access() -> None:
    for kind in (AccessKind.READ, AccessKind.WRITE):
        refused = refusal_of(kind, 1, pstate=PAN, AP=0b01)
        assert refused is not None
        assert refused.decider.cause is VMSACause.PRIVILEGED_ACCESS_NEVER
        assert refusal_of(kind, 1, pstate=PAN, AP=0b00) is None
    assert refusal_of(AccessKind.EXECUTE, 1, pstate=PAN, AP=0b11) is None
    # APTable[0] takes EL0's access away, and with it what PAN forbids.
    assert refusal_of(AccessKind.READ, 1, pstate=PAN, tables={"APTable": 0b01}, AP=0b01) is None


def test_cache_maintenance_needs_no_permission_at_el1_and_reading_at_el0() -> None:
    assert refusal_of(AccessKind.MAINTENANCE, 1, AP=0b10) is None
    assert refusal_of(AccessKind.MAINTENANCE, 0, AP=0b11) is None
    assert refusal_of(AccessKind.MAINTENANCE, 0, AP=0b10) is not None


def test_a_cache_invalidation_needs_the_right_to_write() -> None:
    assert refusal_of(AccessKind.INVALIDATION, 1, AP=0b00) is None
    assert refusal_of(AccessKind.INVALIDATION, 1, pstate=PAN, AP=0b01) is None, "PAN is not about maintenance"
    refused = refusal_of(AccessKind.INVALIDATION, 1, AP=0b10)
    assert refused is not None
    assert refused.decider.cause is VMSACause.READ_ONLY


def test_dbm_makes_a_read_only_leaf_writable_only_where_hardware_manages_dirty_state() -> None:
    managed = {"HA": 1, "HD": 1}
    assert refusal_of(AccessKind.WRITE, 1, AP=0b10, DBM=1) is not None
    assert refusal_of(AccessKind.WRITE, 1, AP=0b10, DBM=1, tcr=managed, mmfr1=2) is None
    assert refusal_of(AccessKind.WRITE, 1, AP=0b10, DBM=1, tcr=managed, mmfr1=1) is not None


def test_dirty_at_stage_1_is_dbm_with_ap2_clear() -> None:
    t = Tables()
    for page, (ap, dbm) in enumerate(((0b10, 1), (0b00, 1), (0b00, 0))):
        t.map(page << 12, 0x4567_8000, AP=ap, DBM=dbm)
    regime = regime_for(reader(t.registers()), 0)
    said = [walk(regime, page << 12, t.read).attributes for page in range(3)]
    assert [each.dirty if each else "no leaf" for each in said] == [False, True, None]


def test_the_access_flag_comes_before_permissions() -> None:
    refused = refusal_of(AccessKind.WRITE, 0, AP=0b10, AF=0)
    assert refused is not None
    assert refused.fault.kind is FaultKind.ACCESS_FLAG


def test_e0pd_refuses_el0_at_level_0_whatever_the_tables_hold() -> None:
    t = Tables()
    t.map(VA, 0x4567_8000, AP=0b01)
    values = t.registers(ID_AA64MMFR2_EL1=1 << 60)
    values["TCR_EL1"] = int(TCR_EL1(values["TCR_EL1"]).with_(E0PD0=1))
    found = walk(regime_for(reader(values), VA), VA, t.read)
    refused = ARM.check(found, Access(AccessKind.READ, 0), EL1H)
    assert refused is not None
    assert refused.fault == Fault(FaultKind.TRANSLATION, 1, 0)
    assert ARM.check(found, Access(AccessKind.READ, 1), EL1H) is None


def test_epan_also_protects_what_el0_may_only_execute() -> None:
    epan, pan3 = 1 << 57, 3 << 20
    assert refusal_of(AccessKind.READ, 1, pstate=PAN, sctlr=epan, mmfr1=pan3, AP=0b10) is not None
    assert refusal_of(AccessKind.READ, 1, pstate=PAN, sctlr=epan, mmfr1=pan3, AP=0b10, UXN=1) is None
    assert refusal_of(AccessKind.READ, 1, pstate=PAN, sctlr=epan, mmfr1=2 << 20, AP=0b10) is None
