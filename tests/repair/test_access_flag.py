"""The repair: what is set, what is not, and what is refused."""

from __future__ import annotations

import pytest

from gdbtools.analysis.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.registers import TCR_EL1
from gdbtools.arch.architecture import DirtyConvention
from gdbtools.errors import Refused, Unavailable
from gdbtools.repair.access_flag import plan
from gdbtools.repair.borrow import find_return
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
VA = 0x1000
READ, WRITE, MAINTENANCE, FETCH = 0x9600_000B, 0x9600_004B, 0x9600_014B, 0x8600_000B
ERET = (0xD69F03E0).to_bytes(4, "little")
AF, BIT55, AP2 = 1 << 10, 1 << 55, 1 << 7


def diagnosed(t: Tables, esr: int, **changes: int) -> Diagnosis:
    return diagnose(ARM, reader(t.registers(ESR_EL1=esr, FAR_EL1=VA, **changes)), t.read)


def cleared(**leaf: int) -> tuple[Tables, int]:
    t = Tables()
    return t, t.map(VA, 0x4567_8000, AF=0, **leaf)


def after(esr: int, convention: DirtyConvention, **leaf: int) -> int:
    """Give which bits the repair flips."""
    t, _ = cleared(**leaf)
    change = plan(diagnosed(t, esr), ARM, convention).change
    return int(change.before) ^ int(change.after)


@pytest.mark.parametrize("esr", [READ, WRITE, MAINTENANCE, FETCH])
def test_without_a_convention_only_the_access_flag_is_set(esr: int) -> None:
    assert after(esr, DirtyConvention.NONE) == AF


def test_a_software_dirty_bit_is_set_on_a_write_and_on_nothing_else() -> None:
    assert after(WRITE, DirtyConvention.BIT55) == AF | BIT55
    for esr in (READ, FETCH, MAINTENANCE):
        assert after(esr, DirtyConvention.BIT55) == AF


def test_the_dbm_rule_clears_ap2_where_dbm_is_set() -> None:
    assert after(WRITE, DirtyConvention.DBM, DBM=1, AP=0b10) == AF | AP2
    assert after(WRITE, DirtyConvention.DBM, DBM=0, AP=0b10) == AF
    assert after(READ, DirtyConvention.DBM, DBM=1, AP=0b10) == AF


def test_applying_writes_and_undoing_restores() -> None:
    t, at = cleared()
    before = t.memory[at]
    change = plan(diagnosed(t, READ), ARM, DirtyConvention.NONE).change
    change.apply(t)
    assert t.memory[at] == before | AF
    change.inverse.apply(t)
    assert t.memory[at] == before


def test_a_descriptor_that_changed_meanwhile_is_left_alone() -> None:
    t, at = cleared()
    change = plan(diagnosed(t, READ), ARM, DirtyConvention.NONE).change
    t.memory[at] ^= 1 << 58
    now = t.memory[at]
    with pytest.raises(Refused, match="changed since"):
        change.apply(t)
    assert t.memory[at] == now


def test_a_write_that_does_not_take_is_noticed() -> None:
    class Rom(Tables):
        def write(self, pa: int, data: bytes) -> None:
            pass

    t = Rom()
    t.map(VA, 0x4567_8000, AF=0)
    with pytest.raises(Refused, match="did not take"):
        plan(diagnosed(t, READ), ARM, DirtyConvention.NONE).change.apply(t)


def test_anything_but_an_access_flag_fault_is_refused() -> None:
    t = Tables()
    at = t.map(VA, 0x4567_8000)
    with pytest.raises(Refused, match="access flag set"):
        plan(diagnosed(t, READ), ARM, DirtyConvention.NONE)
    t.memory[at] = 0
    with pytest.raises(Refused, match="translation fault"):
        plan(diagnosed(t, 0x9600_0007), ARM, DirtyConvention.NONE)
    with pytest.raises(Refused, match="SVC"):
        plan(diagnosed(t, 0x5600_0000), ARM, DirtyConvention.NONE)


