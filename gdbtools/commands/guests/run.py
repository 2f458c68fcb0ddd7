"""`guests`: every guest that can be known at this stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.guests.census import Census, census
from gdbtools.analysis.guests.known import GuestOnCpu, KnownGuest
from gdbtools.commands.guests.asked import known_guests
from gdbtools.commands.session import Session
from gdbtools.machine.dumps.extents import map_of


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `guests`, as `declared` has it."""


@dataclass(frozen=True)
class CountedGuest:
    """A guest, and what its second stage maps."""

    guest: KnownGuest
    census: Census


@dataclass(frozen=True)
class GuestList:
    """The guests that are known, and what could not be looked at.

    `empty` are CPUs that hold a second stage with nothing in it, `idle` those that hold none at all.
    """

    guests: tuple[CountedGuest, ...]
    identifier: str
    empty: tuple[GuestOnCpu, ...]
    idle: tuple[int, ...]
    limits: tuple[str, ...]


def run(session: Session, options: Options) -> Sequence[GuestList]:  # noqa: ARG001
    machine = session.machine
    found = known_guests(machine)
    memory = map_of(machine.memory)
    counted = tuple(CountedGuest(each, census(each.regime, machine.memory.read, memory)) for each in found.known)
    holding = {on.cpu.number for on in (*found.empty, *(on for each in found.known for on in each.cpus))}
    idle = tuple(cpu.number for cpu in machine.cpus if cpu.number not in holding)
    return (GuestList(counted, machine.architecture.guests.identifier, found.empty, idle, found.limits),)
