"""Clearing access flags leaves out what an exception's entry needs, on every CPU, and says why of each."""

from __future__ import annotations

import pytest

from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Refused
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine
from gdbtools.repair.clear_access_flag import plan
from tests.tables import Tables

ARM = ARCHITECTURES["aarch64"]
VECTORS, PAGE = 0x4300_0000, 1 << 12
STACKS = (0x4310_2000, 0x4310_5000)


def guest() -> Machine:
    tables = Tables()
    tables.map(VECTORS, VECTORS, AP=0b10)
    for page in range(6):
        tables.map(0x4310_0000 + page * PAGE, 0x4310_0000 + page * PAGE)
    cpus = [
        Cpu(number, FixedRegisters(tables.registers(VBAR_EL1=VECTORS, sp=stack, pc=VECTORS + 0x900), "a test"))
        for number, stack in enumerate(STACKS)
    ]
    return Machine(ARM, tables, cpus, 0)


def test_the_stack_of_every_cpu_keeps_its_flag_and_the_rest_is_cleared() -> None:
    planned = plan(guest(), (0x4310_0000, 6 * PAGE), None)
    assert planned.spared == {0x4310_1000: "the stack of CPU 0", 0x4310_4000: "the stack of CPU 1"}
    cleared = [change.address for change in planned.changes]
    assert cleared == [0x4310_0000, 0x4310_2000, 0x4310_3000, 0x4310_5000]


@pytest.mark.parametrize(("first", "why"), [(VECTORS, "the exception vectors of CPU 0"), (0x4310_4000, "of CPU 1")])
def test_a_range_with_nothing_else_is_refused_with_the_reason(first: int, why: str) -> None:
    with pytest.raises(Refused, match=why):
        plan(guest(), (first, PAGE), None)
