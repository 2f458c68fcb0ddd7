"""KVM's machines without symbols: what is planted is found, and what does not lead back is not believed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from gdbtools.addresses import PA
from gdbtools.errors import Unreadable
from gdbtools.systems.kept_guests import KeptCpu, KeptGuest
from gdbtools.systems.linux.kvm.aarch64 import machines
from tests.tables import reader

RAM, BYTES = 0x4000_0000, 0x40000
LINEAR = 0xFFFF_2E11_0000_0000
"""What an address of the linear map has more than its physical one."""
TEXT = 0xFFFF_D47B_8660_E858
"""In the kernel's image, which nothing here leads to."""
VTCR = 0x8002_3558
"""40 bits from level 1, VMIDs of 8 bits."""
STAGE_AT, LIST_AT, ARRAY_AT, MM_AT = 0x9C8, 0x910, 0x8C0, 0x48
"""Within `struct kvm`: its second stage, KVM's list, its array of virtual CPUs, and its mm."""
STAGE_OF_CPU = 0x838
LEADER, NAME_AT, MM_OF_TASK, OWNER_AT = 100, 0x6B8, 0x400, 0x3A0
"""Within `struct task_struct`: the word that points to itself, the name, and its mm; within `struct mm_struct`."""
REGISTERS = reader({"HCR_EL2": 1 << 31, "cpsr": 0b0101, "VTTBR_EL2": 0, "VTCR_EL2": 0})
"""An nVHE host's, of whose EL1 nothing is known: all is found by the distance of the linear map."""


@dataclass
class Memory:
    """Physical memory, of which words and text are planted."""

    data: bytearray = field(default_factory=lambda: bytearray(BYTES))

    def put(self, pa: int, *words: int) -> None:
        struct.pack_into(f"<{len(words)}Q", self.data, pa - RAM, *words)

    def read(self, pa: PA, size_bytes: int) -> bytes:
        if not RAM <= pa <= RAM + BYTES - size_bytes:
            raise Unreadable(pa, size_bytes, "there is no memory")
        return bytes(self.data[pa - RAM : pa - RAM + size_bytes])

    def found(self, *roots: int) -> Sequence[KeptGuest]:
        return machines(REGISTERS, self.read, [(PA(RAM), BYTES)], roots)


KVM, ROOT, LAYOUT, NODE, MM, CPU = (RAM + each for each in (0x1000, 0x4000, 0x6000, 0x7000, 0x8000, 0xC000))
INIT, KTHREADD, OURS = RAM + 0x20000, RAM + 0x22000, RAM + 0x24000


def machine(memory: Memory, number: int, cpus: int = 1) -> int:
    """Plant a machine of that number, right behind the one before it, and return its root."""
    kvm, root = KVM + number * 0x1000, ROOT + number * 0x1000
    stage, layout, node, mm = kvm + STAGE_AT, LAYOUT + number * 0x100, NODE + number * 0x400, MM + number * 0x1000
    memory.put(stage, 1 << 8 | number + 1, root, LINEAR + layout, 0xB10D_5C96_0724, LINEAR + stage, VTCR)
    memory.put(layout, 40 | 1 << 32, LINEAR + root, TEXT, LINEAR + stage)
    memory.put(kvm + LIST_AT, TEXT, TEXT)
    memory.put(kvm + ARRAY_AT, 0, LINEAR + node | 2)
    memory.put(node, 0x10000, 0, LINEAR + kvm + ARRAY_AT, LINEAR + node + 24, LINEAR + node + 24)
    for index in range(cpus):
        cpu = CPU + (number + index) * 0x1000
        on = 0xFFFF_FFFF if index else number
        memory.put(node + 40 + index * 8, LINEAR + cpu)
        memory.put(cpu, LINEAR + kvm, 0, 0, TEXT, index << 32 | on, index)
        memory.put(cpu + STAGE_OF_CPU, LINEAR + stage)
    memory.put(kvm + MM_AT, LINEAR + mm)
    return root


def task(memory: Memory, pa: int, number: int, name: str, parent: int, sibling: int, mm: int) -> None:
    identity = pa + 0xF00
    memory.put(pa + MM_OF_TASK, mm, mm)
    memory.put(pa + (LEADER - 8) * 8, number | number << 32, 0xCA9A_2700, LINEAR + parent, LINEAR + parent)
    memory.put(pa + (LEADER - 2) * 8, LINEAR + sibling + (LEADER - 2) * 8, TEXT, LINEAR + pa)
    memory.put(pa + (LEADER + 5) * 8, LINEAR + identity)
    memory.put(identity, 2, LINEAR + pa + (LEADER + 6) * 8, 0, number, TEXT)
    memory.data[pa + NAME_AT - RAM : pa + NAME_AT - RAM + 16] = name.encode().ljust(16, b"\0")


