"""Serving faults over the wire while GDB waits: one round trip to read a stop, one to repair it and run on.

GDB keeps the breakpoints inserted, and knows nothing of what happens meanwhile.  What is not a fault to repair is
handed back to it as the guest stands, at the breakpoint: GDB resumes, hits it at once, and decides as ever.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gdbtools.addresses import VA
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Stub
from gdbtools.errors import Unavailable
from gdbtools.live.interrupt import EVERY_SECONDS, Interrupt
from gdbtools.machine.live.gdbstub import Silent, StubLost, Wire
from gdbtools.machine.model import Cpu, Machine, PhysicalMemory, Served

_THREAD = re.compile(rb"thread:([^;]+);")
SIGTRAP = b"05"
ATTEMPTS = 8
"""QEMU 7.2 says now and then that it has stepped, and has not; a vector that leads to itself is one that never does."""


@dataclass
class RegisterPlan:
    """The registers that a stop is read by: what was asked for at earlier ones, in one piece."""

    architecture: Architecture
    numbers: Mapping[str, int]
    constants: dict[str, int | None]
    version: Callable[[], str]
    """QEMU's, empty where nobody says it."""
    names: list[str] = field(default_factory=list)
    packets: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    """How many bytes a register's answer had."""

    def number(self, name: str) -> int | None:
        return self.numbers.get(name, self.numbers.get(self.architecture.identity.stub_names.get(name, "")))

    def learn(self, name: str, number: int) -> None:
        """Read a register at each stop from the next on."""
        if name in self.names:
            return
        self.names.append(name)
        self.packets.append(f"p{number:x}")


@dataclass
class StopRegisters:
    """One CPU's registers at one stop: the planned ones are there, another is fetched and planned from then on."""

    wire: Wire
    plan: RegisterPlan
    select: str
    number: int
    """The CPU's."""
    values: dict[str, int]

    def read(self, name: str) -> int:
        found = self.plan.architecture.from_stub(name, self._stub)
        if found is None:
            raise Unavailable(f"this gdbstub does not give {name}")
        return found

    def size_bytes(self, name: str) -> int | None:
        """Return how long the stub has given a register, which it need not have shown before."""
        self.given(name)
        return self.plan.sizes.get(name)

    @cached_property
    def _stub(self) -> Stub:
        return Stub(self.number, self.given, self.wire.monitor, self.plan.version)

    def given(self, name: str) -> int | None:
        """Return what the stub gives by a name, None where it has no such register."""
        value = self.values.get(name)
        if value is not None:
            return value
        constants = self.plan.constants
        return constants[name] if name in constants else self._fetch(name)

    def _fetch(self, name: str) -> int | None:
        number = self.plan.number(name)
        found = None
        if number is not None:
            _, answer = self.wire.ask([self.select, f"p{number:x}"])
            found = register_value(answer)
            self.plan.sizes[name] = len(answer) // 2
        if found is None or number is None or self.plan.architecture.identity.is_constant(name):
            self.plan.constants[name] = found
        else:
            self.plan.learn(name, number)
            self.values[name] = found
        return found

    def names(self) -> Sequence[str]:
        return tuple(self.plan.numbers)


def register_value(answer: bytes) -> int | None:
    """Return the value of an answer to `p`: bytes in the target's order; None for an error."""
    try:
        return int.from_bytes(bytes.fromhex(answer.decode("ascii")), "little") if answer else None
    except ValueError:
        return None


