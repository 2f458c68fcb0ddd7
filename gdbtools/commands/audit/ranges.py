"""Which ranges an audit looks through, how a question is put to each, and where a kernel has its own code."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from gdbtools.addresses import VA
from gdbtools.analysis.audit.findings import ADDRESSES, AuditedRange
from gdbtools.analysis.guests.known import KnownGuest, on_cpus
from gdbtools.analysis.isolation import vector_entries
from gdbtools.arch.walk import walk
from gdbtools.commands.guests.asked import known_guests
from gdbtools.commands.rmap.known_regimes import KnownRegime, regimes_in_memory, regimes_in_use
from gdbtools.commands.spaces import Spaces
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine


def audited_ranges(machine: Machine, with_roots: bool) -> list[AuditedRange]:
    """Return every range with tables that a CPU uses or has loaded, and the second stage of every guest that is known.

    With `with_roots`, also those of roots that are found in memory.  Raises `Unavailable` where the current CPU lacks a
    register that is needed.
    """
    own = machine.architecture.regimes(machine.register)
    known = regimes_in_use(machine)
    if with_roots:
        known += regimes_in_memory(machine, [each.regime for each in known])
    found = [
        AuditedRange(
            each.regime, tuple(each.cpus), _leading(machine, each), "" if each.regime in own else _name(machine, each),
            each.reduced,
        )
        for each in known
        if each.regime.levels
    ]  # fmt: skip
    for each in _guests(machine, with_roots):
        found = _with_guest(found, each, machine.architecture.guests.stage(machine.register))
    return found


def _guests(machine: Machine, with_roots: bool) -> Sequence[KnownGuest]:
    """Return the guests that are known; none where no CPU has anything of a guest's, which is where there are none."""
    with suppress(Unavailable):
        if on_cpus(machine):
            return known_guests(machine, with_roots).known
    return ()


def _with_guest(ranges: Sequence[AuditedRange], guest: KnownGuest, stage: str) -> list[AuditedRange]:
    """Return the ranges with a guest's second stage among them, which may be there without its name."""
    name = guest.kept.name if guest.kept else ""
    root = guest.regime.root
    if not any(each.is_second and each.regime.root == root for each in ranges):
        return [*ranges, AuditedRange(guest.regime, regime_name=stage, guest=guest.number, guest_name=name)]
    return [
        replace(each, guest=guest.number, guest_name=name) if each.is_second and each.regime.root == root else each
        for each in ranges
    ]


def _leading(machine: Machine, known: KnownRegime) -> Mapping[str, int]:
    """Return the registers that have to be supposed for a range to be in force on the current CPU."""
    if machine.current in known.cpus:
        return known.registers
    return {**known.registers, known.regime.root_register: known.regime.root}


def _name(machine: Machine, known: KnownRegime) -> str:
    """Return what a regime is called that is not in force by itself; empty where its registers alone lead to it."""
    architecture = machine.architecture
    for name in architecture.regime_names:
        with suppress(Unavailable):
            if known.regime in architecture.regimes(machine.register, name):
                return name
    return ""


def kernel_distances(here: Spaces) -> Collection[int]:
    """Return how far the code that takes exceptions leads back to where it is: the kernel's image lies so.

    Nothing where a register or memory that says it is not there.
    """
    machine = here.fullest
    architecture, register, read = machine.architecture, machine.register, machine.memory.read
    found: set[int] = set()
    with suppress(Unavailable, Unreadable):
        own = vector_entries(architecture, here.machine.register, read)
        for address in own:
            led = walk(architecture.regime_for(register, VA(address)), VA(address), read).destination
            if led is not None:
                found.add(address - led.address & ADDRESSES)
    return found
