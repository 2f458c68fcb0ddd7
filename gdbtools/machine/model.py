"""What a source of bytes has to give: physical memory, registers, and, when it is live, control."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from gdbtools.addresses import PA, VA
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import Assumption, CpuRegisters, ExceptionRecord, Expect
from gdbtools.errors import Unavailable

if TYPE_CHECKING:
    from gdbtools.systems.crash import Crash


class PhysicalMemory(Protocol):
    """Bytes by physical address, wherever they are kept.  `description` says where, in a few words."""

    @property
    def description(self) -> str: ...

    def read(self, pa: PA, size_bytes: int, /) -> bytes:
        """Return exactly `size_bytes` from `pa`; raise `Unreadable` if any of them is not there."""
        ...

    def write(self, pa: PA, data: bytes, /) -> None:
        """Put `data` at `pa`; raise `Refused` where the source is evidence, not a guest."""
        ...


def expected_by(memory: PhysicalMemory) -> Expect | None:
    """Return how to tell memory what is going to be read of it; None where that makes no difference to it."""
    found: Expect | None = getattr(memory, "expect", None)
    return found


class Registers(Protocol):
    """One CPU's registers by architectural name, as unsigned integers."""

    def read(self, name: str, /) -> int:
        """Return a register's value; raise `Unavailable` if this source does not have it."""
        ...

    def names(self) -> Sequence[str]:
        """Return every name that `read` answers, in the source's own order."""
        ...


@dataclass(frozen=True)
class CaughtFaults:
    """Which exceptions a catch stops at: of a kind, of one regime, of one kind of access, asked for by one level.

    None is any of them.
    """

    kind: str
    regime: str | None = None
    access: str | None = None
    privilege: str | None = None

    def said(self, named: Mapping[str, str]) -> str:
        """Return what they are, in words; `named` has those of what is caught by its name."""
        what = named.get(self.kind) or f"{'MMU' if self.kind == 'any' else self.kind} faults"
        which = [f" of {self.regime}"] if self.regime else []
        which += [f" by {self.access}"] if self.access else []
        which += [f" asked for by {self.privilege}"] if self.privilege else []
        return f"{what}{''.join(which)}"


class Live(Protocol):
    """What can be done with a running guest, besides reading it: the debugger's side of the commands."""

    def describe(self) -> Sequence[tuple[str, str]]:
        """Return (what, how) lines about the connection: what this stub can and cannot do."""
        ...

    def send(self, registers: Mapping[str, int]) -> None:
        """Set registers of the current CPU, its pc among them, and check that they took."""
        ...

    def keeping(self) -> AbstractContextManager[None]:
        """Put every general register of the current CPU back at the end of the `with` block, whatever happened.

        What an exception overwrites, too, where the architecture says that it may be written.
        """
        ...

    def step(self, address: VA, registers: Mapping[str, int]) -> None:
        """Execute the one instruction at `address` on the current CPU, with these registers, and no other CPU's."""
        ...

    def on(self, cpu: int) -> AbstractContextManager[Machine]:
        """Make another CPU the current one for the `with` block: gives the machine as that one sees it."""
        ...

    def enter(self, cpu: int, entries: Collection[VA], seconds: float) -> str:
        """Let one CPU run alone until it is at one of these addresses; returns why it is not, empty where it is."""
        ...

    def resume(self) -> None:
        """Let the guest run until something stops it."""
        ...

    def catch(self, wanted: CaughtFaults) -> Sequence[tuple[int, VA, str]]:
        """Stop on such faults at the vectors: gives (breakpoint number, address, entry) for each.

        Those of one regime are caught at the vectors of the level that takes them.
        """
        ...

    def handled_at(self, address: VA) -> None:
        """Take `address` for where faults are handled, for as long as this guest is debugged."""
        ...

    def catches(self, wanted: CaughtFaults) -> bool:
        """Return whether `catch` with the same has been asked for, and is as it was made wherever it would be set."""
        ...

    def watch(
        self,
        addresses: Sequence[VA],
        size_bytes: int,
        look: Callable[[Machine, Sequence[str]], Any],
        stops: bool,
    ) -> Sequence[int]:
        """Watch virtual addresses for writes: gives the watchpoints' numbers.

        `look` is given the writer's frames, and returns a document to show, or None; where there is nothing to show, or
        `stops` says not to stop, the guest goes on.
        """
        ...

    def symbol(self, address: VA, /) -> str:
        """Name what is at a virtual address, as `NAME + OFFSET`; empty where that is not known."""
        ...

    def backing(self, pa: PA, /) -> str | None:
        """Name what answers at a physical address; empty for nothing, None where that cannot be asked."""
        ...

    def machine(self) -> Machine:
        """Return the machine as it stands at this stop."""
        ...

    def empty_tlb(self) -> None:
        """Empty every CPU's TLB from outside; raises `Refused` where that cannot be done."""
        ...

    def frames(self) -> Sequence[str]:
        """Return the current CPU's innermost frames: address, function and, where it is known, source line."""
        ...

    def recorded(self, places: Sequence[tuple[VA, int]]) -> AbstractContextManager[Recorded]:
        """Go through the recording that is replayed; `places` are what its `back` looks for: (virtual address, size).

        Raises `Refused` where the guest is not replayed.  What a CPU holds is asked for again afterwards.
        """
        ...

    def announce(self, text: str, /) -> None:
        """Print a line at once, beside the answer: before a command that may take as long as the user likes."""
        ...

    def interrupted(self) -> bool:
        """Return whether Ctrl-C has come since a command that runs the guest began."""
        ...

    def serve(self, handle: Callable[[Machine], Served] | None, seconds: float | None = None) -> str:
        """Run the guest, calling `handle` (None: nothing) for each CPU at an exception vector.

        Returns why it ended: empty where that is because `seconds` are over.
        """
        ...


