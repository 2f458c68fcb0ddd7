"""What the tables say of a fault: agree, permit, differ, or were never read; and what may lie behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gdbtools.analysis.diagnosis import Aborted, Diagnosis, Verdict, diagnose
from gdbtools.analysis.suspicion import Cause, Suspicion, suspicions
from gdbtools.arch.aarch64 import ARCHITECTURE as ARM
from tests.arch.aarch64.truth.machine import EL1H, EL2H, Memory, el2, guest
from tests.tables import Tables, reader

VA, PA = 0x1234_5000, 0x4200_0000
DATA_SAME, DATA_LOWER, WNR, S1PTW = 0b100101 << 26, 0b100100 << 26, 1 << 6, 1 << 7
TRANSLATION_3, ACCESS_FLAG_3, PERMISSION_3, PERMISSION_2 = 0b000111, 0b001011, 0b001111, 0b001110
ABORT_ON_WALK_2, ABORT_ON_WALK_3, ABORT = 0b010110, 0b010111, 0b010000
READ_ONLY = 0b10


def found(t: Tables, iss: int, **changes: int) -> Diagnosis:
    return diagnose(ARM, reader(t.registers(ESR_EL1=DATA_SAME | iss, FAR_EL1=VA, **changes)), t.read)


@pytest.mark.parametrize(
    ("fields", "iss", "verdict"),
    [
        ({"AF": 0}, ACCESS_FLAG_3, Verdict.TABLES_AGREE),
        ({"AP": READ_ONLY}, PERMISSION_3 | WNR, Verdict.TABLES_AGREE),
        ({"TYPE": 0}, TRANSLATION_3, Verdict.TABLES_AGREE),
        ({}, TRANSLATION_3, Verdict.TABLES_PERMIT),
        ({}, PERMISSION_3 | WNR, Verdict.TABLES_PERMIT),
        # Present is not enough: the table still refuses the write, whatever the fault was.
        ({"AP": READ_ONLY}, TRANSLATION_3 | WNR, Verdict.TABLES_DIFFER),
        ({"AP": READ_ONLY}, TRANSLATION_3, Verdict.TABLES_PERMIT),
        # The same kind at another level is another fault.
        ({"AP": READ_ONLY}, PERMISSION_2 | WNR, Verdict.TABLES_DIFFER),
        ({"AF": 0}, PERMISSION_3 | WNR, Verdict.TABLES_DIFFER),
        ({}, ABORT, Verdict.NOT_THE_TABLES),
    ],
)
def test_presence_and_permission_both_count(fields: dict[str, int], iss: int, verdict: Verdict) -> None:
    t = Tables()
    t.map(VA, PA, **fields)
    assert found(t, iss).verdict is verdict


@pytest.mark.parametrize("bit", [40, 41, 42, 39, 43])
def test_a_refusal_by_a_rule_that_is_not_replayed_is_not_taken_for_spurious(bit: int) -> None:
    """GCS, TagAccess, TnD, AssuredOnly, HDBSSF."""
    t = Tables()
    t.map(VA, PA)
    assert found(t, PERMISSION_3 | 1 << bit).verdict is Verdict.NOT_REPLAYED
    t.map(VA, PA, AP=READ_ONLY)
    assert found(t, PERMISSION_3 | WNR | 1 << bit).verdict is Verdict.TABLES_AGREE


def test_an_abort_on_a_walk_names_the_descriptor_and_whether_memory_is_there() -> None:
    t = Tables()
    leaf = t.map(VA, PA)
    aborted = found(t, ABORT_ON_WALK_3)
    assert (aborted.verdict, aborted.aborted) == (Verdict.WALK_ABORTED, Aborted(3, leaf, readable=True))
    # A level 2 table outside memory: its descriptor is where the fetch went.
    nowhere = 0x9000_0000
    level_1 = next(at for at, word in t.memory.items() if word >> 12 << 12 & 0xFFFF_FFFF_F000 == leaf >> 12 << 12)
    t.memory[level_1] = nowhere | 3
    index = (VA >> 12 & 0x1FF) * 8
    assert found(t, ABORT_ON_WALK_3).aborted == Aborted(3, nowhere + index, readable=False)


def test_an_abort_at_a_level_that_the_tables_no_longer_reach_says_so() -> None:
    assert found(Tables(), ABORT_ON_WALK_2).aborted == Aborted(2, None, readable=True)


def stage_2_fault(memory: Memory, iss: int, ipa: int) -> Diagnosis:
    registers = {
        **el2(), **guest(), "cpsr": EL2H, "VBAR_EL2": 0, "pc": 0x400, "ESR_EL2": DATA_LOWER | iss,
        "FAR_EL2": 0x5123, "ELR_EL2": 0x1000, "SPSR_EL2": EL1H, "HPFAR_EL2": ipa >> 12 << 4,
    }  # fmt: skip
    return diagnose(ARM, reader(registers), memory.read)


def test_the_ipa_of_a_stage_2_fault_is_held_against_what_the_guests_tables_say_now() -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    memory.identity(0b1111 << 2 | 1 << 6)
    memory.stage2(0, 0x6543_3000, 0x7000_0000)
    agreed = stage_2_fault(memory, TRANSLATION_3, 0x6543_2000)
    assert (agreed.verdict, agreed.exception.ipa, agreed.leads_to) == (Verdict.TABLES_AGREE, 0x6543_2000, 0x6543_2123)
    moved = stage_2_fault(memory, TRANSLATION_3, 0x1111_1000)
    assert (moved.exception.ipa, moved.leads_to) == (0x1111_1000, 0x6543_2123)


def test_the_ipa_of_a_fault_on_a_table_walk_is_that_of_the_descriptor() -> None:
    memory = Memory()
    memory.stage1(0, va=0x5000, output=0x6543_2000)
    of_table = stage_2_fault(memory, 0b000101 | S1PTW, memory.tables[next(iter(memory.tables))][0])
    assert of_table.verdict is Verdict.TABLES_AGREE
    assert of_table.walk is not None
    assert of_table.walk.fetch is not None
    assert of_table.leads_to == of_table.walk.fetch.via.input


# --- What may lie behind a fault that the tables permit


def permitted(iss: int, **changes: int) -> Diagnosis:
    t = Tables()
    t.map(VA, PA)
    spurious = found(t, iss, **changes)
    assert spurious.verdict is Verdict.TABLES_PERMIT
    return spurious


def causes(diagnosis: Diagnosis) -> list[Cause]:
    return [each.cause for each in suspicions(diagnosis, ())]


def test_a_stale_leaf_is_suspected_of_permission_faults_alone() -> None:
    """R_SQBCS: no TLB holds an entry that causes a Translation, Address size or Access flag fault."""
    assert causes(permitted(PERMISSION_3 | WNR)) == [
        Cause.STALE_LEAF, Cause.REPAIRED, Cause.MISSING_BARRIER, Cause.STALE_TABLE,
    ]  # fmt: skip
    for iss in (TRANSLATION_3, ACCESS_FLAG_3):
        assert causes(permitted(iss)) == [Cause.REPAIRED, Cause.MISSING_BARRIER, Cause.STALE_TABLE]


def test_away_from_a_vector_entry_an_older_exception_is_suspected_first() -> None:
    assert causes(permitted(TRANSLATION_3, pc=0x4444))[0] is Cause.OTHER_EXCEPTION
    assert Cause.OTHER_EXCEPTION not in causes(permitted(TRANSLATION_3))


def test_another_cpu_with_the_same_fault_in_the_same_page_is_a_witness_of_a_repair() -> None:
    diagnosis = permitted(PERMISSION_3 | WNR)
    same = replace(diagnosis.exception, address=VA + 0x80)
    other_page = replace(diagnosis.exception, address=VA + 0x1000)
    other_fault = permitted(TRANSLATION_3).exception
    ranked = suspicions(diagnosis, [(1, other_page), (2, same), (3, other_fault)])
    assert ranked[0] == Suspicion(Cause.REPAIRED, (2,))
    assert Suspicion(Cause.STALE_LEAF) in ranked


def test_nothing_is_suspected_where_the_tables_refuse() -> None:
    t = Tables()
    t.map(VA, PA, AF=0)
    assert suspicions(found(t, ACCESS_FLAG_3), ()) == ()