def planted(cpus: int = 1) -> Memory:
    """Return a machine of a process called `qemu`, number 82."""
    memory = Memory()
    machine(memory, 0, cpus)
    task(memory, INIT, 1, "init", INIT, KTHREADD, 0)
    task(memory, KTHREADD, 2, "kthreadd", INIT, INIT, 0)
    task(memory, OURS, 82, "qemu", INIT, OURS, LINEAR + MM)
    memory.put(MM + OWNER_AT, LINEAR + OURS)
    return memory


def test_a_machine_is_found_by_its_root_with_its_vmid_layout_and_process() -> None:
    (found,) = planted().found(ROOT)
    assert (found.name, found.identifier, found.root) == ("qemu (82)", 1, ROOT)
    assert found.registers == {"VTTBR_EL2": 1 << 48 | ROOT, "VTCR_EL2": VTCR, "cpsr": 0b0101}
    assert found.cpus == (KeptCpu(0, 0),)
    assert found.limits == ()


def test_a_virtual_cpu_that_no_processor_has_is_on_none() -> None:
    (found,) = planted(cpus=2).found(ROOT)
    assert found.cpus == (KeptCpu(0, 0), KeptCpu(1, None))


def test_the_others_are_found_by_the_list_of_one() -> None:
    memory = planted()
    other = machine(memory, 1)
    memory.put(KVM + LIST_AT, LINEAR + KVM + 0x1000 + LIST_AT)
    memory.put(KVM + 0x1000 + LIST_AT, TEXT, LINEAR + KVM + LIST_AT)
    for first in (ROOT, other):
        found = {each.root: each for each in memory.found(first)}
        assert {root: each.identifier for root, each in found.items()} == {ROOT: 1, other: 2}
        assert (found[ROOT].cpus, found[other].cpus) == ((KeptCpu(0, 0),), (KeptCpu(0, 1),))


def moved(pa: int) -> Callable[[Memory], None]:
    """Have a pointer lead somewhere else."""

    def change(memory: Memory) -> None:
        (word,) = struct.unpack("<Q", memory.read(PA(pa), 8))
        assert word
        memory.put(pa, word + 0x40)

    return change


def renamed(memory: Memory) -> None:
    memory.data[KTHREADD + NAME_AT - RAM] = ord("K")


@pytest.mark.parametrize(
    "change",
    [moved(KVM + STAGE_AT + 16), moved(LAYOUT + 8), moved(LAYOUT + 24)],
    ids=["to how it is laid out", "from there to the root", "and back"],
)
def test_what_is_not_pointed_back_to_is_no_machine(change: Callable[[Memory], None]) -> None:
    memory = planted()
    change(memory)
    assert not memory.found(ROOT)


def test_a_control_register_that_is_not_laid_out_so_is_not_its() -> None:
    memory = planted()
    memory.put(KVM + STAGE_AT + 40, VTCR & ~(3 << 6))
    (found,) = memory.found(ROOT)
    assert "VTCR_EL2" not in found.registers
    assert any("VTCR_EL2 was not found" in each for each in found.limits)


def test_a_machine_that_no_cpu_was_loaded_with_has_no_vmid() -> None:
    memory = planted()
    memory.put(KVM + STAGE_AT, 0)
    (found,) = memory.found(ROOT)
    assert found.identifier is None
    assert any("no VMID" in each for each in found.limits)


@pytest.mark.parametrize("at", [0, STAGE_OF_CPU], ids=["to the machine", "to its second stage"])
def test_a_virtual_cpu_that_does_not_point_back_is_none(at: int) -> None:
    memory = planted()
    moved(CPU + at)(memory)
    (found,) = memory.found(ROOT)
    assert (found.cpus, found.name) == ((), "")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (moved(OURS + MM_OF_TASK), ""),
        (moved(OURS + LEADER * 8), ""),
        (moved(OURS + (LEADER + 5) * 8), ""),
        (moved(OURS + 0xF00 + 24), ""),
        (renamed, "process 82"),
        (moved(INIT + (LEADER - 2) * 8), "process 82"),
    ],
    ids=["its mm", "its leader", "its struct pid", "the number there", "who is known", "the way there"],
)
def test_a_process_is_named_as_far_as_pointers_lead_back(change: Callable[[Memory], None], name: str) -> None:
    memory = planted()
    change(memory)
    (found,) = memory.found(ROOT)
    assert found.name == name
    assert found.cpus
