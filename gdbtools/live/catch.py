"""Catching faults of one kind at the exception vectors.

The filter is GDB's own breakpoint condition, the function `$_mmu_fault`, so `info breakpoints` says what is caught, and
a user can write `hbreak *ADDRESS if $_mmu_fault("permission")` just as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import gdb

from gdbtools.addresses import VA
from gdbtools.analysis.faults.diagnosis import diagnose
from gdbtools.analysis.isolation import vector_entries
from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.model import ExceptionRecord, FaultKind, ReadRegister, optional, with_memory
from gdbtools.errors import GdbtoolsError, Refused, Unavailable, UsageError
from gdbtools.live.console import console
from gdbtools.machine.model import CaughtFaults, Machine

KINDS = {
    "access-flag": FaultKind.ACCESS_FLAG,
    "translation": FaultKind.TRANSLATION,
    "permission": FaultKind.PERMISSION,
    "reserved-bit": FaultKind.RESERVED_BIT,
    "protection-key": FaultKind.PROTECTION_KEY,
    "domain": FaultKind.DOMAIN,
    "any": None,
}


def matches(machine: Machine, wanted: CaughtFaults) -> bool:
    """Return whether an MMU fault of this kind is taken here: pc is at an entry of the vectors in force.

    Elsewhere the syndrome is of an older exception: vectors that are used no more are code like any other.  It reads
    the syndrome first, and of most stops nothing else; the tables where the syndrome does not tell the kind.  Of what
    is caught by name, pc is at its vector.
    """
    architecture, register = machine.architecture, machine.register
    exceptions = architecture.exceptions
    if wanted.kind in exceptions.named:
        return _is_named(exceptions, register, register(architecture.pc), wanted)
    if wanted.kind not in KINDS:
        known = ", ".join((*exceptions.caught, "any", *exceptions.named))
        raise UsageError(f"{wanted.kind!r} is not a kind of fault; say one of: {known}")
    syndrome, kind = exceptions.syndrome(register), KINDS[wanted.kind]
    if syndrome.fault is None or (kind is not None and kind not in syndrome.kinds):
        return False
    if register(architecture.pc) not in exceptions.vectors(register):
        return False
    if wanted != CaughtFaults(wanted.kind) and not _is_of(exceptions, exceptions.record(register), wanted):
        return False
    if kind is None or not syndrome.not_told_apart:
        return True
    # What the syndrome does not tell, the tables do.
    refused = diagnose(architecture, register, machine.memory.read).predicted
    return refused is not None and refused.fault.kind is kind


def _is_named(exceptions: Exceptions, register: ReadRegister, pc: int, wanted: CaughtFaults) -> bool:
    if pc not in exceptions.named_vectors(register, wanted.kind, wanted.regime):
        return False
    exception = exceptions.record(register)
    return exceptions.is_named(exception, wanted.kind, wanted.regime) and _asked(exception, wanted)


def _is_of(exceptions: Exceptions, exception: ExceptionRecord, wanted: CaughtFaults) -> bool:
    """Return whether an exception is of the regime, the access and the level of privilege that are wanted."""
    if wanted.regime is not None and not exceptions.is_of(exception, wanted.regime):
        return False
    kind = exception.syndrome.access_kind
    if wanted.access is not None and (kind is None or kind.label != wanted.access):
        return False
    return _asked(exception, wanted)


def _asked(exception: ExceptionRecord, wanted: CaughtFaults) -> bool:
    return wanted.privilege is None or exception.asked.label == wanted.privilege


def _place(wanted: CaughtFaults, named: Collection[str]) -> CaughtFaults:
    """Return what decides where faults are caught, and nothing else of them."""
    return CaughtFaults(wanted.kind if wanted.kind in named else "any", wanted.regime)


def condition(wanted: CaughtFaults) -> str:
    """Return the condition of a catch's breakpoints, as GDB is told it."""
    words = [wanted.kind, wanted.regime or "", wanted.access or "", wanted.privilege or ""]
    while not words[-1]:
        words.pop()
    return "$_mmu_fault({})".format(", ".join(f'"{each}"' for each in words))


