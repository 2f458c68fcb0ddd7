"""Whatever is in a file, gdbtools answers or refuses in one line: each parser, and files to begin with."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from unittest import mock

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.aarch64 import IDENTITY
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import Query, query, respond
from gdbtools.commands.session import Session
from gdbtools.errors import GdbtoolsError
from gdbtools.machine.layers import FixedRegisters, no_source
from gdbtools.machine.live import qemu
from gdbtools.machine.live.qemu_ram import RamRange, ram_ranges
from gdbtools.machine.live.qmp import Qmp
from gdbtools.machine.model import Cpu, Machine
from gdbtools.machine.sources import open_source
from gdbtools.machine.symbols import symbol_values
from gdbtools.numbers import number
from tests.machine.dumps.formats import Segment, flattened, kdump, lime, note, status, vmcore
from tests.places import ROOT
from tests.tables import Tables

PA, PAGE = 0x4000_0000, 4096
VALID_TABLE, VALID_PAGE, TO_PAGE = 0b11, 0b11 | 1 << 10, 0xFFFF_F000
EPD1 = 1 << 23
REGISTERS = Tables().registers(FAR_EL1=0x1000, ESR_EL1=0x9600_004F)
REGISTERS["TCR_EL1"] |= EPD1
QUESTIONS = (
    ("walk", "0", "0x1000", "0xffff000000000000", "--access", "write"),
    ("map",),
    ("map", "0x40000000,+0x200000"),
    ("fault",),
    ("capture", f"{tempfile.gettempdir()}/gdbtools-hostile-{os.getpid()}.core"),
)


def words(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def chain() -> bytes:
    """Tables as they should be: one at each level, and a page."""
    first = [words([PA + PAGE * (level + 1) | VALID_TABLE] + [0] * 511) for level in range(3)]
    return b"".join(first) + words([PA | VALID_PAGE, 0, PA + PAGE | VALID_PAGE | 1 << 7] + [0] * 509)


def loop() -> bytes:
    """A table that is its own next one at every level, and maps all of the address space to itself."""
    return words([PA | VALID_PAGE] * 512)


def thicket() -> bytes:
    """Tables that lead to one another, of ever other kinds of entries."""
    draw = random.Random(1)
    entry = lambda: PA + PAGE * draw.randrange(4) | VALID_PAGE | draw.getrandbits(1) << 7 if draw.random() < 0.7 else 0  # noqa: E731
    return b"".join(words([entry() for _ in range(512)]) for _ in range(4))


def captured(memory: bytes) -> bytes:
    """Return a core with tables, one CPU's registers in a gdbtools note, and another's general ones."""
    body = {"version": 1, "architecture": "aarch64", "current": 0}
    body["cpus"] = [{"registers": {name: hex(value) for name, value in REGISTERS.items()}}]
    notes = note(b"CORE", 1, status(pc=0x8000_0200)) + note(b"CORE", 1, status(2))
    notes += note(b"gdbtools", 0x4D4D55, json.dumps(body).encode()) + note(b"VMCOREINFO", 0, b"PAGESIZE=4096\n")
    return vmcore([Segment(PA, memory), Segment(PA + PAGE, memory[:PAGE]), Segment(1 << 40, bytes(64))], notes)


def blocks(memory: bytes) -> dict[int, bytes]:
    return {PA + at: memory[at : at + PAGE] for at in range(0, len(memory), PAGE)}


def expected() -> contextlib.AbstractContextManager[None]:
    """Let an expected error pass, which a face prints as one line whatever it quotes; any other ends the run."""
    return contextlib.suppress(GdbtoolsError)


@cache
def question(words: tuple[str, ...]) -> Query:
    """Return a command with its words read: once, because that takes longer than most answers."""
    name, *rest = words
    return query(COMMANDS[name], rest, number, "fuzz")


def asked(machine: Machine, words: tuple[str, ...]) -> None:
    """Ask, and have the answer recorded and laid out."""
    with expected():
        response = respond(question(words), Session(machine))
        _ = response.status, response.lines()
        if words[0] != "map":
            response.text()


def dump(path: Path) -> None:
    """Open a dump, read registers, and memory where it should be and where it should not."""
    with expected():
        machine = open_source(str(path))
        for cpu in machine.cpus:
            for name in cpu.registers.names():
                assert 0 <= cpu.registers.read(name) < 1 << 64
        for pa, size in ((PA, 8), (PA + PAGE - 4, 8), (PA, 4 * PAGE), (1 << 40, 64), (0, 8), ((1 << 64) - 4, 8)):
            with expected():
                assert len(machine.memory.read(pa, size)) == size
        asked(machine, ("walk", "0x1000"))


def tables(path: Path) -> None:
    """Ask everything of tables that are whatever they are."""
    with expected():
        machine = replace(open_source(f"{path}@{PA:#x}"), cpus=(Cpu(0, FixedRegisters(REGISTERS, "a test")),))
        for words in QUESTIONS:
            asked(machine, words)


def symbols(path: Path) -> None:
    with expected():
        assert all(isinstance(value, int) for value in symbol_values(path).values())


def registers(path: Path) -> None:
    with expected():
        machine = open_source(f"{path}@{PA:#x}", path)
        for words in QUESTIONS:
            asked(machine, words)


def log(path: Path) -> None:
    asked(no_source(ARCHITECTURES["aarch64"]), ("trace", str(path)))


def monitor(path: Path) -> None:
    """What a QEMU might say: each line is the answer to one question."""
    data = path.read_bytes()
    text = data.decode(errors="replace")
    ram_ranges(text, qemu.READABLE)
    with expected():
        qemu.MonitorMemory(lambda line: text, [RamRange(PA, PAGE, "ram", 0)], "").read(PA + 4, 64)
    qemu.general_registers(text, IDENTITY.monitor_names)
    ours, its = socket.socketpair()
    with ours, its, expected():
        its.setblocking(False)
        its.send(data[: 1 << 16])
        its.shutdown(socket.SHUT_WR)
        ours.settimeout(1)
        with ours.makefile("rb") as lines, mock.patch.object(qemu, "peer_of", return_value=None):
            machine = qemu.described(Qmp(ours, lines, "somewhere"), "somewhere")
            machine.memory.read(PA, 64)


@dataclass(frozen=True)
class Target:
    """What a file is given to, and files to begin with."""

    take: Callable[[Path], None]
    seeds: tuple[bytes, ...]


ELF = (ROOT / "fixtures/guests/tlb/tlb.elf").read_bytes()
GREETING = b'{"QMP": {"version": {}}}\r\n{"return": {}}\r\n'
ANSWERS = (
    [{"target": "aarch64"}],
    'FlatView #1\n AS "cpu-memory-0", root: system\n  0000000040000000-00000000bfffffff (prio 0, ram): ram @0000800\n',
    "CPU#0\n PC=0000000040200ebc X00=0000000084000008 SP=0000000040246ef0\nPSTATE=800003c5 N--- EL1h\n\nCPU#1\n PC=01",
    [{"label": "gdb", "filename": "unix:/nowhere"}],
    "\n".join(f"{PA + at:016x}: 0x{at:016x} 0x{at + 8:016x}" for at in range(0, 64, 16)),
)
SAID = (
    GREETING + b"".join(json.dumps({"return": each}).encode() + b"\n" for each in ANSWERS),
    GREETING + b'{"event": "STOP"}\n{"error": {"class": "GenericError", "desc": "not now"}}\n',
    *(each.encode() for each in ANSWERS if isinstance(each, str)),
)
LOGGED = (
    b'{"time": 0.1, "seconds": 0.01, "cpu": 0, "pc": "0x1", "symbol": "", "va": "0x2", "access": "read", "level": 3,'
)
LOGGED += b' "verdict": "repaired", "before": "0x3", "after": null, "around": 0}\n'
TARGETS = {
    "core": Target(dump, (captured(chain()),)),
    "lime": Target(dump, (lime([(PA, chain()), (1 << 40, b"x" * 8)]),)),
    "kdump": Target(dump, (kdump(blocks(chain()), note(b"CORE", 1, status())),)),
    "flattened": Target(dump, (flattened(kdump(blocks(loop()))),)),
    "tables": Target(tables, (chain(), loop(), thicket())),
    "symbols": Target(symbols, (ELF,)),
    "registers": Target(registers, (json.dumps({name: hex(value) for name, value in REGISTERS.items()}).encode(),)),
    "log": Target(log, (LOGGED * 2,)),
    "monitor": Target(monitor, SAID),
}
"""Every parser of what comes from outside."""


def together(path: Path) -> None:
    """Give a file to the parser that its first byte chooses: for a run that is too short for each of them."""
    data = path.read_bytes()
    if data:
        path.write_bytes(data[1:])
        list(TARGETS.values())[data[0] % len(TARGETS)].take(path)


TOGETHER = Target(
    together, tuple(bytes([number]) + seed for number, each in enumerate(TARGETS.values()) for seed in each.seeds)
)
