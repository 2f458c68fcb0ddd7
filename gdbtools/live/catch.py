"""Catching faults of one kind at the exception vectors.

The filter is GDB's own breakpoint condition, the function `$_mmu_fault`, so `info breakpoints` says what is caught, and
a user can write `hbreak *ADDRESS if $_mmu_fault("permission")` just as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import gdb

from gdbtools.arch.model import FaultKind
from gdbtools.errors import GdbtoolsError, Refused, UsageError
from gdbtools.live.console import console
from gdbtools.machine.model import Machine

KINDS = {
    "access-flag": FaultKind.ACCESS_FLAG,
    "translation": FaultKind.TRANSLATION,
    "permission": FaultKind.PERMISSION,
    "any": None,
}


def matches(machine: Machine, kind: str) -> bool:
    """Say whether the last exception is an MMU fault of this kind; reads the syndrome and nothing else."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a kind of fault; say one of: {', '.join(KINDS)}")
    fault = machine.architecture.syndrome(machine.register).fault
    return fault is not None and KINDS[kind] in (None, fault.kind)


def condition(kind: str) -> str:
    """Return the condition of a catch's breakpoints, as GDB is told it."""
    return f'$_mmu_fault("{kind}")'


def vectors(machine: Machine) -> Mapping[int, str]:
    """Give the vector entries of this CPU; ones that the guest has not set yet raise `Refused`."""
    entries = machine.architecture.vectors(machine.register)
    if 0 in entries:
        raise Refused(
            "VBAR_EL1 is 0: the guest has not set its vectors yet; run it until it has "
            "(say: hbreak on a later function, continue) and ask again"
        )
    return entries


@dataclass
class Catch:
    """One `mmu catch`: a breakpoint at each vector entry, of one life."""

    kind: str
    breakpoints: dict[int, gdb.Breakpoint] = field(default_factory=dict)

    def cover(self, addresses: tuple[int, ...]) -> None:
        """Have a breakpoint at each address, and at no other."""
        for address in [each for each in self.breakpoints if each not in addresses]:
            old = self.breakpoints.pop(address)
            if old.is_valid():
                old.delete()
        for address in addresses:
            if address not in self.breakpoints:
                # As a command, because a gdb.Breakpoint announces itself and cannot be told not to.
                console(f"hbreak *{address:#x} if {condition(self.kind)}")
                self.breakpoints[address] = gdb.breakpoints()[-1]

    def owns(self, breakpoint_: gdb.Breakpoint) -> bool:
        return any(each is breakpoint_ or each == breakpoint_ for each in self.breakpoints.values())

    def delete(self) -> None:
        self.cover(())


@dataclass
class Catches:
    """Every catch there is."""

    entries: Callable[[], tuple[str, ...]]
    """Which vector entries the user wants to stop at; empty: all."""
    active: list[Catch] = field(default_factory=list)

    def add(self, machine: Machine, kind: str) -> list[tuple[int, int, str]]:
        """Catch `kind` at the vectors: gives (number, address, entry) of each breakpoint."""
        wanted = self._wanted(machine)
        catch = Catch(kind)
        self.active.append(catch)
        try:
            catch.cover(tuple(wanted))
        except (gdb.error, RuntimeError) as error:
            catch.delete()
            self.active.remove(catch)
            raise Refused(f"GDB cannot set a hardware breakpoint there: {error}") from None
        return [(catch.breakpoints[address].number, address, entry) for address, entry in wanted.items()]

    def _wanted(self, machine: Machine) -> dict[int, str]:
        wanted = self.entries()
        return {address: entry for address, entry in vectors(machine).items() if not wanted or entry in wanted}

    def follow(self, machine: Machine) -> str:
        """Move the catches if this CPU's vectors are elsewhere now; gives what to tell the user, or nothing."""
        if not self.active:
            return ""
        try:
            addresses = tuple(self._wanted(machine))
        except GdbtoolsError:
            return ""
        moved = [catch for catch in self.active if not set(addresses) <= set(catch.breakpoints)]
        for catch in moved:
            catch.cover(addresses)
        return f"VBAR_EL1 changed: catching at {min(addresses):#x} now" if moved else ""

    def forget(self, deleted: gdb.Breakpoint) -> Catch | None:
        """Give the catch that a deleted breakpoint belonged to; its others stop no more, and are to be deleted."""
        for catch in self.active:
            if catch.owns(deleted):
                catch.breakpoints = {a: b for a, b in catch.breakpoints.items() if b != deleted}
                self.active.remove(catch)
                for each in catch.breakpoints.values():
                    each.enabled = False
                return catch
        return None

    def caught(self, machine: Machine, breakpoints: Sequence[gdb.Breakpoint]) -> bool:
        """Say whether a catch stopped the guest at one of these: an event of GDB's names whatever is at that address.

        That a catch is among them is no evidence: its condition has to hold of what the CPU's registers say.
        """
        return any(catch.owns(each) and matches(machine, catch.kind) for catch in self.active for each in breakpoints)

    def wanted(self, machine: Machine, address: int) -> bool:
        """Say whether a catch wants a CPU's stop at a vector entry."""
        return any(address in catch.breakpoints and matches(machine, catch.kind) for catch in self.active)

    def as_made(self, breakpoint_: gdb.Breakpoint) -> bool:
        """Say whether a breakpoint is a catch's, and nobody has made anything else of it."""
        for catch in self.active:
            if catch.owns(breakpoint_):
                return not breakpoint_.ignore_count and breakpoint_.condition == condition(catch.kind)
        return False
