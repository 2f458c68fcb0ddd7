"""Catching faults of one kind at the exception vectors.

The filter is GDB's own breakpoint condition, the function `$_mmu_fault`, so `info breakpoints` says what is caught, and
a user can write `hbreak *ADDRESS if $_mmu_fault("permission")` just as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import gdb

from gdbtools.addresses import VA
from gdbtools.analysis.faults.diagnosis import diagnose
from gdbtools.analysis.isolation import vector_entries
from gdbtools.arch.model import FaultKind, with_memory
from gdbtools.errors import GdbtoolsError, Refused, UsageError
from gdbtools.live.console import console
from gdbtools.machine.model import Machine

KINDS = {
    "access-flag": FaultKind.ACCESS_FLAG,
    "translation": FaultKind.TRANSLATION,
    "permission": FaultKind.PERMISSION,
    "any": None,
}


def matches(machine: Machine, kind: str, regime: str | None = None) -> bool:
    """Return whether an MMU fault of this kind is taken here: pc is at an entry of the vectors in force.

    Elsewhere the syndrome is of an older exception: vectors that are used no more are code like any other.  It reads
    the syndrome first, and of most stops nothing else; the tables where the syndrome does not tell the kind.  With
    `regime`, faults of that one alone.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a kind of fault; say one of: {', '.join(KINDS)}")
    architecture, register = machine.architecture, machine.register
    syndrome, wanted = architecture.exceptions.syndrome(register), KINDS[kind]
    if syndrome.fault is None or (wanted is not None and wanted not in syndrome.kinds):
        return False
    if register(architecture.pc) not in architecture.exceptions.vectors(register):
        return False
    if regime is not None and not architecture.exceptions.is_of(architecture.exceptions.record(register), regime):
        return False
    if wanted is None or not syndrome.not_told_apart:
        return True
    # What the syndrome does not tell, the tables do.
    refused = diagnose(architecture, register, machine.memory.read).predicted
    return refused is not None and refused.fault.kind is wanted


def condition(kind: str, regime: str | None = None) -> str:
    """Return the condition of a catch's breakpoints, as GDB is told it."""
    return f'$_mmu_fault("{kind}")' if regime is None else f'$_mmu_fault("{kind}", "{regime}")'


def vectors(machine: Machine, regime: str | None = None) -> Mapping[VA, str]:
    """Return the vector entries that the guest uses, as far as they are known now; none set yet raise `Refused`.

    That is those of this CPU and, where its process has two address spaces, of the other one; and those of each other
    CPU, which may be in the other one.  With `regime`, where faults of that one come in, which may be another level's.
    """
    architecture = machine.architecture
    name = architecture.exceptions.vector_base(machine.register, regime)
    if not machine.register(name):
        raise Refused(
            f"{name} is 0: the guest has not set its vectors yet; run it until it has "
            "(say: hbreak on a later function, continue) and ask again"
        )
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

    kind: str
    regime: str | None = None
    """The one regime whose faults are caught; None is whatever the vectors in force take."""
    breakpoints: dict[VA, gdb.Breakpoint] = field(default_factory=dict)

    @property
    def condition(self) -> str:
        return condition(self.kind, self.regime)

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

    def add(self, machine: Machine, kind: str, regime: str | None = None) -> list[tuple[int, VA, str]]:
        """Catch `kind` at the vectors: gives (number, address, entry) of each breakpoint.

        One that is there already is left to it: a second would stop at the same, and use up hardware breakpoints.
        """
        wanted = self._wanted(machine, regime)
        existing = self.existing(machine, kind, regime)
        if existing is not None:
            return [(existing.breakpoints[address].number, address, entry) for address, entry in wanted.items()]
        catch = Catch(kind, regime)
        self.active.append(catch)
        try:
            catch.cover(wanted)
        except (gdb.error, RuntimeError) as error:
            catch.delete()
            self.active.remove(catch)
            raise Refused(f"GDB cannot set a hardware breakpoint there: {error}") from None
        return [(catch.breakpoints[address].number, address, entry) for address, entry in wanted.items()]

    def existing(self, machine: Machine, kind: str, regime: str | None = None) -> Catch | None:
        """Return the catch of the same faults that is at each vector entry that is wanted; None where there is none."""
        wanted = self._wanted(machine, regime)
        for catch in self.active:
            if (catch.kind, catch.regime) == (kind, regime) and wanted.keys() <= catch.breakpoints.keys():
                here = [catch.breakpoints[address] for address in wanted]
                if all(each.is_valid() and each.enabled and self.as_made(each) for each in here):
                    return catch
        return None

    def _wanted(self, machine: Machine, regime: str | None = None) -> dict[VA, str]:
        return self._chosen(vectors(machine, regime))

    def _chosen(self, entries: Mapping[VA, str]) -> dict[VA, str]:
        wanted = self.entries()
        return {address: entry for address, entry in entries.items() if not wanted or entry in wanted}

    def follow(self, machine: Machine) -> str:
        """Catch at the vectors of this CPU too, if they are new; returns what to tell the user, or nothing.

        Those that were met before stay: a guest whose kernel hides from its processes changes them at each entry.  Of
        its trampoline's only those entries are known at first that lead into the kernel: the others are no news.
        """
        said = (self._follow(machine, regime) for regime in dict.fromkeys(catch.regime for catch in self.active))
        return "; ".join(each for each in said if each)

    def _follow(self, machine: Machine, regime: str | None) -> str:
        architecture, register = machine.architecture, machine.register
        catches = [catch for catch in self.active if catch.regime == regime]
        try:
            here = set(self._chosen(architecture.exceptions.vectors(register, regime)))
            if all(here <= set(catch.breakpoints) for catch in catches):
                return ""
            wanted = self._wanted(machine, regime)
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
        return any(
            catch.owns(each) and matches(machine, catch.kind, catch.regime)
            for catch in self.active
            for each in breakpoints
        )

    def wanted(self, machine: Machine, address: int) -> bool:
        """Return whether a catch wants a CPU's stop at a vector entry."""
        return any(address in catch.breakpoints and matches(machine, catch.kind, catch.regime) for catch in self.active)

    def as_made(self, breakpoint_: gdb.Breakpoint) -> bool:
        """Return whether a breakpoint is a catch's, and nobody has made anything else of it."""
        for catch in self.active:
            if catch.owns(breakpoint_):
                return not breakpoint_.ignore_count and breakpoint_.condition == catch.condition
        return False
