"""A QEMU as a source, through its QMP monitor and without GDB: `qmp:PATH`.  The guest is read and never changed.

Memory is read where QEMU keeps it, on the same host, or by the monitor's `xp`, and only where RAM or ROM is: to read a
device may change it.  Of the registers, the monitor gives the general ones; those of the system only a gdbstub has.
An idle one is asked, or one is opened for that moment, in a folder that nobody else may enter.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from gdbtools.addresses import PA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Stub, by_cpu
from gdbtools.errors import MissingRegister, Refused, Unavailable, Unreadable
from gdbtools.machine.dumps.dump import Dump
from gdbtools.machine.layers import FixedRegisters
from gdbtools.machine.live.gdbstub import StubLost, Wire, register_numbers
from gdbtools.machine.live.process import peer_of
from gdbtools.machine.live.qemu_ram import GuestRam, Monitor, RamRange, look_into, ram_ranges
from gdbtools.machine.live.qmp import ANSWER_SECONDS, Qmp, connected
from gdbtools.machine.model import Cpu, PhysicalMemory

READABLE = ("ram", "rom", "romd")
"""The kinds of memory that can be read without changing anything; of the others, devices may notice."""
CHUNK_BYTES = 1 << 16
_REGISTER = re.compile(r"\b(\w+)=([0-9a-f]+)")
_WORD = re.compile(r"0x([0-9a-f]{16})")
ONLY_READ = "a guest is only read through its monitor; to change it attach GDB to its gdbstub"
IDLE = "disconnected:"
"""How QEMU writes of a socket that nobody is connected to."""


@contextmanager
def attached(address: str, stop: bool) -> Iterator[Dump]:
    """Yield a stopped QEMU's machine; one that runs is held meanwhile if `stop` says so, else refused."""
    with connected(address) as qmp, _held(qmp, stop):
        yield described(qmp, address)


def described(qmp: Qmp, address: str) -> Dump:
    """Return the machine of a QEMU whose guest stands still."""
    try:
        kinds = {str(each["target"]) for each in qmp.ask("query-cpus-fast")}
        if len(kinds) != 1 or not kinds <= set(ARCHITECTURES):
            decoded = ", ".join(ARCHITECTURES)
            raise Unavailable(f"{address} is a QEMU of {', '.join(sorted(kinds))}; only {decoded} is decoded")
        (name,) = kinds
        return Dump(name, _memory(qmp, address), _cpus(qmp, address, ARCHITECTURES[name]))
    except (KeyError, TypeError, ValueError):
        raise Unavailable(f"{address} does not answer as QEMU does; which program is it?") from None


