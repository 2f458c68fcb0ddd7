"""The repair: what is set, what is not, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64.registers.translation import TCR_EL1
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.model import FaultKind
from gdbtools.errors import Refused, Unavailable
from gdbtools.repair.access_flag import plan, plan_return
from gdbtools.repair.find_gadget import find_return
from tests.arch.aarch64.truth import machine as truth
from tests.arch.aarch64.truth.machine import Memory
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
VA = 0x1000
READ, WRITE, MAINTENANCE, FETCH = 0x9600_000B, 0x9600_004B, 0x9600_014B, 0x8600_000B
ERET = (0xD69F03E0).to_bytes(4, "little")
AF, BIT55, AP2 = 1 << 10, 1 << 55, 1 << 7


@dataclass(frozen=True)
class OfTables:
    """Tables as physical memory that nothing is written to."""

    tables: Memory
    description = "tables in a test"

    def read(self, pa: int, size_bytes: int) -> bytes:
        return self.tables.read(pa, size_bytes)

    def write(self, pa: int, data: bytes) -> None:
        raise AssertionError("a plan writes nothing")


def diagnosed(t: Tables, esr: int, **changes: int) -> Diagnosis:
    return diagnose(ARM, reader(t.registers(ESR_EL1=esr, FAR_EL1=VA, **changes)), t.read)


def cleared(**leaf: int) -> tuple[Tables, int]:
    t = Tables()
    return t, t.map(VA, 0x4567_8000, AF=0, **leaf)


def after(esr: int, convention: DirtyConvention, **leaf: int) -> int:
    """Return which bits the repair flips."""
    t, _ = cleared(**leaf)
    change = plan(diagnosed(t, esr), ARM, convention, t).change
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
    change = plan(diagnosed(t, READ), ARM, DirtyConvention.NONE, t).change
    change.apply(t)
    assert t.memory[at] == before | AF
    change.inverse.apply(t)
    assert t.memory[at] == before


def test_a_descriptor_that_changed_meanwhile_is_left_alone() -> None:
    t, at = cleared()
    change = plan(diagnosed(t, READ), ARM, DirtyConvention.NONE, t).change
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
        plan(diagnosed(t, READ), ARM, DirtyConvention.NONE, t).change.apply(t)


def test_anything_but_an_access_flag_fault_is_refused() -> None:
    t = Tables()
    at = t.map(VA, 0x4567_8000)
    with pytest.raises(Refused, match="access flag set"):
        plan(diagnosed(t, READ), ARM, DirtyConvention.NONE, t)
    t.memory[at] = 0
    with pytest.raises(Refused, match="translation fault"):
        plan(diagnosed(t, 0x9600_0007), ARM, DirtyConvention.NONE, t)
    with pytest.raises(Refused, match="SVC"):
        plan(diagnosed(t, 0x5600_0000), ARM, DirtyConvention.NONE, t)


def test_where_no_exception_was_taken_there_is_none_to_repair() -> None:
    t, _ = cleared()
    with pytest.raises(Refused, match="no exception has been taken since reset"):
        registers = t.registers(ESR_EL1=0, FAR_EL1=0, ELR_EL1=0, SPSR_EL1=0)
        plan(diagnose(ARM, reader(registers), t.read), ARM, DirtyConvention.NONE, t)


def test_a_syndrome_of_another_fault_is_refused_although_the_flag_is_clear() -> None:
    t, _ = cleared()
    with pytest.raises(Refused, match="syndrome"):
        plan(diagnosed(t, 0x9600_000F), ARM, DirtyConvention.NONE, t)


@pytest.mark.parametrize(("hafdbs", "verdict"), [(0, Verdict.TABLES_AGREE), (2, Verdict.LEFT_TO_HARDWARE)])
def test_hardware_that_was_told_to_set_it_is_warned_of(hafdbs: int, verdict: Verdict) -> None:
    t, at = cleared()
    told = {"TCR_EL1": int(TCR_EL1(t.registers()["TCR_EL1"]).with_(HA=1)), "ID_AA64MMFR1_EL1": hafdbs}
    found = diagnosed(t, READ, **told)
    assert found.verdict is verdict
    planned = plan(found, ARM, DirtyConvention.NONE, t)
    assert planned.hardware_should
    planned.change.apply(t)
    assert t.memory[at] & AF
    assert not plan(diagnosed(cleared()[0], READ), ARM, DirtyConvention.NONE, cleared()[0]).hardware_should


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


def test_a_write_to_a_read_only_leaf_is_not_recorded_as_one() -> None:
    # Copy on write: the access flag first, and then the write is refused.
    assert after(WRITE, DirtyConvention.BIT55, AP=0b10) == AF
    assert after(WRITE, DirtyConvention.BIT55, AP=0b00) == AF | BIT55
    # Clean by hardware's rule, and no hardware that records the write: it faults once more.
    assert after(WRITE, DirtyConvention.BIT55, AP=0b10, DBM=1) == AF
    t, _ = cleared(AP=0b10)
    planned = plan(diagnosed(t, WRITE), ARM, DirtyConvention.BIT55, t)
    assert planned.refused_next is not None
    assert planned.refused_next.fault.kind is FaultKind.PERMISSION


@pytest.mark.parametrize("esr", [READ, WRITE])
def test_once_its_flag_is_set_nothing_is_left_but_to_return_whatever_refuses_the_access_next(esr: int) -> None:
    t, leaf = cleared(AP=0b10)
    assert plan_return(diagnosed(t, esr), ARM, DirtyConvention.NONE) is None
    t.memory[leaf] |= AF
    planned = plan_return(diagnosed(t, esr), ARM, DirtyConvention.NONE)
    assert planned is not None
    assert not planned.writes
    assert (planned.refused_next is not None) == (esr == WRITE)
    t.memory[leaf] = 0
    assert plan_return(diagnosed(t, esr), ARM, DirtyConvention.NONE) is None, "there is no flag"


@pytest.mark.parametrize(("s2ap", "recorded"), [(0b11, BIT55), (0b01, 0)])
def test_a_write_that_stage_2_refuses_next_is_not_recorded_as_one(s2ap: int, recorded: int) -> None:
    memory = Memory()
    memory.stage1(0, output=truth.IPA)
    memory.words[memory.leaf_at(truth.S1_ROOT, truth.VA)] &= ~AF
    memory.identity(0b11 << 6 | 0b1111 << 2)
    memory.stage2(s2ap << 6 | 0b1111 << 2)
    taken = {"ESR_EL1": WRITE, "FAR_EL1": truth.VA, "ELR_EL1": 0, "SPSR_EL1": truth.EL1H, "VBAR_EL1": 0}
    registers = reader(truth.guest(cpsr=truth.EL1H, pc=0x200, **taken))
    found = diagnose(ARM, registers, memory.read)
    assert found.verdict is Verdict.TABLES_AGREE
    change = plan(found, ARM, DirtyConvention.BIT55, OfTables(memory)).change
    assert int(change.before) ^ int(change.after) == AF | recorded


def test_a_flag_of_the_second_stage_is_set_where_it_is_clear() -> None:
    """The first stage's own flag is set: that of the entry which decides is, and no convention is another kernel's."""
    memory = Memory()
    memory.stage1(0, output=truth.IPA)
    memory.identity(0b11 << 6 | 0b1111 << 2)
    memory.stage2(0b11 << 6 | 0b1111 << 2)
    leaf = memory.leaf_at(truth.S2_ROOT, truth.IPA)
    memory.words[leaf] &= ~AF
    taken = {"ESR_EL2": 0x9200_004B, "FAR_EL2": truth.VA, "HPFAR_EL2": truth.IPA >> 8, "ELR_EL2": 0, "VBAR_EL2": 0}
    registers = truth.guest(cpsr=truth.EL2H, pc=0x400, SPSR_EL2=truth.EL1H, **taken)
    found = diagnose(ARM, reader(registers), memory.read)
    assert found.verdict is Verdict.TABLES_AGREE
    change = plan(found, ARM, DirtyConvention.BIT55, OfTables(memory)).change
    assert (change.pa, int(change.before) ^ int(change.after)) == (leaf, AF)
