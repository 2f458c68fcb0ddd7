"""The code just before a fault: whether it wrote a descriptor of the walk, and what it did to have that seen."""

from __future__ import annotations

import pytest

from gdbtools.analysis.faults.diagnosis import Diagnosis, diagnose
from gdbtools.analysis.faults.writer import Writer, writer
from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from tests.arch.aarch64.instructions.test_effects import WORDS
from tests.tables import Tables, reader

VA, PA, CODE_VA, CODE_PA = 0x1234_5000, 0x4200_0000, 0x5678_9000, 0x4300_0000
ACCESS_AT = 0x40
DATA_SAME, DATA_LOWER, FETCH_SAME = 0b100101 << 26, 0b100100 << 26, 0b100001 << 26
TRANSLATION_3, EL0 = 0b000111, 0
STORE, DSB, ISB, NOP = "str x2, [x1]", "dsb ish", "isb", "nop"
TLBI_ALL, TLBI_ELSEWHERE, TLBI_RANGE = "tlbi vmalle1is", "tlbi vaae1is, x3", "tlbi rvae1is, x3"


def found(*code: str, at: int = ACCESS_AT, level: int = 3, **registers: int) -> Writer | None:
    """Return what is found of some code before the access; x1 is where the descriptor of that level is mapped."""
    t = Tables()
    leaf = t.map(VA, PA)
    t.map(CODE_VA, CODE_PA)
    base = CODE_PA + at - 4 * len(code)
    words = b"".join(WORDS[each].to_bytes(4, "little") for each in code)
    t.write(base & -8, bytes(base % 8) + words + bytes(-(base + len(words)) % 8))
    steps = diagnosed(t, {}).walk
    assert steps is not None
    descriptor = steps.steps[level].pa
    assert steps.steps[3].pa == leaf
    # Each table is mapped where it is.
    t.map(descriptor & -0x1000, descriptor & -0x1000)
    given = {"x1": descriptor, "x3": 0, "ELR_EL1": CODE_VA + at, **registers}
    return writer(ARM, reader(t.registers(**state(**given))), t.read, diagnosed(t, given))


def state(**changes: int) -> dict[str, int]:
    return {"ESR_EL1": DATA_SAME | TRANSLATION_3, "FAR_EL1": VA, "ELR_EL1": CODE_VA + ACCESS_AT, **changes}


def diagnosed(t: Tables, changes: dict[str, int]) -> Diagnosis:
    return diagnose(ARM, reader(t.registers(**state(**changes))), t.read)


def test_the_store_is_found_and_nothing_came_after_it() -> None:
    writer = found(STORE)
    assert writer is not None
    assert (writer.store.address, writer.step.level.number) == (CODE_VA + ACCESS_AT - 4, 3)
    assert (writer.waited, writer.synchronized, writer.invalidated) == (False, False, False)


@pytest.mark.parametrize(
    ("since", "waited", "synchronized", "invalidated"),
    [
        ([DSB], True, False, False),
        ([DSB, ISB], True, True, False),
        # An ISB before the DSB is none for what follows it.
        ([ISB, DSB], True, False, False),
        ([ISB], False, False, False),
        ([NOP, DSB, NOP, ISB, NOP], True, True, False),
        ([DSB, TLBI_ALL, DSB, ISB], True, True, True),
        ([DSB, TLBI_ELSEWHERE, DSB, ISB], True, True, False),
        ([DSB, TLBI_RANGE, DSB, ISB], True, True, None),
        ([DSB, TLBI_ELSEWHERE, TLBI_ALL, DSB, ISB], True, True, True),
    ],
)
def test_what_came_after_the_store_counts_in_its_order(
    since: list[str], waited: bool, synchronized: bool, invalidated: bool | None
) -> None:
    writer = found(STORE, *since)
    assert writer is not None
    assert (writer.waited, writer.synchronized, writer.invalidated) == (waited, synchronized, invalidated)


def test_what_came_before_the_store_does_not_count() -> None:
    writer = found(DSB, TLBI_ALL, DSB, ISB, STORE)
    assert writer is not None
    assert (writer.waited, writer.synchronized, writer.invalidations) == (False, False, ())


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_table_on_the_way_is_a_descriptor_too(level: int) -> None:
    writer = found(STORE, level=level)
    assert writer is not None
    assert writer.step.level.number == level


def test_a_store_to_anything_else_is_none() -> None:
    assert found(STORE, x1=CODE_VA) is None
    assert found(STORE, x1=0xDEAD_0000) is None, "nothing is mapped there"
    assert found(NOP) is None


def test_code_at_the_start_of_a_page_is_looked_at_up_to_there() -> None:
    assert found(STORE, at=4) is not None
    assert found(at=0) is None


def test_where_registers_or_code_do_not_tell_nothing_is_claimed() -> None:
    assert found(STORE, pc=0x4444) is None, "at no vector entry"
    assert found(STORE, SPSR_EL1=EL0, ESR_EL1=DATA_LOWER | TRANSLATION_3) is None, "EL0 writes no descriptors"
    assert found(STORE, ESR_EL1=FETCH_SAME | TRANSLATION_3) is None, "what was fetched is not what ran before"
    assert found(STORE, ELR_EL1=0xDEAD_0040) is None, "the code is not mapped"
