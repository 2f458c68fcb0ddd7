"""FEAT_HAFT: hardware sets the access flag of a table that it walks through, and stage 2 has to let it write that.

DDI 0487, "Hardware management of the Table descriptor Access flag"; TCR2_EL1.HAFT [11], with TCR_EL1.HA.
"""

from __future__ import annotations

import pytest

from gdbtools.arch.model import AccessKind, Fault, FaultKind
from tests.arch.aarch64.truth.machine import AF, EL1H, HA, IPA, MMFR1, S1_ROOT, TCR, Memory, guest, look, refusal

HAFT, HAFDBS_TABLES = 1 << 11, 3
# Stage 2: S2AP [7:6], MemAttr [5:2] Write-Back.
READ_WRITE, READ_ONLY = 0b11 << 6 | 0b1111 << 2, 0b01 << 6 | 0b1111 << 2
KERNELS = 0
"""A leaf that EL1 may read and write."""
FLAGS = {
    "TCR_EL1": TCR | HA,
    "TCR2_EL1": HAFT,
    "ID_AA64MMFR1_EL1": MMFR1 & ~0xF | HAFDBS_TABLES,
}


def refused(flags: tuple[int, int, int], read_only: int | None, **registers: int) -> Fault | None:
    """Return what refuses a read through tables with these access flags, one table's page being read-only."""
    memory = Memory()
    memory.stage1(KERNELS, output=IPA, tables=flags)
    memory.stage2(READ_WRITE)
    memory.identity(READ_WRITE)
    if read_only is not None:
        page = memory.tables[S1_ROOT][read_only]
        memory.stage2(READ_ONLY, page, page)
    found = refusal(look(memory, guest(**{**FLAGS, **registers}), "el1"), AccessKind.READ, 1, EL1H)
    return None if found is None else found.fault


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_table_that_has_to_be_marked_has_to_be_writable(level: int) -> None:
    clear = tuple(0 if each == level else AF for each in range(3))
    marked = (AF, AF, AF)
    assert refused(clear, level) == Fault(FaultKind.PERMISSION, 2, 3, s1ptw=True)
    assert refused(marked, level) is None, "nothing is to be written"
    assert refused(clear, None) is None, "it is written"
    assert refused(clear, (level + 1) % 3) is None, "another table's page"


def test_the_leafs_own_table_is_not_written_for_it() -> None:
    assert refused((AF, AF, AF), 3) is None


@pytest.mark.parametrize(
    "without",
    [{"TCR2_EL1": 0}, {"TCR_EL1": TCR}, {"ID_AA64MMFR1_EL1": MMFR1}],
    ids=["HAFT", "HA", "the feature"],
)
def test_without_it_tables_have_no_access_flags(without: dict[str, int]) -> None:
    assert refused((0, 0, 0), 0, **without) is None
