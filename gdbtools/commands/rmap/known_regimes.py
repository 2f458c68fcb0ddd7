"""Every regime that can be looked through: those that a CPU uses or has loaded, and roots that are found in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gdbtools.analysis.roots.choice import leads_to
from gdbtools.analysis.roots.holders import register_of
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.analysis.roots.search import Search
from gdbtools.arch.model import Regime
from gdbtools.commands.find_roots.written_registers import as_held
from gdbtools.commands.spaces import in_use, spaces
from gdbtools.machine.dumps.extents import data_of, memory_of
from gdbtools.machine.layers import FixedRegisters, Overridden
from gdbtools.machine.model import Machine


@dataclass
class KnownRegime:
    """A range of a regime, or a stage below by itself: the CPUs that have it, none for a root found in memory."""

    regime: Regime
    cpus: list[int] = field(default_factory=list)
    kernels: bool = False
    """Whether it is the full space, where the one in force is a reduced one."""
    reduced: bool = False
    """Whether it is such a reduced one."""
    registers: Mapping[str, int] = field(default_factory=dict)
    """Those that lead to it, where they have other values on its CPU."""


def regimes_in_use(machine: Machine) -> list[KnownRegime]:
    """Return every regime that a CPU is using or has loaded, each stage below by itself too, and the full spaces."""
    found: list[KnownRegime] = []
    for number, regime in in_use(machine):
        _add(found, KnownRegime(regime, [number]))
    for cpu in machine.cpus:
        isolated = spaces(replace(machine, current=cpu.number)).isolation
        if isolated is None:
            continue
        for each in found:
            each.reduced |= each.regime == isolated.reduced
        if isolated.full is not None:
            _add(found, KnownRegime(isolated.full, [cpu.number], kernels=True, registers=isolated.registers))
    return found


def _add(found: list[KnownRegime], new: KnownRegime) -> None:
    for each in found:
        if each.regime == new.regime:
            each.cpus += [number for number in new.cpus if number not in each.cpus]
            return
    found.append(new)


def regimes_in_memory(machine: Machine, used: Sequence[Regime]) -> Iterator[KnownRegime]:
    """Yield the roots in memory that no regime in use has, but for those that a stage below leads to."""
    architecture, memory = machine.architecture, machine.memory
    search = Search(architecture, memory.read, memory_of(memory), data_of(memory))
    search.look_through()
    known = {each.root for each in used}
    found = search.rank().found
    for each in found:
        seconds = [other for other in found if other.place.register == each.place.below]
        if each.place.root not in known and not any(leads_to(second, each) for second in seconds):
            yield from map(KnownRegime, _as_in_use(machine, each, [register_of(regime) for regime in used]))


def _as_in_use(machine: Machine, found: FoundRoot, held: Sequence[str]) -> Sequence[Regime]:
    """Return the regimes that a root would have with the registers of the source, as far as those read it as found."""
    architecture, place = machine.architecture, found.place
    derived = architecture.table_heuristics.registers([place])
    for registers in (as_held(machine, [found], derived, held, ()), derived):
        read = Overridden(machine.cpu.registers, FixedRegisters(registers.values, "a root in memory")).read
        regimes = [each for each in architecture.regimes(read, place.regime) if each.levels and each.root == place.root]
        if all(each.admit(each.first) is None for each in regimes):
            return regimes
    return ()  # the source has translation by such a register off
