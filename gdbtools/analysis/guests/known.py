"""Every guest that can be known at a stop: those that CPUs hold, those that the hypervisor keeps, and roots in memory.

They are numbered by what their hypervisor marks them by, not by which CPU happens to run them: the numbers are the same
at the next stop, as long as the same guests are known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gdbtools import systems
from gdbtools.analysis.roots.holders import holder
from gdbtools.analysis.roots.search import Search
from gdbtools.arch.guests import LoadedGuest, Trap
from gdbtools.arch.isolation import overlaid
from gdbtools.arch.model import Read, Regime
from gdbtools.arch.table_heuristics import Owner
from gdbtools.arch.table_pages import table_pages
from gdbtools.errors import Unavailable
from gdbtools.machine.model import Cpu, Machine
from gdbtools.systems.kept_guests import KeptGuest
from gdbtools.systems.structures import Extent


@dataclass(frozen=True)
class GuestOnCpu:
    """A CPU that holds a guest, and what of its cache maintenance is trapped there."""

    cpu: Cpu
    loaded: LoadedGuest
    traps: tuple[Trap, ...]


@dataclass(frozen=True)
class KnownGuest:
    """A guest, by its second stage.

    `identifier` is None where nobody says it, `cpus` are those that hold it, `kept` is what its hypervisor's structures
    say.  `searched` says that its root was found in memory, by what it looks like alone.
    """

    number: int
    regime: Regime
    identifier: int | None
    cpus: tuple[GuestOnCpu, ...]
    kept: KeptGuest | None
    searched: bool
    registers: Mapping[str, int]
    """Those that would have its second stage in a CPU that does not hold it."""


@dataclass(frozen=True)
class Guests:
    """The guests that are known, in the order of their numbers, and in words what could not be looked at.

    `empty` are CPUs that hold a second stage with nothing in it, as a hypervisor loads where it has no guest to run;
    `unread` says of those of which it is not known what they hold, by number, why.
    """

    known: tuple[KnownGuest, ...]
    empty: tuple[GuestOnCpu, ...]
    limits: tuple[str, ...]
    unread: Mapping[int, str]


@dataclass
class _Gathered:
    regime: Regime
    identifier: int | None = None
    cpus: list[GuestOnCpu] = field(default_factory=list)
    kept: KeptGuest | None = None
    searched: bool = False
    registers: Mapping[str, int] = field(default_factory=dict)


def on_cpus(machine: Machine) -> Sequence[GuestOnCpu]:
    """Return what each CPU holds of a guest; raise `Unavailable` where no register of any says so."""
    held, unread = _looked_at(machine)
    if unread and len(unread) == len(machine.cpus):
        raise next(iter(unread.values()))
    return held


def _looked_at(machine: Machine) -> tuple[Sequence[GuestOnCpu], Mapping[int, Unavailable]]:
    """Return what each CPU holds of a guest, and of those whose registers do not say, by number, why."""
    guests = machine.architecture.guests
    held: list[GuestOnCpu] = []
    unread: dict[int, Unavailable] = {}
    for cpu in machine.cpus:
        try:
            loaded = guests.loaded(cpu.registers.read)
        except Unavailable as why:
            unread[cpu.number] = why
            continue
        if loaded is not None:
            held.append(GuestOnCpu(cpu, loaded, tuple(guests.traps(cpu.registers.read))))
    return held, unread


def guests(machine: Machine, memory: Sequence[Extent] | None, data: Sequence[Extent]) -> Guests:
    """Return every guest that is known.

    `memory` is where there is any, None where nobody says, and `data` where it is not all zeros.  It is searched for
    roots where no hypervisor's own structures tell of all guests.
    """
    found: dict[int, _Gathered] = {}
    held, unread = _looked_at(machine)
    limits = [str(next(iter(unread.values())))] if len(unread) == len(machine.cpus) and unread else []
    empty = [each for each in held if _is_empty(each.loaded.regime, machine.memory.read)]
    for each in held:
        if each in empty:
            continue
        ours = found.setdefault(each.loaded.regime.root, _Gathered(each.loaded.regime, each.loaded.identifier))
        ours.cpus.append(each)
    kept = _kept(machine, data, found)
    if not kept and memory is None:
        limits.append("memory was not searched for others: the source does not say where there is any")
    elif not kept:
        supposed = _search(machine, memory or (), data, found)
        kept = _kept(machine, data, (*found, *supposed))
    for one in kept:
        with suppress(Unavailable):
            ours = found.setdefault(one.root, _laid_out(machine, one.registers))
            ours.kept, ours.identifier = one, one.identifier if ours.identifier is None else ours.identifier
    ordered = sorted(found.items(), key=lambda each: (each[1].identifier is None, each[1].identifier or 0, each[0]))
    return Guests(
        tuple(
            KnownGuest(number, each.regime, each.identifier, tuple(each.cpus), each.kept, each.searched, each.registers)
            for number, (_, each) in enumerate(ordered)
        ),
        tuple(empty),
        tuple(limits),
        {number: str(why) for number, why in unread.items()},
    )


def _is_empty(regime: Regime, read: Read) -> bool:
    root = next(table_pages(regime, read), None)
    return root is not None and not (root.live or root.soft_invalid or root.unread)


def _kept(machine: Machine, data: Sequence[Extent], roots: Collection[int]) -> Sequence[KeptGuest]:
    return systems.kept_guests(machine.architecture, machine.register, machine.memory.read, data, roots)


def _laid_out(machine: Machine, registers: Mapping[str, int]) -> _Gathered:
    """Return the second stage of these registers, laid out as the one that a CPU holds."""
    architecture, register = machine.architecture, machine.register
    name = architecture.guests.stage(register)
    [regime] = architecture.regimes(overlaid(register, registers), name)
    return _Gathered(regime, registers=registers)


def _search(
    machine: Machine, memory: Sequence[Extent], data: Sequence[Extent], found: dict[int, _Gathered]
) -> Sequence[int]:
    """Search memory for roots of second stages; return those that look alone does not show, for others to confirm."""
    architecture = machine.architecture
    if not architecture.has("table_heuristics"):
        return ()
    search = Search(architecture, machine.memory.read, memory, data)
    search.look_through()
    held = (holder(each.regime, machine.memory.read) for each in [*found.values()])
    ranked = search.rank(holders=[one for one in held if one is not None]).found
    ours = [each for each in ranked if each.owner is Owner.VIRTUAL_MACHINE and each.place.root not in found]
    for each in ours:
        if each.likely:
            registers = architecture.table_heuristics.registers((each.place,)).values
            regime = architecture.table_heuristics.regime(each.place)
            found[each.place.root] = _Gathered(regime, searched=True, registers=registers)
    return [each.place.root for each in ours if not each.likely]