def vectors(machine: Machine, wanted: CaughtFaults | None = None) -> Mapping[VA, str]:
    """Return the vector entries that the guest uses, as far as they are known now; none set yet raise `Refused`.

    That is those of this CPU and, where its process has two address spaces, of the other one; and those of each other
    CPU, which may be in the other one.  Of one regime, where its faults come in, which may be another level's; of what
    is caught by name, its own.
    """
    architecture = machine.architecture
    regime = None if wanted is None else wanted.regime
    name = architecture.exceptions.vector_base(machine.register, regime)
    if architecture.exceptions.handler_register and optional(machine.register, name) is None:
        raise Unavailable(f"this gdbstub does not say {name}: say where faults are handled, --handler SYMBOL")
    if not machine.register(name):
        raise Refused(
            f"{name} is 0: the guest has not set its vectors yet; run it until it has "
            "(say: hbreak on a later function, continue) and ask again"
        )
    if wanted is not None and wanted.kind in architecture.exceptions.named:
        at = architecture.exceptions.named_vectors(machine.register, wanted.kind, regime)
        if not at:
            raise Refused(f"the guest has no handler for it: the gate of {wanted.kind} is not present, or not known")
        return at
    if regime is not None:
        return architecture.exceptions.vectors(machine.register, regime)
    entries = dict(vector_entries(architecture, machine.register, machine.memory.read))
    for cpu in machine.cpus:
        # A CPU that was never started has none.
        with suppress(GdbtoolsError):
            found = architecture.exceptions.vectors(with_memory(cpu.registers.read, machine.memory.read))
            entries |= {} if 0 in found else found
    return entries


@dataclass
class Catch:
    """One `mmu catch`: a breakpoint at each vector entry that was ever met, of one life."""

    wanted: CaughtFaults
    breakpoints: dict[VA, gdb.Breakpoint] = field(default_factory=dict)

    @property
    def condition(self) -> str:
        return condition(self.wanted)

    def cover(self, addresses: Iterable[VA]) -> None:
        """Have a breakpoint at each address as well."""
        for address in addresses:
            if address not in self.breakpoints:
                # As a command, because a gdb.Breakpoint announces itself and cannot be told not to.
                console(f"hbreak *{address:#x} if {self.condition}")
                self.breakpoints[address] = gdb.breakpoints()[-1]

    def owns(self, breakpoint_: gdb.Breakpoint) -> bool:
        return any(each is breakpoint_ or each == breakpoint_ for each in self.breakpoints.values())

    def delete(self) -> None:
        for each in self.breakpoints.values():
            if each.is_valid():
                each.delete()
        self.breakpoints = {}