@contextmanager
def _held(qmp: Qmp, stop: bool) -> Iterator[None]:
    """Have the guest stand still; one that ran goes on afterwards, also where this program is told to end."""
    status = qmp.ask("query-status")
    if not (isinstance(status, dict) and status.get("running")):
        yield
        return
    if not stop:
        raise Refused(
            "the guest is running, and would change while it is read: say --stop to hold it for that long, or "
            "`stop` in its monitor"
        )

    def ended(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        sys.exit(128 + number)

    before = {each: signal.signal(each, ended) for each in (signal.SIGTERM, signal.SIGHUP)}
    qmp.ask("stop")
    try:
        yield
    finally:
        qmp.ask("cont")
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class ReadableMemory:
    """Physical memory of a guest that is to stay as it is; `ram` is where there is any."""

    under: PhysicalMemory
    ram: Sequence[RamRange]

    @property
    def description(self) -> str:
        return self.under.description

    def read(self, pa: PA, size_bytes: int) -> bytes:
        return self.under.read(pa, size_bytes)

    def places(self) -> Sequence[tuple[PA, int]]:
        """Return where memory is: (physical address, size in bytes)."""
        return [(each.pa, each.size_bytes) for each in self.ram]

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused(ONLY_READ)


@dataclass(frozen=True)
class MonitorMemory:
    """Physical memory as the monitor's `xp` prints it."""

    monitor: Monitor
    ranges: Sequence[RamRange]
    description: str

    def read(self, pa: PA, size_bytes: int) -> bytes:
        at, end = int(pa), pa + size_bytes
        for each in self.ranges:
            if each.pa <= at < each.pa + each.size_bytes:
                at = min(each.pa + each.size_bytes, end)
        if at < end:
            raise Unreadable(pa, size_bytes, "no RAM or ROM is there, and a device might notice")
        return b"".join(self._chunk(PA(first), min(CHUNK_BYTES, end - first)) for first in range(pa, end, CHUNK_BYTES))

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused(ONLY_READ)

    def _chunk(self, pa: PA, size_bytes: int) -> bytes:
        first = pa & -8
        count = -(-(pa + size_bytes - first) // 8)
        lines = self.monitor(f"xp /{count}xg {first:#x}").splitlines()
        words = [word for line in lines for word in _WORD.findall(line.partition(": ")[2])]
        if len(words) != count:
            raise Unreadable(pa, size_bytes, f"the monitor says: {' '.join(lines[-1:])}")
        data = b"".join(int(word, 16).to_bytes(8, "little") for word in words)
        return data[pa - first : pa - first + size_bytes]


def _memory(qmp: Qmp, address: str) -> PhysicalMemory:
    ranges = ram_ranges(qmp.monitor("info mtree -f"), READABLE)
    plain = MonitorMemory(qmp.monitor, ranges, f"QEMU's monitor at {address}")
    process = peer_of(qmp.socket)
    return ReadableMemory(GuestRam(plain, lambda: look_into(process, qmp.monitor), judge="its monitor"), ranges)


def _cpus(qmp: Qmp, address: str, architecture: Architecture) -> tuple[Cpu, ...]:
    identity = architecture.identity
    general = general_registers(qmp.monitor("info registers -a"), identity.monitor_names)
    origin = f"the QEMU at {address}"
    try:
        with _stub(qmp) as wire:
            asked = {number: _asked(wire, number, architecture) for number in general}
    except (Unavailable, StubLost, OSError) as why:
        origin = f"{origin}, whose gdbstub could not be asked ({why}),"
        asked = {}
    return tuple(
        Cpu(number, FixedRegisters({**values, **_shown(qmp, architecture, number, asked.get(number, {}))}, origin))
        for number, values in general.items()
    )


def _shown(qmp: Qmp, architecture: Architecture, number: int, given: Mapping[str, int]) -> Mapping[str, int]:
    """Return a CPU's registers by the manual's names, from what the stub has given."""
    if not given:
        return {}
    stub = Stub(number, given.get, qmp.monitor, lambda: qmp.monitor("info version").strip())
    found: dict[str, int] = {}
    for name in (*architecture.registers, *architecture.general):
        with suppress(MissingRegister):
            value = architecture.from_stub(name, stub)
            found |= {} if value is None else {name: value}
    return found


def general_registers(said: str, names: Mapping[str, str]) -> Mapping[int, Mapping[str, int]]:
    """Return each CPU's general registers, from what `info registers -a` prints under the monitor's own names."""
    return {
        number: {names[name]: int(value, 16) for name, value in _REGISTER.findall(text) if name in names}
        for number, text in by_cpu(said).items()
    }


def _asked(wire: Wire, cpu: int, architecture: Architecture) -> Mapping[str, int]:
    """Return those of the architecture's registers that the stub has of a CPU, in one round trip."""
    names, own = (*architecture.registers, *architecture.general), architecture.identity.stub_names
    known = register_numbers(wire)
    numbers = {name: known.get(name, known.get(own.get(name, ""))) for name in names}
    present = {name: number for name, number in numbers.items() if number is not None}
    _, *answers = wire.ask([f"Hg{cpu + 1:x}", *(f"p{number:x}" for number in present.values())])
    values: dict[str, int] = {}
    for name, answer in zip(present, answers, strict=True):
        with suppress(ValueError):
            values[name] = int.from_bytes(bytes.fromhex(answer.decode()), "little")
    return values


@contextmanager
def _stub(qmp: Qmp) -> Iterator[Wire]:
    """Connect to the gdbstub, an idle one or one of our own; the guest is stopped, and stays so."""
    ports = {str(each["label"]): str(each["filename"]) for each in qmp.ask("query-chardev")}
    stub = ports.get("gdb")
    if stub is None:
        if "gdb" in ports.values() and any(name.startswith(IDLE) for name in ports.values()):
            # It may be the stub's, and a new stub would take that away.
            raise Unavailable("it may be on a character device of its own; attach GDB to it")
        with _own_stub(qmp) as wire:
            yield wire
        return
    if not stub.startswith(IDLE):
        raise Unavailable("a debugger is attached to it, and it serves one at a time")
    with _reached(stub.removeprefix(IDLE), qmp.socket) as wire:
        yield wire


@contextmanager
def _own_stub(qmp: Qmp) -> Iterator[Wire]:
    with tempfile.TemporaryDirectory(prefix="gdbtools-stub-") as folder:
        path = f"{folder}/gdb"
        said = qmp.monitor(f'gdbserver "unix:{path.replace(",", ",,")},server=on,wait=off"')
        if "Could not" in said:
            raise Unavailable(said.strip().splitlines()[0])
        try:
            with _reached(f"unix:{path}", qmp.socket) as wire:
                yield wire
        finally:
            qmp.monitor("gdbserver none")


@contextmanager
def _reached(where: str, monitor: socket.socket) -> Iterator[Wire]:
    """Connect to a stub that QEMU says listens at `unix:PATH,...` or `tcp:HOST:PORT,...`, of the monitor's host."""
    kind, _, rest = where.partition(":")
    place = rest.rpartition(",server")[0] or rest
    family = socket.AF_UNIX if kind == "unix" else monitor.family
    with socket.socket(family if kind == "unix" or family != socket.AF_UNIX else socket.AF_INET) as link:
        link.settimeout(ANSWER_SECONDS)
        host = "localhost" if monitor.family == socket.AF_UNIX else monitor.getpeername()[0]
        link.connect(place if kind == "unix" else (host, int(place.rpartition(":")[2])))
        yield Wire(link)
