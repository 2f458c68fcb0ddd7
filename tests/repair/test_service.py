"""What a service decides at one stop, on tables in a test: repair, return, leave alone, give up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdbtools.arch import ARCHITECTURES
from gdbtools.commands.service import run as service_run
from gdbtools.commands.service import view as service_view
from gdbtools.commands.service.fault_log import FaultLog
from gdbtools.commands.session import Session
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Machine, Served
from gdbtools.render.text import render
from gdbtools.repair.log import Written
from gdbtools.repair.service import GUEST_LOOP, Policy, Service
from tests.tables import Tables

ARM = ARCHITECTURES["aarch64"]
PAGE = 1 << 12
VA = 0x10_0000
AF = 1 << 10
VECTORS = 0x4300_0000
(RETURN,) = ARM.gadgets.returns
READ, WRITE, TRANSLATION, SVC = 0x9600_000B, 0x9600_004B, 0x9600_0007, 0x5600_0000
READ_ONLY = 1 << 7


@dataclass
class World:
    """Tables with leaves from VA on whose flags are clear, vectors with an eret, and a service."""

    options: dict[str, Any] = field(default_factory=dict)
    tables: Tables = field(default_factory=Tables)
    went: list[int] = field(default_factory=list)
    """Where CPUs were sent."""

    def __post_init__(self) -> None:
        self.at = [self.tables.map(VA + index * PAGE, 0x4400_0000 + index * PAGE, AF=0) for index in range(64)]
        self.tables.map(VECTORS, VECTORS, AP=0b10)
        self.tables.memory[VECTORS + 0x80] = RETURN.match
        self.written = Written([])
        self.service = Service(Policy(**self.options), ARM.dirty, self.written)

    def machine(self, leaf: int, cpu: int = 0, esr: int = READ, pc: int = 0x5000) -> Machine:
        values = self.tables.registers(
            ESR_EL1=esr, FAR_EL1=VA + leaf * PAGE, ELR_EL1=pc, VBAR_EL1=VECTORS, pc=VECTORS + 0x200
        )
        registers = FixedRegisters(values, "a test")
        return Machine(ARM, self.tables, (Cpu(cpu, registers),), cpu)

    def fault(self, leaf: int, cpu: int = 0, esr: int = READ, pc: int = 0x5000) -> bool:
        served = self.service.handle(self.machine(leaf, cpu, esr, pc))
        self.went += [] if served.registers is None else [served.registers["pc"]]
        return served.goes_on

    def accessed(self) -> list[int]:
        return [index for index, pa in enumerate(self.at) if self.tables.memory[pa] & AF]


def test_a_log_that_cannot_be_written_ends_the_service_with_this_cpu_served() -> None:
    world = World()
    with FaultLog(Path("/dev/full")) as log:
        world.service = Service(Policy(), ARM.dirty, world.written, log.write)
        assert world.fault(1) is False
    assert world.accessed() == [1]
    assert world.went == [VECTORS + 0x80], "it is sent on"
    assert world.service.summary.total == 1
    assert "the log /dev/full cannot be written (No space left on device)" in str(world.service.summary.ended)


def test_a_fault_is_repaired_and_returns_through_the_guests_eret() -> None:
    world = World()
    assert world.fault(3)
    assert world.accessed() == [3]
    assert world.went == [VECTORS + 0x80]
    assert world.service.summary.total == 1


def test_a_fault_that_another_cpus_repair_cured_is_spurious_and_returns_too() -> None:
    world = World()
    assert world.fault(3, cpu=0)
    assert world.fault(3, cpu=1)
    assert (world.service.summary.total, world.service.summary.already) == (1, 1)
    assert len(world.went) == 2


def test_a_repaired_write_that_is_refused_next_returns_to_be_refused_for_that() -> None:
    """As copy on write has it: that the leaf is read-only is the guest's affair, and another fault."""
    world = World()
    world.tables.memory[world.at[3]] |= READ_ONLY
    assert world.fault(3, cpu=0, esr=WRITE)
    assert world.fault(3, cpu=1, esr=WRITE)
    assert (world.service.summary.total, world.service.summary.already) == (1, 1)
    assert len(world.went) == 2
    assert not world.fault(3, cpu=1, esr=WRITE), "a flag that is set and not seen"
    assert "whose access flag is set" in world.service.summary.ended


def test_a_spurious_fault_that_comes_again_is_a_loop() -> None:
    world = World()
    assert world.fault(3)
    assert world.fault(3)
    assert not world.fault(3)
    assert "a fault loop: pc 0x5000" in world.service.summary.ended
    assert "which permits it" in world.service.summary.ended


