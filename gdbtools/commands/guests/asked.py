"""`--guest`: the machine as it is for one of a hypervisor's guests, whichever command asks."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace

from gdbtools import systems
from gdbtools.analysis.footprint import read_tables
from gdbtools.analysis.guests.census import census
from gdbtools.analysis.guests.known import GuestOnCpu, Guests, KnownGuest, guests
from gdbtools.analysis.guests.memory import GuestMemory, OwnPhysical
from gdbtools.arch.model import Assumption, Read
from gdbtools.commands.session import OfGuest, Session
from gdbtools.commands.what_if import WhatIf
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.dumps.extents import data_of, map_of
from gdbtools.machine.layers import FixedRegisters, Overridden, with_registers
from gdbtools.machine.model import Cpu, Machine
from gdbtools.wording import number_of

_WRITTEN = re.compile(r"(?:(?P<identifier>[a-z]+)=)?(?P<number>\d+|0x[0-9a-f]+)", re.IGNORECASE)
WHENCE = "what was asked with --guest"


def known_guests(machine: Machine, searched: bool = True) -> Guests:
    """Return every guest that is known at this stop; roots are searched for only if that is `searched` for them."""
    memory = map_of(machine.memory) if searched else None
    try:
        data = data_of(machine.memory)
    except Unavailable:
        data = ()
    return guests(machine, memory, data)


def chosen(machine: Machine, text: str) -> KnownGuest:
    """Return the guest of a number, as `guests` lists them, or of `vmid=NUMBER`; raise `UsageError` for none."""
    written = _WRITTEN.fullmatch(text.strip())
    name = machine.architecture.guests.identifier
    if written is None or (written["identifier"] or name).lower() != name.lower():
        raise UsageError(f"{text!r} is no guest; write its number, as `guests` lists them, or {name.lower()}=NUMBER")
    number, found = int(written["number"], 0), known_guests(machine)
    for each in found.known:
        if number == (each.identifier if written["identifier"] else each.number):
            return each
    which = f"of {name} {number}" if written["identifier"] else f"{number}"
    there = f"{number_of(len(found.known), 'guest is', 'guests are')} known" if found.known else "no guest is known"
    raise UsageError(f"there is no guest {which}: {there}, and `guests` lists them")


def for_guest(session: Session, asked: OfGuest, sourceless: bool) -> Session:
    """Return the session as it is for the guest that is asked about, and for that of every source it opens."""
    assert asked.guest is not None
    named: str | None = getattr(asked, "regime", None)

    def within(machine: Machine) -> Machine:
        stage = machine.architecture.guests.stage(machine.register) if asked.stage_only else None
        return in_guest(machine, asked.guest or "", named or stage, _supposed(machine, asked, named))

    def opened(name: str, registers: str | None) -> Machine:
        return within(session.open(name, registers))

    machine = session.machine
    return replace(session, machine=machine if sourceless else within(machine), open=opened, as_it_is=machine)


def _supposed(machine: Machine, asked: OfGuest, regime: str | None) -> Collection[str]:
    """Return the registers, in lower case, that the question itself says, as a whole or by a root."""
    if not isinstance(asked, WhatIf):
        return ()
    root: int | None = getattr(asked, "root", None)
    rooted = {} if root is None else machine.architecture.rooted(machine.register, regime, root)
    return {*map(str.lower, rooted), *(each.register.lower() for each in asked.with_ if each.field is None)}


def in_guest(machine: Machine, text: str, regime: str | None, supposed: Collection[str] = ()) -> Machine:
    """Return the machine as a guest has it: its second stage loaded and, where the guest's own is asked, in force.

    `regime` is `--regime`'s; that of a second stage needs no more than the root.  `supposed` are registers, in lower
    case, that are said to be the guest's.  Raises `Unavailable` where the
    registers of the guest's own stage cannot be shown to be its.
    """
    guests = machine.architecture.guests
    guest = chosen(machine, text)
    stage = guests.stage(machine.register)
    on = _cpu_of(guest, machine.current)
    if regime == stage:
        return _on_paper(machine, guest) if on is None else replace(machine, current=on.cpu.number)
    if on is None:
        raise Unavailable(not_held(guest, stage))
    if guests.kept_root and guests.kept_root.lower() in supposed:
        return replace(machine, current=on.cpu.number, assumed=(*machine.assumed, _as_here(guest, on)))
    entered = guests.entered(on.cpu.registers.read)
    there = with_registers(replace(machine, current=on.cpu.number), entered, WHENCE)
    return there if on.loaded.runs else replace(there, assumed=(*machine.assumed, last_loaded(guest, on)))


def guest_alone(machine: Machine, text: str) -> Machine:
    """Return a guest as a machine of its own: its memory by its own addresses, and no second stage.

    Its current CPU has the registers of the one that holds the guest, and none where no CPU does.
    """
    guests = machine.architecture.guests
    guest = chosen(machine, text)
    on = _cpu_of(guest, machine.current)
    counted = census(guest.regime, machine.memory.read, map_of(machine.memory))
    name = f"guest {guest.number}"
    registers = FixedRegisters({}, name)
    cpus: tuple[Cpu, ...] = (Cpu(0, registers),)
    if on is not None:
        with suppress(Unavailable):
            alone = FixedRegisters(guests.alone(on.cpu.registers.read), name)
            cpus = (Cpu(0, Overridden(on.cpu.registers, alone)),)
    memory = OwnPhysical(GuestMemory(counted, machine.memory.read), f"the memory of {name}")
    return replace(machine, memory=memory, cpus=cpus, current=0, live=None, counted=False)


def read_guest(machine: Machine, text: str, read: Read) -> int:
    """Read a guest's second stage, and what a hypervisor keeps of all; return how many tables could not be read."""
    guest = chosen(machine, text)
    known = known_guests(machine).known
    places = [place for each in known if each.kept for place in each.kept.places]
    systems.kept_guests(machine.architecture, machine.register, read, places, [each.regime.root for each in known])
    return read_tables([guest.regime], read)


