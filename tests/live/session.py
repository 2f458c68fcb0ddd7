"""GDB with gdbtools in it, attached to a guest: how the live tests speak to both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gdbtools.children.mi import Gdb
from gdbtools.children.processes import Qemu
from gdbtools.commands import COMMANDS
from gdbtools.machine.symbols import symbol_values
from gdbtools.repl.demo import files
from tests.places import ROOT

GUEST = files().guest
STORM = ROOT / "fixtures/guests/storm/storm.elf"
MIXED = ROOT / "fixtures/guests/mixed/mixed.elf"
INIT = files().init
CAPTURE = files().capture
SECONDS = 240.0
"""What no command takes, however busy the machine is."""
INSIDE = Path(__file__).resolve().parent / "inside.py"


@cache
def symbols() -> Mapping[str, int]:
    return symbol_values(GUEST)


def symbol(name: str) -> int:
    return symbols()[name]


MARK = "inside: "
"""Stands before an answer of Session.inside."""

LANDING = symbol("cpu_main")
"""Where a touch routine returns to, when a test calls it."""


@dataclass(frozen=True)
class Leaf:
    """A scanned leaf of the guest's regions.c, `number` of region `region`, which has to be touched in its own page."""

    region: int
    va: int
    level: int
    number: int = 0

    @property
    def word(self) -> int:
        """The address in it that the guest's workload reads and writes."""
        leaf_bytes = 4096 << 9 * (3 - self.level)
        pa = symbol("pool_start") + (self.region * 16 + self.number) * 4096
        return self.va + self.number * leaf_bytes + pa % leaf_bytes + 16

    @property
    def code(self) -> int:
        """The address in it that the guest's workload executes."""
        return self.word - 16


@dataclass(frozen=True)
class Session:
    """A GDB, and the commands that a test gives it."""

    gdb: Gdb

    def attach(self, guest: Path, where: str) -> None:
        """Attach to a guest whose stub is at that address or socket, with its symbols."""
        self.say(f"file {guest}")
        self.say(f"target remote {where}")

    def say(self, command: str, seconds: float = SECONDS) -> str:
        """Return what a command prints; it must not fail."""
        reply = self.gdb.run(command, seconds)
        assert not reply.error, f"{command}: {reply.error}"
        assert "Traceback" not in reply.text, reply.text
        assert "Python Exception" not in reply.text, reply.text
        return reply.text

    def refusal(self, command: str) -> str:
        """Return the error of a command that must fail: one line, and nothing else is printed."""
        reply = self.gdb.run(command, SECONDS)
        assert reply.error, f"{command} did not fail: {reply.text}"
        assert len(reply.error.splitlines()) == 1, reply.error
        assert len([line for line in reply.text.splitlines() if line.strip()]) <= 1, reply.text
        assert self.gdb.alive()
        return reply.error

    def ask(self, command: str) -> list[Any]:
        """Return the results of `mmu COMMAND --json`."""
        return _results(command, _json_lines(self.say(f"mmu {command} --json")))

    def ask_mi(self, command: str) -> list[Any]:
        """Return the results of `-mmu COMMAND`: in the result record, or printed by a command that runs the guest."""
        reply = self.gdb.run(f"-mmu {command}", SECONDS)
        assert not reply.error, reply.error
        return _results(command, reply.results.get("answers") or _json_lines(reply.text))

    def interrupt(self, seconds: float = SECONDS) -> None:
        """Stop what runs in the background; the stop comes when it comes."""
        self.say("interrupt")
        deadline = time.monotonic() + seconds
        while self.inside("gdb.selected_thread().is_running()"):
            assert time.monotonic() < deadline, "the guest did not stop"

    def inside(self, expression: str) -> Any:
        """Evaluate a Python expression in GDB, where the functions of inside.py are at hand."""
        # Marked: a guest that stops meanwhile is announced by GDB before the answer or after it.
        _, marked, answer = self.say(f"python print('{MARK}' + json.dumps({expression}))").partition(MARK)
        assert marked, f"{expression}: no answer"
        return json.JSONDecoder().raw_decode(answer)[0]

    def verdict(self) -> tuple[str, Any]:
        """Return the sentence that `mmu fault` begins with, in a terminal as in JSON, and all that JSON has."""
        (answer,) = self.ask("fault")
        sentence = str(answer["sentence"])
        shown = self.say("mmu fault").strip().partition("\n\n")[0]
        assert " ".join(shown.split()) == sentence
        return sentence, answer

    def value(self, expression: str) -> int:
        return int(self.inside(f"value({expression!r})"))

    def physical_mode(self) -> str:
        return str(self.inside("packet('qqemu.PhyMemMode')"))

    def descriptor(self, pa: int) -> int:
        return int.from_bytes(bytes.fromhex(self.inside(f"peek({pa}, 8)")), "little")

    def poke(self, pa: int, value: int) -> None:
        assert self.inside(f"poke({pa}, {value}, 8)") == "OK"

    def state(self) -> Any:
        """Everything of the guest that a command could change: registers, tables, the stub's mode, what is selected."""
        return self.inside("state()")

    def set_registers(self, **values: int | str) -> None:
        for name, value in values.items():
            self.say(f"set ${name} = {value}")


def _json_lines(printed: str) -> list[str]:
    """Leave out what GDB itself prints when the guest stops."""
    return [line for line in printed.splitlines() if line.startswith("{")]


def _results(command: str, lines: list[str]) -> list[Any]:
    found = [json.loads(line) for line in lines]
    assert {(line["schema"], line["command"]) for line in found} == {("gdbtools/1", COMMANDS[command.split()[0]].name)}
    return [line["result"] for line in found]


@dataclass(frozen=True)
class Live(Session):
    """A session attached to the demo's guest."""

    qemu: Qemu

    def to_scan(self) -> None:
        """Run until the guest is about to clear access flags: the MMU and, with more than one, all CPUs are on."""
        self.say("hbreak clear_access_flags")
        self.say("continue")
        self.say("delete")

    def to_fault(self) -> None:
        """Run to the first fault, at a vector entry; the catch stays."""
        self.to_scan()
        self.say("mmu catch access-flag")
        self.say("continue")

    def touch(self, routine: str, va: int, value: int = 0) -> str:
        """Have the guest call a touch routine at EL1; gives what GDB says when it stops."""
        self.say(f"tbreak *{LANDING}")
        self.set_registers(pc=symbol(routine), x0=va, x1=value, x30=LANDING)
        return self.say("continue")

    def landed(self) -> bool:
        """Return whether the routine has come back from its touch."""
        return self.value("$pc") == LANDING


@contextmanager
def gdb_session(gdb_path: str) -> Iterator[Session]:
    """A GDB with gdbtools in it, attached to nothing."""
    with Gdb(gdb_path, INIT) as gdb:
        session = Session(gdb)
        session.say(f"source {INSIDE}")
        yield session


@contextmanager
def attached(
    gdb_path: str,
    cpus: int = 1,
    extra: Sequence[str] = (),
    machine: str = "virt",
    guest: Path = GUEST,
    through: Callable[[Path], str] = str,
    cpu: str = "cortex-a57",
) -> Iterator[Live]:
    """GDB on a guest, the demo's, at reset; `through` says how it reaches the stub's socket."""
    with Qemu(guest, cpus, cpu, extra=extra, machine=machine) as qemu, gdb_session(gdb_path) as session:
        live = Live(session.gdb, qemu)
        live.attach(guest, through(qemu.gdbstub))
        yield live
