"""What one `fault` reads: nothing twice, although several parts of the answer begin at the same tables."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gdbtools.addresses import PA
from gdbtools.analysis import isolation
from gdbtools.commands.fault.run import Answer, Options, run
from gdbtools.commands.session import Session
from gdbtools.errors import Refused, Unreadable
from gdbtools.machine.layers import Remembered
from gdbtools.machine.model import Machine, PhysicalMemory
from gdbtools.machine.sources import open_source
from tests.arch.x86_64.test_page_faults import IDT, REGISTERS, image
from tests.commands.test_map import saved
from tests.isolated import Isolated


@dataclass
class Counting:
    """Memory that counts what is read of it, by (physical address, size)."""

    under: PhysicalMemory
    reads: Counter[tuple[PA, int]] = field(default_factory=Counter)

    @property
    def description(self) -> str:
        return self.under.description

    def read(self, pa: PA, size_bytes: int) -> bytes:
        self.reads[pa, size_bytes] += 1
        return self.under.read(pa, size_bytes)

    def write(self, pa: PA, data: bytes) -> None:
        self.under.write(pa, data)


def asked(machine: Machine) -> tuple[Answer, Counter[tuple[PA, int]]]:
    """Return the answer to `fault`, and how often it has read what."""
    counting = Counting(machine.memory)
    (answer,) = run(Session(replace(machine, memory=counting)), Options())
    return answer, counting.reads


@pytest.fixture
def page_fault(tmp_path: Path) -> Machine:
    """An x86 at the first instruction of #PF's handler."""
    (tmp_path / "ram").write_bytes(image(2))
    (tmp_path / "registers").write_text(json.dumps({name: hex(value) for name, value in REGISTERS.items()}))
    return open_source(f"{tmp_path / 'ram'}@0x0", registers=str(tmp_path / "registers"), architecture="x86_64")


@pytest.fixture
def process(tmp_path: Path) -> Machine:
    """A process of a kernel that hides itself from it, with the registers of the last exception."""
    guest = Isolated()
    registers = guest.at_el0(ESR_EL1=0x9200_0047, FAR_EL1=0x40_0000, ELR_EL1=0x40_1000, SPSR_EL1=0)
    _, source, _, named, *_ = saved(guest.lower, tmp_path, registers)
    return open_source(source, registers=named)


def test_the_descriptor_table_and_every_other_place_are_read_once(page_fault: Machine) -> None:
    answer, reads = asked(page_fault)
    assert answer.diagnosis.entry == "#PF"
    assert sum(often for (pa, _), often in reads.items() if pa >> 12 == IDT >> 12) == 1
    assert set(reads.values()) == {1}


def test_a_reduced_space_is_looked_for_once(process: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    few = isolation._few
    monkeypatch.setattr(isolation, "_few", lambda *each: looked.append(each) or few(*each))
    answer, reads = asked(process)
    assert answer.diagnosis.belongs.overwritten
    assert len(looked) == 1
    assert set(reads.values()) == {1}


def test_what_cannot_be_read_is_asked_for_once_too_and_nothing_is_written() -> None:
    asked: list[PA] = []

    class Nothing:
        description = "nothing"

        def read(self, pa: PA, size_bytes: int) -> bytes:
            asked.append(pa)
            raise Unreadable(pa, size_bytes, "nothing is there")

        def write(self, pa: PA, data: bytes) -> None:
            raise AssertionError("it writes")

    memory = Remembered(Nothing())
    for _ in range(2):
        with pytest.raises(Unreadable, match="nothing is there"):
            memory.read(PA(8), 8)
    assert asked == [8]
    assert memory.description == "nothing"
    with pytest.raises(Refused, match="writes nothing"):
        memory.write(PA(8), b"")