@dataclass
class Catches:
    """Every catch there is."""

    entries: Callable[[], tuple[str, ...]]
    """Which vector entries the user wants to stop at; empty: all."""
    active: list[Catch] = field(default_factory=list)

    def add(self, machine: Machine, faults: CaughtFaults) -> list[tuple[int, VA, str]]:
        """Catch such faults at the vectors: gives (number, address, entry) of each breakpoint.

        One that is there already is left to it: a second would stop at the same, and use up hardware breakpoints.
        """
        wanted = self._wanted(machine, faults)
        existing = self.existing(machine, faults)
        if existing is not None:
            return [(existing.breakpoints[address].number, address, entry) for address, entry in wanted.items()]
        catch = Catch(faults)
        self.active.append(catch)
        try:
            catch.cover(wanted)
        except (gdb.error, RuntimeError) as error:
            catch.delete()
            self.active.remove(catch)
            raise Refused(f"GDB cannot set a hardware breakpoint there: {error}") from None
        return [(catch.breakpoints[address].number, address, entry) for address, entry in wanted.items()]

    def existing(self, machine: Machine, faults: CaughtFaults) -> Catch | None:
        """Return the catch of the same faults that is at each vector entry that is wanted; None where there is none."""
        wanted = self._wanted(machine, faults)
        for catch in self.active:
            if catch.wanted == faults and wanted.keys() <= catch.breakpoints.keys():
                here = [catch.breakpoints[address] for address in wanted]
                if all(each.is_valid() and each.enabled and self.as_made(each) for each in here):
                    return catch
        return None

    def _wanted(self, machine: Machine, faults: CaughtFaults) -> dict[VA, str]:
        found = vectors(machine, faults)
        return dict(found) if faults.kind in machine.architecture.exceptions.named else self._chosen(found)

    def _chosen(self, entries: Mapping[VA, str]) -> dict[VA, str]:
        wanted = self.entries()
        return {address: entry for address, entry in entries.items() if not wanted or entry in wanted}

    def follow(self, machine: Machine) -> str:
        """Catch at the vectors of this CPU too, if they are new; returns what to tell the user, or nothing.

        Those that were met before stay: a guest whose kernel hides from its processes changes them at each entry.  Of
        its trampoline's only those entries are known at first that lead into the kernel: the others are no news.
        """
        named = machine.architecture.exceptions.named
        places = dict.fromkeys(_place(catch.wanted, named) for catch in self.active)
        said = (self._follow(machine, each) for each in places)
        return "; ".join(each for each in said if each)

    def _follow(self, machine: Machine, place: CaughtFaults) -> str:
        architecture, register, regime = machine.architecture, machine.register, place.regime
        named = architecture.exceptions.named
        catches = [catch for catch in self.active if _place(catch.wanted, named) == place]
        try:
            if place.kind in named:
                here = set(vectors(machine, place))
            else:
                here = set(self._chosen(architecture.exceptions.vectors(register, regime)))
            if all(here <= set(catch.breakpoints) for catch in catches):
                return ""
            wanted = self._wanted(machine, place)
        except GdbtoolsError:
            return ""
        news = any(here.isdisjoint(catch.breakpoints) for catch in catches)
        for catch in catches:
            catch.cover(wanted)
        base = architecture.exceptions.vector_base(register, regime)
        return f"{base} changed: catching at {min(here):#x} too" if news else ""

    def forget(self, deleted: gdb.Breakpoint) -> Catch | None:
        """Return the catch that a deleted breakpoint belonged to; its others stop no more, and are to be deleted."""
        for catch in self.active:
            if catch.owns(deleted):
                catch.breakpoints = {a: b for a, b in catch.breakpoints.items() if b != deleted}
                self.active.remove(catch)
                for each in catch.breakpoints.values():
                    each.enabled = False
                return catch
        return None

    def abandon(self) -> Sequence[Catch]:
        """Catch nothing any more: gives the catches there were, whose breakpoints are disabled and to be deleted."""
        abandoned, self.active = self.active, []
        for catch in abandoned:
            for each in catch.breakpoints.values():
                each.enabled = False
        return abandoned

    def caught(self, machine: Machine, breakpoints: Sequence[gdb.Breakpoint]) -> bool:
        """Return whether a catch stopped the guest at one of these: an event of GDB's names whatever is at that
        address.

        That a catch is among them is no evidence: its condition has to hold of what the CPU's registers say.
        """
        return any(catch.owns(each) and matches(machine, catch.wanted) for catch in self.active for each in breakpoints)

    def wanted(self, machine: Machine, address: int) -> bool:
        """Return whether a catch wants a CPU's stop at a vector entry."""
        return any(address in catch.breakpoints and matches(machine, catch.wanted) for catch in self.active)

    def as_made(self, breakpoint_: gdb.Breakpoint) -> bool:
        """Return whether a breakpoint is a catch's, and nobody has made anything else of it."""
        for catch in self.active:
            if catch.owns(breakpoint_):
                return not breakpoint_.ignore_count and breakpoint_.condition == catch.condition
        return False
