"""What repairs ask of an architecture: instructions of any length, returns by any registers, its own invalidation."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from gdbtools.analysis.faults.diagnosis import Verdict, diagnose
from gdbtools.analysis.faults.instruction import instruction_at
from gdbtools.analysis.faults.writer import writer
from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.arch.model import ExceptionRecord, FaultKind
from gdbtools.errors import Unreadable, UsageError
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine
from gdbtools.repair import run_gadget, tlb
from gdbtools.repair.find_gadget import WayBack, find_way_back
from tests import strange
from tests.strange import FLUSH, LONG, STORE, STRANGE, VECTOR

ROOT, BELOW = 0x1000, 0x2000
X, W, V = 8, 4, 1
CODE, BAD = 0x4800, 0x9123
REGISTERS = {
    "TTB": ROOT | 1, "pc": VECTOR, "mode": 9, "PC0": CODE, "MODE0": 3, "CAUSE": 1, "BAD": BAD,
    "r0": BELOW + 4 * 9,
}  # fmt: skip


class Memory:
    """Pages 2 to 8 of the address space lead to themselves, to be executed; 5 leads to where 7 does."""

    description = "a test's"

    def __init__(self) -> None:
        self.image = bytearray(0x10000)
        struct.pack_into("<I", self.image, ROOT, BELOW | V)
        for page in range(2, 9):
            to = 7 if page == 5 else page
            struct.pack_into("<I", self.image, BELOW + 4 * page, to << 12 | X | V)

    def put(self, pa: int, code: bytes) -> None:
        self.image[pa : pa + len(code)] = code

    def read(self, pa: int, size_bytes: int) -> bytes:
        if pa + size_bytes > len(self.image):
            raise Unreadable(pa, size_bytes, "there is no more")
        return bytes(self.image[pa : pa + size_bytes])


class Stepping:
    """A guest that does as it is told: a flush leads to what follows it, or to the vector."""

    def __init__(self, memory: Memory, faults: bool = False) -> None:
        self.registers = dict(REGISTERS)
        self.machine = Machine(STRANGE, memory, (Cpu(0, FixedRegisters(self.registers, "a test")),), 0)  # type: ignore[arg-type]
        self.faults = faults
        self.stepped: list[int] = []
        self.sent: list[Mapping[str, int]] = []

    def step(self, address: int, registers: Mapping[str, int]) -> None:
        self.stepped.append(address)
        self.registers |= registers
        self.registers["pc"] = VECTOR if self.faults else address + len(FLUSH)
        if self.faults:
            self.registers |= {"PC0": address, "MODE0": 3, "CAUSE": 1}

    def send(self, registers: Mapping[str, int]) -> None:
        self.sent.append(registers)
        self.registers |= registers

    @contextmanager
    def keeping(self) -> Iterator[None]:
        yield


@pytest.fixture
def memory() -> Memory:
    return Memory()


def read(registers: Mapping[str, int] = REGISTERS) -> strange.ReadRegister:
    return registers.__getitem__


def test_a_cpu_is_sent_back_by_the_registers_that_its_architecture_names(memory: Memory) -> None:
    assert find_way_back(STRANGE, read(), memory.read) == WayBack({"mode": 3, "pc": CODE}, None)


def test_what_faults_while_it_is_borrowed_is_returned_from_by_both_registers(memory: Memory) -> None:
    memory.put(0x4011, FLUSH)
    guest = Stepping(memory, faults=True)
    loan = tlb.plan(guest.machine, (Scope(Extent.ALL),)).invalidations[0]
    raised = run_gadget.step(guest.machine, guest, loan, run_gadget.returns(guest.machine))  # type: ignore[arg-type]
    assert raised is not None
    assert guest.sent == [{"mode": 3, "pc": loan.address}]
    assert guest.stepped == [loan.address], "no exception return is executed"


def test_an_instruction_of_two_bytes_is_found_at_an_odd_address_and_leads_two_further(memory: Memory) -> None:
    memory.put(0x4011, FLUSH)
    guest = Stepping(memory)
    planned = tlb.plan(guest.machine, (Scope(Extent.ALL),))
    assert [(each.address, each.word) for each in planned.loans] == [(0x4011, int.from_bytes(FLUSH, "little"))]
    assert (planned.name, planned.complete, planned.lacking) == ("flush", True, []), "no barrier belongs to it"
    tlb.perform(guest.machine, guest, planned)  # type: ignore[arg-type]
    assert guest.stepped == [0x4011]


def test_an_identifier_of_an_address_space_has_as_many_bits_as_its_architecture_says(memory: Memory) -> None:
    memory.put(0x4011, FLUSH)
    machine = Stepping(memory).machine
    assert tlb.plan(machine, (Scope(Extent.ADDRESS_SPACE, 0xFFF),)).loans
    with pytest.raises(UsageError, match=r"^4096 is no identifier of .*; they have 12 bits here, 0 to 4095$"):
        tlb.plan(machine, (Scope(Extent.ADDRESS_SPACE, 0x1000),))


@pytest.mark.parametrize(
    ("code", "at", "word"),
    [(b"\x05\xee", 0x4800, 0x05), (b"\x45\xee\xaa", 0x4801, 0xEE45), (LONG + b"\x11\x22", 0x4806, 0x2211C0)],
)
def test_as_many_bytes_are_an_instruction_as_its_first_says(memory: Memory, code: bytes, at: int, word: int) -> None:
    memory.put(at, code)
    assert instruction_at(STRANGE, read(), memory.read, STRANGE.exceptions.record(read()), at) == word


def test_an_instruction_goes_on_where_the_next_page_leads(memory: Memory) -> None:
    memory.put(0x4FFF, LONG)
    memory.put(0x7000, b"\x11\x22")
    memory.put(0x5000, b"\xee\xee")
    assert instruction_at(STRANGE, read(), memory.read, STRANGE.exceptions.record(read()), 0x4FFF) == 0x2211C0


@pytest.mark.parametrize("entry", [0, 9 << 12 | V], ids=["no page", "no right"])
def test_a_syndrome_that_tells_less_than_the_walk_agrees_with_it(memory: Memory, entry: int) -> None:
    struct.pack_into("<I", memory.image, BELOW + 4 * 9, entry)
    found = diagnose(STRANGE, read(), memory.read)
    assert found.verdict is Verdict.TABLES_AGREE
    assert found.predicted is not None
    assert found.predicted.fault.kind is (FaultKind.PERMISSION if entry else FaultKind.TRANSLATION)
    assert found.predicted.fault.level == 1, "the walk tells what the syndrome does not"


def test_who_sets_the_access_flag_of_a_second_stage_is_asked_by_the_name_that_it_has(memory: Memory) -> None:
    class TwoStages(strange.StrangeExceptions):
        def record(self, register: strange.ReadRegister) -> ExceptionRecord:
            found = super().record(register)
            assert found.syndrome.fault is not None
            fault = replace(found.syndrome.fault, stage=2)
            return replace(found, syndrome=replace(found.syndrome, fault=fault), second_stage="the lower one")

    asked: list[str | None] = []

    class Repair:
        def access_flag_controls(self, register: strange.ReadRegister, regime: str | None) -> tuple[()]:
            asked.append(regime)
            return ()

    class Other(strange.Strange):
        exceptions = TwoStages()
        repair: Any = Repair()

    diagnose(Other(), read(), memory.read)
    assert asked == ["the lower one"]


def test_the_code_before_an_access_is_looked_at_as_bytes(memory: Memory) -> None:
    struct.pack_into("<I", memory.image, BELOW + 4 * 2, 2 << 12 | W | V)
    struct.pack_into("<I", memory.image, BELOW + 4 * 9, 9 << 12 | W | V)
    memory.put(CODE - 1, STORE)
    registers = {**REGISTERS, "BAD": BAD}
    wrote = writer(STRANGE, read(registers), memory.read, diagnose(STRANGE, read(registers), memory.read))
    assert wrote is not None
    assert (wrote.store.address, wrote.step.level.number) == (CODE - 1, 1)