def test_a_syndrome_of_another_fault_is_refused_although_the_flag_is_clear() -> None:
    t, _ = cleared()
    with pytest.raises(Refused, match="syndrome"):
        plan(diagnosed(t, 0x9600_000F), ARM, DirtyConvention.NONE)


@pytest.mark.parametrize(("hafdbs", "verdict"), [(0, Verdict.TABLES_AGREE), (2, Verdict.LEFT_TO_HARDWARE)])
def test_hardware_that_was_told_to_set_it_is_warned_of(hafdbs: int, verdict: Verdict) -> None:
    t, at = cleared()
    told = {"TCR_EL1": int(TCR_EL1(t.registers()["TCR_EL1"]).with_(HA=1)), "ID_AA64MMFR1_EL1": hafdbs}
    found = diagnosed(t, READ, **told)
    assert found.verdict is verdict
    planned = plan(found, ARM, DirtyConvention.NONE)
    assert planned.hardware_should
    planned.change.apply(t)
    assert t.memory[at] & AF
    assert not plan(diagnosed(cleared()[0], READ), ARM, DirtyConvention.NONE).hardware_should


@pytest.mark.parametrize(
    ("esr", "leaf", "verdict"),
    [
        (READ, {"AF": 0}, Verdict.TABLES_AGREE),
        (READ, {}, Verdict.TABLES_PERMIT),
        (0x9600_004F, {"AP": 0b10}, Verdict.TABLES_AGREE),
        (0x9600_004F, {}, Verdict.TABLES_PERMIT),
        (READ, {"VALID_": 0}, Verdict.TABLES_DIFFER),
        (0x9600_0021, {}, Verdict.NOT_THE_TABLES),
        (0x5600_0000, {}, Verdict.NOT_THE_TABLES),
    ],
)
def test_the_verdict_checks_presence_and_permission(esr: int, leaf: dict[str, int], verdict: Verdict) -> None:
    t = Tables()
    invalid = leaf.pop("VALID_", 1) == 0
    at = t.map(VA, 0x4567_8000, **leaf)
    if invalid:
        t.memory[at] = 0
    assert diagnosed(t, esr).verdict is verdict


def test_at_el2_the_registers_of_el1_are_not_taken_for_the_last_exception() -> None:
    t, _ = cleared()
    with pytest.raises(Unavailable, match="EL2"):
        diagnosed(t, READ, cpsr=0b1001)


def test_an_eret_is_found_in_the_vectors_page_and_needs_no_symbol() -> None:
    t = Tables()
    t.map(0x8000_0000, 0x4800_0000, AP=0b10)
    t.write(0x4800_0A00, ERET.ljust(8, b"\0"))
    assert find_return(ARM, reader(t.registers()), t.read) == 0x8000_0A00


def test_an_eret_where_el1_may_not_execute_is_not_borrowed() -> None:
    t = Tables()
    t.map(0x8000_0000, 0x4800_0000, AP=0b10, PXN=1)
    t.write(0x4800_0A00, ERET.ljust(8, b"\0"))
    with pytest.raises(Refused, match="no exception return"):
        find_return(ARM, reader(t.registers()), t.read)


def test_an_eret_far_away_is_found_at_its_nearest_address() -> None:
    # Both halves have the same tables here, so the page is mapped twice.
    t = Tables()
    t.map(0x8000_0000, 0x4800_0000, AP=0b10)
    t.map(0xFFFF_0000_1234_5000, 0x4801_0000, AP=0b10)
    t.write(0x4801_0008, b"\0\0\0\0" + ERET)
    assert find_return(ARM, reader(t.registers()), t.read) == 0x1234_500C


def test_unaligned_bytes_that_look_like_an_eret_are_none() -> None:
    t = Tables()
    t.map(0x8000_0000, 0x4800_0000, AP=0b10)
    t.write(0x4800_0A00, b"\0\0" + ERET + b"\0\0")
    with pytest.raises(Refused):
        find_return(ARM, reader(t.registers()), t.read)
