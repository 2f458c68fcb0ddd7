"""`status`: what is attached, what state its translation is in, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gdbtools import systems
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Privilege, ReadRegister, Regime
from gdbtools.commands.guest_frames import guest_of
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import spaces
from gdbtools.errors import Unavailable
from gdbtools.machine.model import Machine
from gdbtools.systems.guest_frames import GuestFrames


@dataclass(frozen=True)
class Status:
    """What a session works on.  `trouble` says why the translation state cannot be told; empty when it can."""

    architecture: str
    cpus: int | None
    """How many there are; None where the source does not say."""
    current: int
    memory: str
    level: Privilege | None
    privilege: Mapping[str, int | str | None]
    regimes: tuple[Regime, ...]
    trouble: str
    abilities: Sequence[tuple[str, str]]
    isolation: Isolation | None = None
    guest: GuestFrames | None = None
    """The paravirtual guest whose tables are in force."""
    systems: Mapping[str, str] = field(default_factory=dict)
    """The systems that the tables in force are shown to be of, each with what shows it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `status`, as `declared` has it."""


def run(session: Session, options: Options) -> Sequence[Status]:  # noqa: ARG001
    machine = session.machine
    level: Privilege | None = None
    regimes: tuple[Regime, ...] = ()
    trouble = ""
    isolation: Isolation | None = None
    guest: GuestFrames | None = None
    present: Mapping[str, str] = {}
    lacking: list[str] = []
    with suppress(Unavailable):
        level = machine.architecture.privilege(_noting(machine, lacking))
    try:
        regimes = machine.architecture.regimes(machine.register)
        isolation = spaces(machine).isolation
        guest = guest_of(machine)
        present = systems.present(machine.architecture, machine.register, machine.memory.read)
    except Unavailable as missing:
        trouble = str(missing)
        # What stands in for a register is believed where the rest shows a system's state, and nothing does here.
        level = None if lacking else level
    abilities = list(machine.live.describe()) if machine.live else []
    abilities.append(("dirty convention", session.dirty.value))
    abilities.append(("written so far", session.written.said))
    memory = machine.memory.description
    name = machine.architecture.name
    cpus = len(machine.cpus) if machine.counted else None
    asked = machine.architecture.privileges[0].record
    privilege = dict.fromkeys(asked) if level is None else level.record
    number = machine.current
    known = regimes, trouble, abilities, isolation, guest, present
    return (Status(name, cpus, number, memory, level, privilege, *known),)


def _noting(machine: Machine, lacking: list[str]) -> ReadRegister:
    """Return what reads a machine's registers, and notes the names of those that are not there."""

    def register(name: str) -> int:
        try:
            return machine.register(name)
        except Unavailable:
            lacking.append(name)
            raise

    return register
