"""What GDB is attached to, as a `Machine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import gdb

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import Architecture
from gdbtools.errors import Unavailable
from gdbtools.live.console import monitor
from gdbtools.live.core import CoreFile, has_core
from gdbtools.live.stub.attaching import no_machine, put_right
from gdbtools.live.stub.memory import StubMemory
from gdbtools.live.stub.registers import LiveRegisters
from gdbtools.live.stub.rsp import open_wire
from gdbtools.live.stub.undecoded import undecoded
from gdbtools.machine.live.gdbstub import StubLost
from gdbtools.machine.live.process import Life, qemu_life
from gdbtools.machine.live.qemu_ram import GuestRam, Window, look_into
from gdbtools.machine.model import Cpu, Live, Machine


@dataclass
class Attachment:
    """One connection to a stub, and what need be asked of it only once."""

    connection: gdb.RemoteTargetConnection
    stub: StubMemory
    memory: GuestRam
    constants: dict[str, int | None] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    """The stub's own numbers of its registers; empty until somebody speaks to it past GDB."""

    foreign: str = ""
    """What is to be said of a target that is no machine; empty for one that is."""

    guest: Life | None = None
    """Which run of which QEMU answers; None where that cannot be seen from here."""

    def has_another_guest_than(self, before: Attachment) -> bool:
        """Return whether this is shown to be another guest than an attachment before it had: it may be without."""
        return None not in (self.guest, before.guest) and self.guest != before.guest

    @cached_property
    def _version(self) -> str:
        return self.monitor("info version").strip()

    def version(self) -> str:
        """Return QEMU's version, empty where nobody says it."""
        return self._version

    def monitor(self, command: str) -> str:
        """Return what QEMU's monitor prints, empty where there is none; inside a stop, too, where GDB refuses it."""
        wire = open_wire(self.connection.details or "") if self.connection.is_valid() else None
        if wire is None:
            try:
                return monitor(command)
            except gdb.error:
                return ""
        try:
            return wire.monitor(command)
        except StubLost:
            return ""
        finally:
            wire.close()

    def release(self) -> None:
        """Switch physical memory mode off, if the connection still stands to do it on."""
        if self.connection.is_valid():
            self.stub.release()

    def make_sure(self) -> None:
        """Raise `Unavailable` if what the stub has answered cannot be believed: its answers are others' answers."""
        if self.connection.is_valid():
            self.stub.order.check()


def attach(connection: gdb.RemoteTargetConnection) -> Attachment:
    """Make an attachment of a connection, whose stub reads virtual memory as GDB expects."""
    stub = StubMemory(connection)
    # A guest that runs cannot be asked; what it was when GDB attached has been put right then.
    foreign = ""
    with suppress(gdb.error):
        put_right(connection)
        foreign = no_machine(connection)

    def look() -> Sequence[Window]:
        """Find the RAM of a QEMU on this host; a stub that is none has no monitor to ask."""
        if not stub.supported():
            return ()
        try:
            return look_into(peer, monitor)
        except gdb.error:
            return ()

    peer = _peer(connection)
    return Attachment(connection, stub, GuestRam(stub, look), foreign=foreign, guest=qemu_life(peer))


def _peer(connection: gdb.RemoteTargetConnection) -> int | None:
    """Return the process that answers, None where it is not known to be on this host."""
    wire = open_wire(connection.details or "")
    if wire is None:
        return None
    try:
        return wire.peer
    finally:
        wire.close()


class LiveCpus(Sequence[Cpu]):
    """The CPUs of a stub, the selected one first: GDB asks the stub again each time it is asked for the others."""

    def __init__(self, selected: gdb.InferiorThread, attachment: Attachment, architecture: Architecture) -> None:
        self._attachment, self._architecture = attachment, architecture
        self._cpus = [self._cpu(selected)]
        self._complete = False

    def _cpu(self, thread: gdb.InferiorThread) -> Cpu:
        attachment, own = self._attachment, self._architecture
        asked = attachment.monitor, attachment.version
        registers = LiveRegisters(thread, attachment.release, own, *asked, attachment.constants)
        return Cpu(thread.num - 1, registers)

    def _all(self) -> list[Cpu]:
        if not self._complete:
            self._attachment.release()
            others = (self._cpu(thread) for thread in gdb.selected_inferior().threads())
            known = self._cpus[0].number
            self._cpus += sorted((cpu for cpu in others if cpu.number != known), key=lambda cpu: cpu.number)
            self._complete = True
        return self._cpus

    @overload
    def __getitem__(self, index: int) -> Cpu: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Cpu]: ...
    def __getitem__(self, index: int | slice) -> Cpu | Sequence[Cpu]:
        return self._cpus[0] if index == 0 else self._all()[index]

    def __len__(self) -> int:
        return len(self._all())


@dataclass
class Target:
    """The selected inferior; follows it when the user attaches elsewhere, or opens a core file."""

    core: CoreFile
    attachment: Attachment | None = None

    def attached(self) -> Attachment:
        """Return the attachment, or raise `Unavailable` with what to do.

        Whether the guest is stopped is `stopped`'s question: while GDB decides about a breakpoint it still calls the
        guest running, although every register can be read.
        """
        connection = gdb.selected_inferior().connection
        if connection is None:
            raise Unavailable("nothing is attached; start QEMU with -s and say: target remote localhost:1234")
        if has_core():
            raise Unavailable("a core file is no guest that runs; for this attach to QEMU's gdbstub")
        if not isinstance(connection, gdb.RemoteTargetConnection):
            raise Unavailable(f"the target is {connection.description or connection.type}, not a gdbstub with an MMU")
        if gdb.selected_thread() is None:
            raise Unavailable("no CPU is selected; choose one with: thread 1")
        if self.attachment is None or self.attachment.connection is not connection:
            self.attachment = attach(connection)
        self.attachment.stub.order.believe()
        return self.attachment

    def connected(self) -> bool:
        """Return whether what was attached last still is."""
        return self.attachment is not None and self.attachment.connection.is_valid()

    def stopped(self) -> None:
        """Raise `Unavailable` if a guest is attached and running: for what a user asks at the prompt."""
        if has_core():
            return
        self.attached()
        thread = gdb.selected_thread()
        if thread is not None and thread.is_running():
            raise Unavailable("the guest is running; interrupt it first (Ctrl-C)")

    def machine(self, live: Live) -> Machine:
        """Return the machine as it stands at this stop, or as the core file has it."""
        core = self.core.machine()
        if core is not None:
            return core
        attachment = self.attached()
        name = gdb.newest_frame().architecture().name()
        if attachment.foreign:
            raise Unavailable(attachment.foreign)
        architecture = ARCHITECTURES.of_gdb(name)
        if architecture is None:
            raise Unavailable(undecoded(name, ARCHITECTURES))
        selected = gdb.selected_thread()
        assert selected is not None, "attached() saw to it"
        cpus = LiveCpus(selected, attachment, architecture)
        return Machine(architecture, attachment.memory, cpus, selected.num - 1, live)
