"""Asking hardware to set access flags: of which CPU, by which instruction, on all of them or on none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gdbtools.addresses import VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.errors import Refused, Unavailable
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.model import Cpu, Live, Machine
from gdbtools.repair import descriptor, hardware_flags
from gdbtools.repair.log import Log
from tests.tables import Tables

ARM = ARCHITECTURES["aarch64"]
TEXT = 0x8000_0000
MSR_TCR_EL1_X3, MSR_TCR_EL2_X3, ISB, NOP = 0xD5182043, 0xD51C2043, 0xD5033FDF, 0xD503201F
EL0, EL1, EL2 = 0b0000, 0b0101, 0b1001
HA, HD = 1 << 39, 1 << 40
E2H, TGE, TVM = 1 << 34, 1 << 27, 1 << 26
FINE_GRAINED = 1 << 32
"""HFGWTR_EL2.TCR_EL1."""
SETS_BOTH = 2 | 1 << 12


@dataclass
class World:
    """CPUs that share tables and text; a stub that steps what it is told to, but for `fails_at`."""

    cpus: int = 4
    changes: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """What each CPU has otherwise than the rest."""
    text: tuple[int, ...] = (MSR_TCR_EL1_X3, NOP, ISB)
    common: Mapping[str, int] = field(default_factory=dict)
    fails_at: int | None = None
    emptied: int = 0
    refuses_to_empty: bool = False

    def __post_init__(self) -> None:
        self.tables = Tables()
        self.tables.map(TEXT, 0x4400_0000, AP=0b10)
        for at in range(0, len(self.text), 2):
            pair = (*self.text[at : at + 2], 0)[:2]
            self.tables.memory[0x4400_0000 + 4 * at] = pair[0] | pair[1] << 32
        usual = {"ID_AA64MMFR1_EL1": SETS_BOTH, "HCR_EL2": 0, **self.common}
        self.registers = [
            dict(self.tables.registers(**{**usual, **self.changes.get(number, {})})) for number in range(self.cpus)
        ]
        self.current = 0
        self.steps = 0
        self.log = Log()

    @property
    def live(self) -> Live:
        return cast("Live", self)

    def machine(self, current: int | None = None) -> Machine:
        cpus = tuple(Cpu(number, FixedRegisters(each, "a test")) for number, each in enumerate(self.registers))
        return Machine(ARM, self.tables, cpus, self.current if current is None else current)

    @contextmanager
    def on(self, cpu: int) -> Iterator[Machine]:
        before, self.current = self.current, cpu
        try:
            yield self.machine()
        finally:
            self.current = before

    @contextmanager
    def keeping(self) -> Iterator[None]:
        before = dict(self.registers[self.current])
        try:
            yield
        finally:
            now = self.registers[self.current]
            now |= {name: value for name, value in before.items() if not name.startswith("TCR")}

    def step(self, address: VA, registers: Mapping[str, int]) -> None:
        self.steps += 1
        if self.steps == self.fails_at:
            raise Refused("the stub would not step")
        now = self.registers[self.current]
        now |= registers
        word = int.from_bytes(self.tables.read(0x4400_0000 + (address - TEXT) // 8 * 8, 8), "little")
        word = word >> 8 * (address % 8) & 0xFFFF_FFFF
        names = {MSR_TCR_EL1_X3: "TCR_EL2" if now["HCR_EL2"] & E2H else "TCR_EL1", MSR_TCR_EL2_X3: "TCR_EL2"}
        if word in names:
            now[names[word]] = now["x3"]
        now["pc"] = address + 4

    def empty_tlb(self) -> None:
        if self.refuses_to_empty:
            raise Refused("this stub empties nothing")
        self.emptied += 1

    def ask(self, on: bool = True, dirty: bool = False) -> None:
        planned = hardware_flags.plan(self.machine(), on, dirty)
        hardware_flags.make(self.machine(), self.live, self.log, "hardware-af", planned)

    def controls(self, name: str = "TCR_EL1") -> list[int]:
        return [each[name] for each in self.registers]


def refused(world: World, **asked: Any) -> str:
    """Return why nothing was asked; no CPU has changed, and nothing is left to undo."""
    before = world.controls()
    with pytest.raises(Refused) as why:
        world.ask(**asked)
    assert world.controls() == before
    assert not world.log.repairs
    return str(why.value)


def test_each_cpu_is_asked_on_itself_and_the_tlbs_emptied_once() -> None:
    world = World()
    before = world.controls()
    world.ask(dirty=True)
    assert world.controls() == [each | HA | HD for each in before]
    assert (world.emptied, world.current) == (1, 0)
    descriptor.undo(world.machine(), world.live, world.log, 1)
    assert world.controls() == before
    assert world.emptied == 2


@pytest.mark.parametrize("fails_at", range(1, 9))
def test_whichever_write_fails_those_before_it_are_put_back(fails_at: int) -> None:
    assert refused(World(fails_at=fails_at)) == "the stub would not step"


def test_tlbs_that_nobody_can_empty_have_all_put_back() -> None:
    assert "this stub empties nothing" in refused(World(refuses_to_empty=True))


def test_what_cannot_be_put_back_stays_in_the_log() -> None:
    world = World(fails_at=3)
    real = world.step

    def step(address: VA, registers: Mapping[str, int]) -> None:
        if world.steps >= 3:
            raise Refused("the stub is gone")
        real(address, registers)

    world.step = step  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match=r"CPU 0, 1 may be changed, and not put back: .*`mmu undo` tries again"):
        world.ask()
    assert [each.cpu for each in world.log.repairs[0].controls] == [0, 1, 2, 3]
    world.step = real  # type: ignore[method-assign]
    world.fails_at = None
    descriptor.undo(world.machine(), world.live, world.log, 1)
    assert set(world.controls()) == {Tables().registers()["TCR_EL1"]}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"cpsr": EL0}, "CPU 2: it is at EL0, which may not write TCR_EL1"),
        ({"cpsr": EL2, "SCTLR_EL2": 1, "TCR_EL2": 16, "TTBR0_EL2": 0}, "CPU 2: it is in the regime el2, and el1"),
        ({"ID_AA64MMFR1_EL1": 0}, "CPU 2: its hardware sets no access flags (ID_AA64MMFR1_EL1.HAFDBS=0b0000)"),
        ({"HCR_EL2": TVM}, "CPU 2: HCR_EL2.TVM has its write of TCR_EL1 trap to EL2"),
        ({"HFGWTR_EL2": FINE_GRAINED}, "CPU 2: HFGWTR_EL2.TCR_EL1 has its write of TCR_EL1 trap to EL2"),
    ],
)
def test_one_cpu_that_cannot_be_asked_keeps_all_as_they_are(changes: Mapping[str, int], why: str) -> None:
    said = refused(World(changes={2: changes}))
    assert said.startswith(why)
    assert said.endswith("; no CPU was changed")


def test_dirty_state_wants_hardware_that_does_it() -> None:
    access_flag_only = World(common={"ID_AA64MMFR1_EL1": 1 | 1 << 12})
    assert "its hardware sets no dirty state" in refused(access_flag_only, dirty=True)
    access_flag_only.ask()


def test_hardware_that_does_it_not_leaves_what_software_can() -> None:
    assert "; `mmu fixup` sets one, `mmu service` each that faults" in refused(World(common={"ID_AA64MMFR1_EL1": 0}))
    assert "; `mmu service --kinds dirty`" in refused(World(common={"ID_AA64MMFR1_EL1": 0}), dirty=True)


def test_a_cpu_whose_mmu_is_off_is_left_alone_and_said() -> None:
    world = World(changes={3: {"SCTLR_EL1": 0}})
    planned = hardware_flags.plan(world.machine(), True, False)
    assert [each.control.cpu for each in planned.writes] == [0, 1, 2]
    assert planned.left == {3: "its MMU is off; software turns it on as it is used to"}


def test_without_the_instruction_it_is_refused() -> None:
    assert "the guest has no instruction that writes TCR_EL1" in refused(World(text=(NOP, NOP, ISB)))


def test_off_takes_dirty_state_with_it() -> None:
    world = World(common={"TCR_EL1": Tables().registers()["TCR_EL1"] | HA | HD})
    world.ask(on=False)
    assert not any(each & (HA | HD) for each in world.controls())


@pytest.mark.parametrize("text", [(MSR_TCR_EL1_X3, ISB), (MSR_TCR_EL2_X3, ISB)])
def test_a_host_at_el2_writes_its_own_by_either_name(text: tuple[int, ...]) -> None:
    own = Tables().registers()
    host = {
        name.replace("EL1", "EL2"): value for name, value in own.items() if name.endswith("_EL1") and "ID_" not in name
    }
    world = World(cpus=2, text=text, common={**host, "cpsr": EL2, "HCR_EL2": E2H | TGE})
    world.ask()
    assert world.controls("TCR_EL2") == [own["TCR_EL1"] | HA] * 2
    assert world.controls() == [own["TCR_EL1"]] * 2


def test_undo_is_of_its_own_bits_and_refuses_what_somebody_changed() -> None:
    world = World(cpus=2)
    before = world.controls()
    world.ask()
    # As a kernel does on its way through another map.
    for each in world.registers:
        each["TCR_EL1"] ^= 1 << 22
    descriptor.undo(world.machine(), world.live, world.log, 1)
    assert world.controls() == [each ^ 1 << 22 for each in before]
    world.ask(dirty=True)
    world.registers[1]["TCR_EL1"] &= ~HD
    with pytest.raises(Refused, match=r"TCR_EL1 of CPU 1 is .* somebody changed it since; nothing was taken back"):
        descriptor.undo(world.machine(), world.live, world.log, 1)
    assert world.registers[0]["TCR_EL1"] & HA, "nor on the CPU where it could be"