class Announcing:
    """A guest for which nothing faults until Ctrl-C, and what was said before it ran."""

    def __init__(self, **registers: int) -> None:
        self.said: list[str] = []
        self.said_before_it_ran: list[str] = []
        tables = Tables()
        tables.map(VA, 0x4400_0000, AP=0b10)
        cpu = Cpu(0, FixedRegisters(tables.registers(pc=VA, **registers), "a test"))
        self.session = Session(Machine(ARM, tables, (cpu,), 0, self))  # type: ignore[arg-type]

    def announce(self, text: str) -> None:
        self.said.append(text)

    def serve(self, handle: Callable[[Machine], Served]) -> str:
        self.said_before_it_ran = [*self.said]
        return "interrupted"

    def ask(self, *kinds: str) -> service_run.Summary:
        (answer,) = service_run.run(self.session, service_run.Options(kinds=[*kinds]))
        return answer


HARDWARE = {"TCR_EL1": int(Tables().registers()["TCR_EL1"]) | 1 << 39, "ID_AA64MMFR1_EL1": 1}


def test_where_hardware_sets_the_flags_that_is_said_before_the_guest_runs() -> None:
    guest = Announcing(**HARDWARE)
    answer = guest.ask()
    assert guest.said_before_it_ran == [
        "hardware sets access flags here (TCR_EL1.HA=1, ID_AA64MMFR1_EL1.HAFDBS=0b0001), so that nothing may ever "
        "fault for one; Ctrl-C ends the service"
    ]
    assert service_view.record(answer)["by_hardware"] is True
    assert "Hardware sets access flags here" in render(service_view.view(answer))


def test_where_software_sets_them_nothing_is_said() -> None:
    for registers in ({}, {**HARDWARE, "ID_AA64MMFR1_EL1": 0}, {"TCR_EL1": HARDWARE["TCR_EL1"] & ~(1 << 39)}):
        guest = Announcing(**registers)
        assert service_view.record(guest.ask())["by_hardware"] is False
        assert guest.said == []


def test_nor_where_only_the_dirty_state_is_served() -> None:
    guest = Announcing(**HARDWARE)
    guest.ask("dirty")
    assert guest.said == []


def test_spurious_faults_with_a_repair_between_them_are_none() -> None:
    world = World()
    for _ in range(5):
        world.tables.memory[world.at[3]] &= ~AF
        assert world.fault(3, cpu=0)
        assert world.fault(3, cpu=1)
    assert (world.service.summary.total, world.service.summary.already) == (5, 5)


def test_spurious_faults_that_a_neighbours_repair_cured_each_time_are_none() -> None:
    world = World({"around": 4})
    for _ in range(5):
        for pa in world.at:
            world.tables.memory[pa] &= ~AF
        assert world.fault(3, cpu=0)
        assert world.fault(4, cpu=1)
    assert (world.service.summary.total, world.service.summary.already) == (5, 5)


def test_around_sets_the_neighbours_and_counts_them_apart() -> None:
    world = World({"around": 4})
    assert world.fault(10)
    assert world.accessed() == [8, 9, 10, 11, 12]
    assert (world.service.summary.total, world.service.summary.around) == (1, 4)
    assert [len(each.changes) for each in world.written.changes] == [1, 4]


def test_by_default_no_neighbour_is_touched() -> None:
    world = World()
    world.fault(10)
    assert world.accessed() == [10]
    assert world.service.summary.around == 0


def test_what_comes_together_with_the_last_returns_unrepaired() -> None:
    world = World({"count": 1})
    assert not world.fault(3, cpu=0)
    assert not world.fault(7, cpu=1)
    assert world.accessed() == [3]
    assert len(world.went) == 2
    assert world.service.summary.ended == "1 fault repaired, as asked"


def test_an_exception_that_is_no_fault_is_left_alone_however_often() -> None:
    world = World()
    assert all(world.fault(3, esr=SVC) for _ in range(3 * GUEST_LOOP))
    assert world.went == []


def test_a_fault_of_the_guests_own_in_a_loop_ends_it_in_the_end_and_not_before() -> None:
    world = World()
    times = sum(1 for _ in iter(lambda: world.fault(99, esr=TRANSLATION), False))
    assert times > GUEST_LOOP
    assert "a fault loop" in world.service.summary.ended
    assert world.went == []


def test_the_guests_own_faults_at_changing_places_are_no_loop() -> None:
    world = World()
    assert all(world.fault(99, esr=TRANSLATION, pc=0x5000 + 4 * (n % 2)) for n in range(5 * GUEST_LOOP))