def not_held(guest: KnownGuest, stage: str) -> str:
    """Return that a guest's own stage is not known, and what may be asked of it all the same."""
    return (
        f"no CPU holds guest {guest.number}: the registers of its own stage are in what its hypervisor keeps for it; "
        f"ask its second stage, by its addresses: --regime {stage} --guest {guest.number}"
    )


def closer(machine: Machine, guest: KnownGuest) -> tuple[str, ...]:
    """Return commands that look closer at a guest, as far as what they need is there."""
    guests = machine.architecture.guests
    asked = f"--guest {guest.number}"
    on = _cpu_of(guest, machine.current)
    walked = f"walk {guest.regime.input_label} --regime {guests.stage(machine.register)} {asked}"
    if on is not None and guests.kept_root:
        walked = f"walk VA {asked} --with {guests.kept_root}=0x..."
    elif on is not None:
        with suppress(Unavailable):
            guests.entered(on.cpu.registers.read)
            walked = f"walk VA {asked}"
    return f"stage2 {asked}", walked


def _as_here(guest: KnownGuest, on: GuestOnCpu) -> Assumption:
    said = f"what is not supposed of its own stage is taken to be as CPU {on.cpu.number} has it"
    return Assumption("guest", f"guest {guest.number}: {said}")


def last_loaded(guest: KnownGuest, on: GuestOnCpu) -> Assumption:
    """Return whose registers stand for a guest's own stage, where no CPU runs it."""
    said = f"its own stage is that of the last virtual CPU that CPU {on.cpu.number} has loaded"
    return Assumption("guest", f"guest {guest.number}: {said}")


def _on_paper(machine: Machine, guest: KnownGuest) -> Machine:
    """Return the machine with the second stage of a guest that no CPU holds in its current one."""
    said = Assumption("guest", f"guest {guest.number}: no CPU holds it, and its controls are taken to be as those here")
    return replace(with_registers(machine, guest.registers, WHENCE), assumed=(*machine.assumed, said))


def _cpu_of(guest: KnownGuest, current: int) -> GuestOnCpu | None:
    """Return the CPU that is asked for a guest: one that runs it, and of those the current one."""
    ordered = sorted(guest.cpus, key=lambda each: (not each.loaded.runs, each.cpu.number != current))
    return ordered[0] if ordered else None
