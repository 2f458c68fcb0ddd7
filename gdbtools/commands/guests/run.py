"""`guests`: every guest that can be known at this stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.analysis.guests.census import Census
from gdbtools.analysis.guests.known import GuestOnCpu, KnownGuest
from gdbtools.commands.guests.asked import closer, known_guests
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

    `empty` are CPUs that hold a second stage with nothing in it, `idle` those that hold none at all, `unread`
    those whose registers do not say.  `following` are commands that look closer at the first guest.
    """

    guests: tuple[CountedGuest, ...]
    identifier: str
    empty: tuple[GuestOnCpu, ...]
    idle: tuple[int, ...]
    unread: tuple[int, ...]
    limits: tuple[str, ...]
    following: tuple[str, ...]


def run(session: Session, options: Options) -> Sequence[GuestList]:  # noqa: ARG001
    machine = session.machine
    found = known_guests(machine)
    memory, count = map_of(machine.memory), session.kept.censuses.of
    counted = tuple(CountedGuest(each, count(each.regime, machine.memory.read, memory)) for each in found.known)
    holding = {on.cpu.number for on in (*found.empty, *(on for each in found.known for on in each.cpus))}
    idle = tuple(cpu.number for cpu in machine.cpus if cpu.number not in holding and cpu.number not in found.unread)
    following = closer(machine, found.known[0]) if found.known else ()
    identifier = machine.architecture.guests.identifier
    return (GuestList(counted, identifier, found.empty, idle, tuple(found.unread), found.limits, following),)
