"""What is known of QEMU that does not do what the manual refuses is said beside the refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Stub
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query
from gdbtools.commands.session import Session
from gdbtools.errors import MissingRegister
from gdbtools.machine.layers import MemoryRange, Ranges
from gdbtools.machine.model import Cpu, Machine
from tests.arch.riscv.machine import AD, RAM, R, V, W, pte

RISCV = ARCHITECTURES["riscv64"]
SV39 = 8 << 60
ADUE = 1 << 61


@dataclass
class Given:
    """Registers as a gdbstub of QEMU's gives them."""

    values: Mapping[str, int]
    version: str
    origin = "a stub"

    def read(self, name: str) -> int:
        stub = Stub(0, self.values.get, lambda _: "", lambda: self.version)
        value = RISCV.from_stub(name, stub)
        if value is None:
            raise MissingRegister("no", (name,), "none")
        return value

    def names(self) -> list[str]:
        return [*self.values]


def said(version: str, flags: int, *words: str, menvcfg: int = 0) -> tuple[str, list[str]]:
    """Return what `walk` says of an access to the first gigabyte, in words and as notes in JSON."""
    table = pte(0x4000_0000, V | flags).to_bytes(8, "little").ljust(4096, b"\0")
    memory = Ranges((MemoryRange(PA(RAM), 4096, lambda at, size: table[at : at + size]),), "RAM")
    registers = Given({"satp": SV39 | RAM >> 12, "mstatus": 0, "priv": 1, "menvcfg": menvcfg, "pc": 0}, version)
    session = Session(Machine(RISCV, memory, (Cpu(0, registers),)))
    command = COMMANDS["walk"]
    answers = command.run(session, query(command, ["0x1000", *words], lambda text: int(text, 0), "test").options)
    (answer,) = answers
    return str(command.view(answer)), command.implementation().record(answer)["notes"]


@pytest.mark.parametrize(("flags", "access"), [(R | W, "read"), (R | W | AD & ~(1 << 7), "write")])
def test_qemu_7_2_sets_a_and_d_whatever_menvcfg_says_and_a_refusal_says_so(flags: int, access: str) -> None:
    words = ("--access", access, "--privilege", "s")
    note = "QEMU 7.2 sets A and D itself, whatever menvcfg.ADUE says: it does not refuse this"
    text, notes = said("7.2.22 (Debian 1:7.2+dfsg-7)", flags, *words)
    assert note in text
    assert notes == [note]
    for version in ("10.0.2", "", "17.2.0"):
        text, notes = said(version, flags, *words)
        assert note not in text
        assert notes == []


def test_what_qemu_7_2_refuses_too_is_refused_without_a_word_of_it() -> None:
    text, notes = said("7.2.22", R | AD, "--access", "write", "--privilege", "s")
    assert "it is not writable" in text
    assert notes == []