class Recorded(Protocol):
    """A recording, and where the guest stands in it.

    Whatever moves it raises `Interrupted` at Ctrl-C, wherever it then is, and does not hear it again.
    """

    @property
    def position(self) -> int:
        """How many instructions have been executed since the beginning."""
        ...

    def back(self) -> bool:
        """Go back to behind the last store to what is looked for; False: there is none, this is the beginning.

        A store by the instruction just before this position is not seen.
        """
        ...

    def stores(self) -> bool:
        """Return whether the next instruction is a store to what is looked for."""
        ...

    def step_back(self) -> None:
        """Go back by one instruction."""
        ...

    def go(self, position: int) -> None:
        """Go to a position, wherever it is."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What is to become of a CPU at an exception vector, and whether the guest is to go on at all.

    `registers` are what it is sent back by, its pc among them; None leaves the exception to the guest, and `passed_on`
    is called once the guest's own vector has it: until then the same stop may be shown again.
    """

    goes_on: bool
    registers: Mapping[str, int] | None = None
    passed_on: Callable[[], None] | None = None

    def was_passed_on(self) -> None:
        """Tell whoever wants to know that the guest has its exception."""
        if self.passed_on is not None:
            self.passed_on()


@dataclass(frozen=True)
class Cpu:
    """One processing element of a source: `number` as the source counts them."""

    number: int
    registers: Registers


@dataclass(frozen=True)
class Machine:
    """An architecture, its memory, and its CPUs; registers and bytes may come from different places."""

    architecture: Architecture
    memory: PhysicalMemory
    cpus: Sequence[Cpu]
    current: int = 0
    live: Live | None = None
    assumed: tuple[Assumption, ...] = ()
    """What registers that the source lacks were taken for, and why."""
    named: Callable[[VA], str] | None = None
    """Names what is at a virtual address, where no debugger does: see `symbol`."""
    counted: bool = True
    """Whether the source says how many CPUs there are: a raw image does not."""
    files: tuple[str, ...] = ()
    """The names of the files that it is read from, `PATH@BASE` among them."""

    crash: Crash | None = None
    """What it is made of, where that is lines of a log."""

    @cached_property
    def cpu(self) -> Cpu:
        for cpu in self.cpus:
            if cpu.number == self.current:
                return cpu
        known = ", ".join(str(cpu.number) for cpu in self.cpus) or "none"
        raise Unavailable(f"this source has no CPU {self.current}; it has {known}")

    @cached_property
    def register(self) -> CpuRegisters:
        """Read a register of the current CPU; whoever is handed this may read its memory too (`memory_of`)."""
        return CpuRegisters(lambda name: self.cpu.registers.read(name), self.memory.read)

    def seen_by(self, cpu: Cpu) -> Machine:
        """Return the same with another of its CPUs as the current one."""
        return replace(self, cpus=(cpu, *(each for each in self.cpus if each is not cpu)), current=cpu.number)

    def value_of(self, name: str) -> int:
        """Return a register as somebody names it who writes an address, in any case; `pc` is what GDB calls its own."""
        wanted = name.lower()
        if wanted == "pc":
            return self.register(self.architecture.pc)
        known = (*self.architecture.registers, *self.architecture.general, *self.cpu.registers.names())
        return self.register(name if name in known else next((each for each in known if each.lower() == wanted), name))

    def symbol(self, address: VA) -> str:
        """Return what is at a virtual address, as `NAME + OFFSET`; empty where that is not known."""
        if self.named is not None:
            return self.named(address)
        return "" if self.live is None else self.live.symbol(address)

    def exception(self) -> ExceptionRecord:
        return self.architecture.exceptions.record(self.register)


DIRTY_STATE = "dirty state"
"""What the assumption about a guest's convention is about."""


def with_dirty(machine: Machine, convention: DirtyConvention, whence: str) -> Machine:
    """Return a machine whose guest marks what is dirty by this convention, as `whence` says; it is an assumption."""
    assumed = [each for each in machine.assumed if each.about != DIRTY_STATE]
    if convention is not DirtyConvention.NONE:
        assumed.append(Assumption(DIRTY_STATE, f"{DIRTY_STATE}: {convention.value}, {whence}"))
    architecture = machine.architecture.reading_dirty(convention)
    return replace(machine, architecture=architecture, assumed=tuple(assumed))


def unsigned(value: int) -> int:
    """Return a value that somebody wrote down, of a register or an address; raise ValueError beyond 64 bits."""
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{value:#x} does not fit 64 bits")
    return value
