"""Exceptions whose record is on a stack and whose vectors are in memory: whoever has both says where they come from."""

from __future__ import annotations

import struct

import pytest

from gdbtools.analysis.faults.belonging import BelongingEvidence
from gdbtools.analysis.faults.diagnosis import Verdict, diagnose
from gdbtools.analysis.footprint import read_code
from gdbtools.arch.model import FaultKind
from gdbtools.errors import Unavailable
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine
from gdbtools.repair.find_gadget import WayBack, find_way_back, way_back
from tests.repair.test_other_architectures import BAD, BELOW, CODE, ROOT, Memory
from tests.stacked import FRAME, STACKED, VECTORS

TABLE, VECTOR, X, W, V = 0x3100, 0x3F00, 8, 4, 1
STACK = 0x5000 - FRAME.size // 2
"""It goes on into a page that lies elsewhere."""
REGISTERS = {"TTB": ROOT | 1, "pc": VECTOR, "sp": STACK, "mode": 9, "BAD": BAD, "VEC": TABLE, "r0": 0}


@pytest.fixture
def memory() -> Memory:
    made = Memory()
    frame = FRAME.pack(1, CODE, 3)
    made.put(STACK, frame[: 0x5000 - STACK])
    made.put(0x7000, frame[0x5000 - STACK :])
    made.put(TABLE, VECTORS.pack(0x2000, VECTOR))
    return made


@pytest.fixture
def machine(memory: Memory) -> Machine:
    return Machine(STACKED, memory, (Cpu(0, FixedRegisters(REGISTERS, "a test")),))  # type: ignore[arg-type]


def test_a_fault_is_diagnosed_from_what_is_on_the_stack(machine: Machine) -> None:
    found = diagnose(STACKED, machine.register, machine.memory.read)
    assert (found.verdict, found.entry) == (Verdict.TABLES_AGREE, "page fault")
    assert (found.exception.return_address, found.exception.state) == (CODE, 3)
    assert found.belongs.evidence is BelongingEvidence.AT_ENTRY
    assert found.predicted is not None
    assert found.predicted.fault.kind is FaultKind.TRANSLATION


def test_whoever_has_the_registers_by_themselves_says_which_memory_they_go_with(memory: Memory) -> None:
    assert diagnose(STACKED, REGISTERS.__getitem__, memory.read).verdict is Verdict.TABLES_AGREE
    with pytest.raises(Unavailable, match="registers only"):
        STACKED.exceptions.record(REGISTERS.__getitem__)


def test_a_machine_knows_its_exception_and_its_vectors(machine: Machine) -> None:
    assert machine.exception().return_address == CODE
    assert STACKED.exceptions.vectors(machine.register) == {VECTOR: "page fault"}


def test_a_cpu_is_sent_back_by_what_its_frame_says(machine: Machine) -> None:
    expected = WayBack({"sp": STACK + FRAME.size, "mode": 3, "pc": CODE}, None)
    assert find_way_back(STACKED, machine.register, machine.memory.read) == expected
    assert way_back(machine, diagnose(STACKED, machine.register, machine.memory.read)) == expected


def test_a_frame_that_is_not_mapped_is_no_frame(memory: Memory, machine: Machine) -> None:
    struct.pack_into("<I", memory.image, BELOW + 4 * 5, 0)
    with pytest.raises(Unavailable, match=r"^0x5000 is not mapped"):
        machine.exception()


def test_what_a_capture_keeps_of_an_exception_has_its_frame(memory: Memory) -> None:
    read = set[int]()

    def noting(pa: int, size_bytes: int) -> bytes:
        read.update(range(pa, pa + size_bytes))
        return memory.read(pa, size_bytes)

    read_code(STACKED, REGISTERS.__getitem__, noting)
    assert {STACK, 0x4FFF, 0x7000, TABLE, CODE, VECTOR} <= read
