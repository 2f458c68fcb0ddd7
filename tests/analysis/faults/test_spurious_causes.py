"""What may lie behind a fault that the tables permit: what speaks for each cause, and which comes first."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

import pytest

from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, Sighting, steps_of
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.analysis.faults.spurious_causes import change_seen, levels, suspicions
from gdbtools.analysis.faults.spurious_model import (
    Around,
    Elsewhere,
    SeenChange,
    SpuriousCause,
    Suspicion,
    Weight,
)
from gdbtools.analysis.faults.writer import Writer
from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.instruction_effects import Effect, EffectKind
from gdbtools.arch.model import FaultKind
from tests.tables import Tables, reader

VA, PA = 0x1234_5000, 0x4200_0000
DATA_SAME, WNR = 0b100101 << 26, 1 << 6
TRANSLATION_1, TRANSLATION_2, TRANSLATION_3 = 0b000101, 0b000110, 0b000111
ACCESS_FLAG_3, PERMISSION_2, PERMISSION_3 = 0b001011, 0b001110, 0b001111
ROOT = Tables().root
REPAIRED, LEAF, TABLE, BARRIER = (
    SpuriousCause.REPAIRED,
    SpuriousCause.STALE_LEAF,
    SpuriousCause.STALE_TABLE,
    SpuriousCause.MISSING_BARRIER,
)


def permitted(iss: int, level: int = 3, **changes: int) -> Diagnosis:
    """Return a fault on a page, or a block, that may be read and written."""
    t = Tables()
    t.map(VA & (-1 << 12 + 9 * (3 - level)), PA, level=level)
    found = diagnose(ARM, reader(t.registers(ESR_EL1=DATA_SAME | iss, FAR_EL1=VA, **changes)), t.read)
    assert found.verdict is Verdict.TABLES_PERMIT
    return found


def ranked_causes(diagnosis: Diagnosis, around: Around) -> tuple[Suspicion, ...]:
    return suspicions(diagnosis, around, ARM.exceptions)


def causes(diagnosis: Diagnosis, around: Around | None = None) -> list[SpuriousCause]:
    return [each.cause for each in ranked_causes(diagnosis, around or Around())]


def weights(diagnosis: Diagnosis, around: Around) -> dict[SpuriousCause, Weight]:
    return {each.cause: each.weight for each in ranked_causes(diagnosis, around)}


def test_a_stale_leaf_is_suspected_of_permission_faults_alone() -> None:
    """R_SQBCS: no TLB holds an entry that causes a Translation, Address size or Access flag fault."""
    assert causes(permitted(PERMISSION_3 | WNR)) == [LEAF, REPAIRED, BARRIER, TABLE]
    for iss in (TRANSLATION_3, ACCESS_FLAG_3):
        assert causes(permitted(iss)) == [REPAIRED, BARRIER, TABLE]


def test_away_from_a_vector_entry_an_older_exception_is_suspected_first() -> None:
    assert causes(permitted(TRANSLATION_3, pc=0x4444))[0] is SpuriousCause.OTHER_EXCEPTION
    assert SpuriousCause.OTHER_EXCEPTION not in causes(permitted(TRANSLATION_3))


def test_nothing_is_suspected_where_the_tables_refuse() -> None:
    t = Tables()
    t.map(VA, PA, AF=0)
    refused = diagnose(ARM, reader(t.registers(ESR_EL1=DATA_SAME | ACCESS_FLAG_3, FAR_EL1=VA)), t.read)
    assert ranked_causes(refused, Around()) == ()


# --- Who may have repaired it


def test_another_cpu_with_the_same_fault_in_the_same_page_of_the_same_tables_is_a_witness() -> None:
    diagnosis = permitted(PERMISSION_3 | WNR)
    same = replace(diagnosis.exception, address=VA + 0x80)
    elsewhere = [
        Elsewhere(1, replace(same, address=VA + 0x1000), ROOT),
        Elsewhere(2, same, ROOT),
        Elsewhere(3, permitted(TRANSLATION_3).exception, ROOT),
        # Another process has the same address and a fault of its own.
        Elsewhere(4, same, ROOT + 0x1000),
        Elsewhere(5, same, ROOT),
    ]
    first = ranked_causes(diagnosis, Around(elsewhere))[0]
    assert first == Suspicion(REPAIRED, Weight.LIKELY, (2, 5))
    assert causes(diagnosis, Around(elsewhere[:1])) == [LEAF, REPAIRED, BARRIER, TABLE]


def test_where_there_is_one_cpu_nobody_else_repaired_it() -> None:
    for iss in (TRANSLATION_3, PERMISSION_3 | WNR):
        ranked = ranked_causes(permitted(iss), Around(alone=True))
        assert ranked[-1] == Suspicion(REPAIRED, Weight.UNLIKELY, alone=True)


SIGHTING = Sighting(0x4010_2000, 3, 0, 0)


def test_a_change_that_was_seen_speaks_for_a_repair_but_not_by_a_cpu_that_is_not_there() -> None:
    diagnosis = permitted(PERMISSION_3 | WNR)
    change = SeenChange(SIGHTING)
    assert ranked_causes(diagnosis, Around(change=change))[0] == Suspicion(REPAIRED, Weight.LIKELY, change=change)
    assert weights(diagnosis, Around(change=change, alone=True))[REPAIRED] is Weight.UNLIKELY
    ours = Suspicion(REPAIRED, Weight.LIKELY, change=SeenChange(SIGHTING, by="fixup"))
    assert ranked_causes(diagnosis, Around(change=ours.change, alone=True))[0] == ours


def test_what_changed_at_this_very_stop_outweighs_everything() -> None:
    here = SeenChange(SIGHTING, "pte", here=True)
    around = Around(change=here, alone=True, writer=wrote(3))
    assert ranked_causes(permitted(PERMISSION_3 | WNR), replace(around, writer=None))[0].weight is Weight.SHOWN
    assert causes(permitted(TRANSLATION_3), around)[0] is REPAIRED
    # Nobody of ours: then somebody else's debugger, and still after the fault.
    assert (
        weights(permitted(TRANSLATION_3), Around(alone=True, change=SeenChange(SIGHTING, here=True)))[REPAIRED]
        is Weight.SHOWN
    )


# --- What was seen before


def looked(fields: dict[str, int], then: dict[str, int]) -> tuple[DescriptorHistory, Diagnosis, int]:
    """Return what is known after a look, a change and a fault."""
    t, seen = Tables(), DescriptorHistory()
    leaf = t.map(VA, PA, **fields)
    values = reader(t.registers(ESR_EL1=DATA_SAME | ACCESS_FLAG_3, FAR_EL1=VA))
    before = diagnose(ARM, values, t.read)
    assert before.walk is not None
    seen.remember(steps_of(before.walk), 0)
    t.map(VA, PA, **then)
    return seen, diagnose(ARM, values, t.read), leaf


def test_a_descriptor_that_differs_is_a_change_if_it_explained_the_fault() -> None:
    seen, diagnosis, leaf = looked({"AF": 0}, {"AF": 1})
    asked: list[Sighting] = []

    def explains(sighting: Sighting) -> bool:
        asked.append(sighting)
        return True

    change = change_seen(diagnosis, seen, explains)
    assert change is not None
    assert (change.seen.pa, change.here, change.by) == (leaf, True, "")
    assert [each.pa for each in asked] == [leaf], "what has not changed is not asked about"
    assert change_seen(diagnosis, seen, lambda _: False) is None


def test_what_was_seen_at_an_earlier_stop_is_not_of_here() -> None:
    seen, diagnosis, leaf = looked({"AF": 0}, {"AF": 1})
    seen.moved_on()
    change = change_seen(diagnosis, seen, lambda _: True)
    assert change is not None
    assert (change.seen.pa, change.here) == (leaf, False)


def test_what_is_as_it_was_is_no_change() -> None:
    seen, diagnosis, _ = looked({"AF": 1}, {"AF": 1})
    assert change_seen(diagnosis, seen, lambda _: True) is None


# --- What the code before the access did


def wrote(level: int, *invalidations: bool | None, waited: bool = False, synchronized: bool = False) -> Writer:
    found = permitted(TRANSLATION_3).walk
    assert found is not None
    store = Effect(0x1000, EffectKind.STORE, "STR", 0x2000)
    tlbis = tuple(Effect(0x1004, EffectKind.INVALIDATE, "TLBI VAAE1IS, X3", reaches=each) for each in invalidations)
    return Writer(store, found.steps[level], waited, synchronized, tlbis)


DONE = {"waited": True, "synchronized": True}


@pytest.mark.parametrize(
    ("iss", "writer", "first", "hardly"),
    [
        (TRANSLATION_3, wrote(3), BARRIER, []),
        (TRANSLATION_3, wrote(3, waited=True), BARRIER, []),
        (TRANSLATION_3, wrote(3, **DONE), REPAIRED, [BARRIER]),
        (TRANSLATION_3, wrote(2, **DONE), TABLE, [BARRIER]),
        (TRANSLATION_3, wrote(2, False, **DONE), TABLE, [BARRIER]),
        (TRANSLATION_3, wrote(2, True, **DONE), REPAIRED, [BARRIER]),
        # A permission that was given without a TLBI: that is the reason, with or without barriers.
        (PERMISSION_3 | WNR, wrote(3), LEAF, []),
        (PERMISSION_3 | WNR, wrote(3, **DONE), LEAF, [BARRIER]),
        (PERMISSION_3 | WNR, wrote(3, False, **DONE), LEAF, [BARRIER]),
        (PERMISSION_3 | WNR, wrote(3, True, **DONE), REPAIRED, [LEAF, BARRIER]),
        (PERMISSION_3 | WNR, wrote(3, None, **DONE), LEAF, [BARRIER]),
    ],
)
def test_the_store_before_the_access_and_what_followed_it_decide(
    iss: int, writer: Writer, first: SpuriousCause, hardly: Sequence[SpuriousCause]
) -> None:
    ranked = ranked_causes(permitted(iss), Around(writer=writer))
    assert ranked[0].cause is first
    assert [each.cause for each in ranked if each.weight is Weight.UNLIKELY] == list(hardly)


def test_only_what_is_known_is_shown() -> None:
    diagnosis = permitted(PERMISSION_3 | WNR)
    assert weights(diagnosis, Around(writer=wrote(3, False, **DONE)))[LEAF] is Weight.SHOWN
    assert weights(diagnosis, Around(writer=wrote(3, None, **DONE)))[LEAF] is Weight.POSSIBLE
    assert weights(diagnosis, Around())[LEAF] is Weight.POSSIBLE
    # A table was written, not the leaf.
    assert weights(diagnosis, Around(writer=wrote(2, False, **DONE)))[LEAF] is Weight.POSSIBLE


# --- Levels that disagree


def test_a_fault_deeper_than_what_maps_it_now_went_through_a_table_that_is_gone() -> None:
    diagnosis = permitted(TRANSLATION_3, level=2)
    assert levels(diagnosis) == (3, 2)
    assert ranked_causes(diagnosis, Around())[0] == Suspicion(TABLE, Weight.LIKELY, levels=(3, 2))


def test_a_fault_above_what_maps_it_now_met_an_entry_that_no_tlb_keeps() -> None:
    diagnosis = permitted(TRANSLATION_2)
    assert levels(diagnosis) == (2, 3)
    assert causes(diagnosis)[0] is REPAIRED


@pytest.mark.parametrize(("iss", "level"), [(PERMISSION_3, 2), (PERMISSION_2, 3)])
def test_a_permission_fault_of_another_level_is_of_a_leaf_that_is_gone(iss: int, level: int) -> None:
    diagnosis = permitted(iss | WNR, level=level)
    first = ranked_causes(diagnosis, Around())[0]
    assert (first.cause, first.weight) == (LEAF, Weight.LIKELY)


def test_where_they_agree_nothing_is_said_of_levels() -> None:
    assert levels(permitted(TRANSLATION_3)) is None
    assert levels(permitted(PERMISSION_2 | WNR, level=2)) is None


def test_where_a_tlb_may_hold_what_is_invalid_a_stale_leaf_is_suspected_of_translation_faults_too() -> None:
    diagnosis = permitted(TRANSLATION_3)
    assert LEAF not in causes(diagnosis)
    exceptions = copy(ARM.exceptions)
    exceptions.cached_refusals = (FaultKind.PERMISSION, FaultKind.TRANSLATION)
    ranked = suspicions(diagnosis, Around(), exceptions)
    assert LEAF in [each.cause for each in ranked]
