"""Which exceptions a catch by name stops at: by the class, by who takes them, and where from."""

from __future__ import annotations

import pytest

from gdbtools.arch.aarch64.architecture import ARCHITECTURE as ARM
from gdbtools.arch.aarch64.instructions.system_instructions import Operation
from gdbtools.arch.aarch64.syndrome import EC
from tests.arch.aarch64.exceptions.test_record import EL0T, EL1H, VBAR, taken

TVM_WRITE, DC_CISW, DC_CIVAC = Operation(3, 0, 2, 0, 0), Operation(1, 0, 7, 14, 2), Operation(1, 3, 7, 14, 1)
NAMED = {
    "set-way": {"dc cisw"},
    "system-register": {"dc cisw", "dc civac", "msr"},
    "call": {"hvc", "smc"},
    "exception": {"dc cisw", "dc civac", "msr", "hvc", "smc", "wfi", "abort"},
}


def iss(operation: Operation) -> int:
    op0, op1, CRn, CRm, op2 = operation
    return op0 << 20 | op2 << 17 | op1 << 14 | CRn << 10 | CRm << 1


EXCEPTIONS = {
    "dc cisw": (EC.SYSTEM, iss(DC_CISW)),
    "dc civac": (EC.SYSTEM, iss(DC_CIVAC)),
    "msr": (EC.SYSTEM, iss(TVM_WRITE)),
    "hvc": (EC.HVC, 0),
    "smc": (EC.SMC, 0),
    "wfi": (EC.WF, 0),
    "abort": (EC.DATA_ABORT_LOWER_EL, 0b000111),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_of_its_classes_and_no_others(name: str) -> None:
    found = {
        what
        for what, (number, syndrome) in EXCEPTIONS.items()
        if ARM.exceptions.is_named(ARM.exceptions.record(taken(2, EL1H, number, syndrome)), name, "stage2")
    }
    assert found == NAMED[name]
    assert ARM.exceptions.named.keys() == NAMED.keys()


def test_who_takes_it_is_told_by_the_regime() -> None:
    at_el1 = ARM.exceptions.record(taken(1, EL0T, EC.SVC))
    assert ARM.exceptions.is_named(at_el1, "call")
    assert ARM.exceptions.is_named(at_el1, "call", "el1")
    assert not ARM.exceptions.is_named(at_el1, "call", "el2")


def test_they_are_taken_where_the_regimes_faults_are() -> None:
    at_el1 = taken(1, EL1H, EC.BRK, VBAR_EL2=0x8000_0000)
    quarters = [0, 0x200, 0x400, 0x600]
    for regime, first, offsets in (
        (None, VBAR, quarters),
        ("el1", VBAR, quarters),
        ("el2", 0x8000_0000, quarters),
        ("stage2", 0x8000_0000, quarters[2:]),
    ):
        assert list(ARM.exceptions.named_vectors(at_el1, "exception", regime)) == [first + each for each in offsets]
    assert ARM.exceptions.named_regimes["set-way"] == "stage2", "which EL2 alone traps"
