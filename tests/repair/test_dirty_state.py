"""The dirty state: a write to what is writable but clean, and to nothing else."""

from __future__ import annotations

import pytest

from gdbtools.analysis.faults.diagnosis import Verdict, diagnose
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.errors import Refused
from gdbtools.repair.dirty_state import plan_dirty_state
from tests.tables import Tables, reader

ARM = ARCHITECTURES["aarch64"]
VA = 0x1000
WRITE, READ, ACCESS_FLAG = 0x9600_004F, 0x9600_000F, 0x9600_004B
AP2, BIT55 = 1 << 7, 1 << 55


def flipped(esr: int, convention: DirtyConvention = DirtyConvention.NONE, **leaf: int) -> int:
    """Return which bits the repair flips."""
    tables = Tables()
    tables.map(VA, 0x4567_8000, **leaf)
    found = diagnose(ARM, reader(tables.registers(ESR_EL1=esr, FAR_EL1=VA)), tables.read)
    change = plan_dirty_state(found, ARM, convention, tables).change
    change.apply(tables)
    assert (
        diagnose(ARM, reader(tables.registers(ESR_EL1=esr, FAR_EL1=VA)), tables.read).verdict is Verdict.TABLES_PERMIT
    )
    return int(change.before) ^ int(change.after)


def test_a_write_to_a_clean_leaf_makes_it_writable() -> None:
    assert flipped(WRITE, DBM=1, AP=0b10) == AP2


def test_the_guests_own_dirty_bit_is_set_too() -> None:
    assert flipped(WRITE, DirtyConvention.BIT55, DBM=1, AP=0b10) == AP2 | BIT55


@pytest.mark.parametrize(
    ("esr", "leaf"),
    [
        (WRITE, {"DBM": 0, "AP": 0b10}),
        (READ, {"DBM": 1, "AP": 0b10}),
        (WRITE, {"DBM": 1, "AP": 0b00}),
        (WRITE, {"DBM": 1, "AP": 0b10, "AF": 0}),
        (ACCESS_FLAG, {"DBM": 1, "AP": 0b10}),
    ],
    ids=["read-only", "a read", "writable already", "never accessed", "another fault"],
)
def test_anything_else_is_refused(esr: int, leaf: dict[str, int]) -> None:
    with pytest.raises(Refused, match="nothing to repair"):
        flipped(esr, **leaf)
