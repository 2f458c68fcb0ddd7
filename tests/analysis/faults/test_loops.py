"""Fault loops: the same fault again with nothing changed, for each CPU by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gdbtools.analysis.faults.diagnosis import diagnose
from gdbtools.analysis.faults.loops import FaultPlace, Loops, place_of
from gdbtools.arch import ARCHITECTURES
from tests.tables import Tables, reader

HERE = FaultPlace(0x4000, 0x1000, 0x9600_000B, 0x4010_0008, 0x4567_8303)


def test_the_same_fault_is_counted_in_a_row() -> None:
    loops = Loops()
    assert [loops.times(0, HERE) for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("changed", ["pc", "address", "syndrome", "pa", "descriptor"])
def test_whatever_differs_makes_it_another_fault(changed: str) -> None:
    loops = Loops()
    loops.times(0, HERE)
    assert loops.times(0, replace(HERE, **{changed: 1})) == 1
    assert loops.times(0, HERE) == 1


def test_each_cpu_has_its_own() -> None:
    loops = Loops()
    assert [loops.times(cpu, HERE) for cpu in (0, 1, 0, 1)] == [1, 1, 2, 2]


def test_a_write_to_the_descriptor_ends_it_and_one_beside_it_does_not() -> None:
    loops = Loops()
    loops.times(0, HERE)
    loops.changed(0x4010_0000, 0x4010_0008)
    loops.changed(0x4010_0010, 0x4010_0018)
    assert loops.times(0, HERE) == 2
    loops.changed(0x4010_0000, 0x4010_0010)
    assert loops.times(0, HERE) == 1


def test_it_is_named_with_all_that_repeats() -> None:
    tables = Tables()
    pa = tables.map(0x1000, 0x4567_8000)
    register = reader(tables.registers(ESR_EL1=0x9600_000B, FAR_EL1=0x1000, ELR_EL1=0x4000))
    said = place_of(diagnose(ARCHITECTURES["aarch64"], register, tables.read)).said()
    for each in ("a fault loop", "pc 0x4000", "on 0x1000", "syndrome 0x9600000b", f"PA {pa:#x}"):
        assert each in said
    unmapped = replace(HERE, pa=None, descriptor=None)
    assert "nothing maps it" in unmapped.said()