@dataclass
class Relay:
    """A loop of stops and repairs over one wire.  `threads`: each CPU's number by its thread, as the stub writes it."""

    wire: Wire
    architecture: Architecture
    memory: PhysicalMemory
    release: Callable[[], None]
    """Leave the stub as GDB expects it before the guest runs."""
    plan: RegisterPlan
    threads: Mapping[str, int]
    entries: Mapping[VA, str]
    shared: Callable[[Machine], bool]
    """Whether GDB has to decide about a CPU's stop: a breakpoint of the user's may want it."""
    thread: str = ""
    """Where the guest stopped last."""
    ended: str = ""
    """What else than the handler or an interrupt ended it."""
    _resume: list[str] = field(default_factory=list)
    """What is sent together with the next resumption."""
    _owed: int = 0
    """How many answers come before the next stop."""

    def run(self, handle: Callable[[Machine], Served], interrupt: Interrupt, start: str = "") -> bool:
        """Serve until `handle` wants no more or an interrupt comes (True), or GDB has to decide (False).

        `start` is the thread at which the guest stands, if nothing has been done about that stop yet.  A wire that
        breaks raises `StubLost`.
        """
        if start:
            self.thread = start
            if not self._first_stop(handle):
                return self._flushed(True)
        waiting = select.poll()
        waiting.register(self.wire, select.POLLIN)
        waiting.register(interrupt, select.POLLIN)
        while True:
            self._go("vCont;c")
            signal, self.thread = self._stop(waiting, interrupt)
            stopped = self._read_stop()
            served = self._serve_all(stopped, handle)
            if served is None or interrupt.wanted:
                return self._flushed(True)
            if signal != SIGTRAP:
                self.ended = f"stopped by signal {int(signal, 16)}"
                return self._flushed(True)
            if not self._settled(stopped, served):
                return self._flushed(False)

    def _first_stop(self, handle: Callable[[Machine], Served]) -> bool:
        """Serve what stands at a vector, and have the CPU that GDB stopped at leave its breakpoint."""
        stopped = self._read_stop()
        served = self._serve_all(stopped, handle)
        if served is None:
            return False
        machine = self._machine(self.thread, stopped[self.thread])
        at_entry = machine.register(self.architecture.pc) in self.entries
        here = served.get(self.thread, Served(True))
        if here.registers is None and (at_entry or self.shared(machine)):
            self._step()
            here.was_passed_on()
        return True

    def _serve_all(
        self, stopped: Mapping[str, StopRegisters], handle: Callable[[Machine], Served]
    ) -> Mapping[str, Served] | None:
        """Show each CPU at a vector to the handler: gives what becomes of it by thread, None if it wants no more."""
        served: dict[str, Served] = {}
        goes_on = True
        for thread, registers in stopped.items():
            if registers.read(self.architecture.pc) in self.entries:
                # All of them, even when one is enough: none is to be left at a vector that can be spared it.
                served[thread] = self._serve(thread, registers, handle)
                goes_on &= served[thread].goes_on
        return served if goes_on else None

    def _go(self, how: str) -> None:
        """Send what repairs left to do, and run; the answers are waited for with the next stop."""
        self.release()
        self._owed = len(self._resume)
        self.wire.send([*self._resume, how])
        self._resume = []

    def _flushed(self, ended: bool) -> bool:
        if self._resume:
            batch, self._resume = self._resume, []
            if any(answer != b"OK" for answer in self.wire.ask(batch)):
                raise StubLost("the gdbstub would not set the registers")
        self.release()
        return ended

    def _stop(self, waiting: select.poll, interrupt: Interrupt) -> tuple[bytes, str]:
        """Wait for the guest to stop; an interrupt stops it.  Returns the signal and the thread."""
        asked = False
        while (packet := self.wire.received()) is None or self._owed:
            if packet is not None:
                self._owed -= 1
                if packet != b"OK":
                    raise StubLost("the gdbstub would not set the registers")
                continue
            waiting.poll(1000 * EVERY_SECONDS if asked else None)
            if interrupt.given_up:
                raise Silent("the gdbstub does not answer")
            if interrupt.wanted and not asked:
                # Once: when the guest has stopped already, it is ignored, and the stop is on its way.
                asked = True
                waiting.unregister(interrupt)
                self.wire.interrupt()
                interrupt.told()
                continue
            self.wire.receive()
        thread = _THREAD.search(packet)
        if packet[:1] != b"T" or thread is None:
            raise StubLost(f"the gdbstub says {packet!r}")
        return packet[1:3], thread[1].decode("ascii")

    def _read_stop(self) -> Mapping[str, StopRegisters]:
        """Read the CPU that stopped, and whichever else stands at a vector: faults that came together."""
        if len(self.threads) == 1:
            return {self.thread: self._registers(self.thread, self.wire.ask(self.plan.packets))}
        others = [thread for thread in self.threads if thread != self.thread]
        batch = [f"Hg{self.thread}", *self.plan.packets]
        planned = len(batch)
        for thread in others:
            batch += [f"Hg{thread}", self._pc]
        answers = self.wire.ask(batch)
        stopped = {self.thread: self._registers(self.thread, answers[1:planned])}
        standing = answers[planned + 1 :: 2]
        also = [thread for thread, at in zip(others, standing, strict=True) if register_value(at) in self.entries]
        if also:
            batch = [packet for thread in also for packet in (f"Hg{thread}", *self.plan.packets)]
            answers = self.wire.ask(batch)
            for at, thread in enumerate(also):
                stopped[thread] = self._registers(thread, answers[at * planned + 1 : (at + 1) * planned])
        return stopped

    @property
    def _pc(self) -> str:
        return f"p{self.plan.numbers[self.architecture.pc]:x}"

    def _registers(self, thread: str, answers: Sequence[bytes]) -> StopRegisters:
        values = {}
        for name, answer in zip(self.plan.names, answers, strict=True):
            value = register_value(answer)
            if value is not None:
                values[name] = value
                self.plan.sizes[name] = len(answer) // 2
        return StopRegisters(self.wire, self.plan, f"Hg{thread}", self.threads[thread], values)

    def _serve(self, thread: str, registers: StopRegisters, handle: Callable[[Machine], Served]) -> Served:
        """Show a CPU to the handler, and send it where that says with the next resumption."""
        served = handle(self._machine(thread, registers))
        if served.registers is not None:
            self._resume += [registers.select] if len(self.threads) > 1 else []
            self._resume += [self._set(registers, name, value) for name, value in served.registers.items()]
        return served

    def _set(self, registers: StopRegisters, name: str, value: int) -> str:
        """Return the packet that sets a register: as long as the stub has given it, which was read at this stop."""
        number, size_bytes = self.plan.number(name), registers.size_bytes(name)
        if number is None or size_bytes is None:
            raise Unavailable(f"this gdbstub does not say how long {name} is, so it cannot be set")
        return f"P{number:x}={value.to_bytes(size_bytes, 'little').hex()}"

    def _machine(self, thread: str, registers: StopRegisters) -> Machine:
        number = self.threads[thread]
        return Machine(self.architecture, self.memory, (Cpu(number, registers),), number)

    def _settled(self, stopped: Mapping[str, StopRegisters], served: Mapping[str, Served]) -> bool:
        """Have the guest take an exception of its own, past the breakpoint; False if that is GDB's to decide."""
        here = served.get(self.thread)
        if here is not None and here.registers is not None:
            return True
        if here is None or self.shared(self._machine(self.thread, stopped[self.thread])):
            return False
        self._step()
        here.was_passed_on()
        return True

    def _step(self) -> None:
        """Have the CPU that stopped, and no other, execute an instruction: QEMU steps past breakpoints."""
        self._flushed(True)
        select = [f"Hg{self.thread}"] if len(self.threads) > 1 else []
        before = self.wire.ask([*select, self._pc])[-1]
        for _ in range(ATTEMPTS):
            self.wire.ask([f"vCont;s:{self.thread}"])
            if self.wire.ask([*select, self._pc])[-1] != before:
                return
