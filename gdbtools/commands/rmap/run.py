"""`rmap`: every address, of every regime that is known, that leads to a physical page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import PA, Input
from gdbtools.analysis.reverse import Alias, disagreements, mapped_to
from gdbtools.analysis.roots.choice import leads_to
from gdbtools.analysis.roots.holders import register_of
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.analysis.roots.search import Search
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Hole, Mapped, Regime, Walk
from gdbtools.arch.walk import walk
from gdbtools.commands.find_roots.written_registers import as_held
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import in_use, spaces
from gdbtools.errors import Unavailable
from gdbtools.machine.dumps.extents import data_of, memory_of
from gdbtools.machine.layers import FixedRegisters, Overridden
from gdbtools.machine.model import Machine


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `rmap`, as `declared` has it."""

    address: Sequence[Input]
    virtual: bool = False
    roots: bool = False


@dataclass
class LookedThrough:
    """A regime that was looked through: the CPUs that have it, none for a root that was found in memory."""

    regime: Regime
    cpus: list[int] = field(default_factory=list)
    kernels: bool = False
    """Whether it is the full space, where the one in force is a reduced one."""


@dataclass(frozen=True)
class FoundMapping:
    """One alias, and where it was met."""

    alias: Alias
    looked: LookedThrough


@dataclass(frozen=True)
class ReverseMap:
    """What leads to a physical address: None where the virtual one that was asked about leads nowhere."""

    asked: Input
    pa: PA | None
    walk: Walk | None
    mappings: tuple[FoundMapping, ...]
    disagreements: tuple[str, ...]
    looked: tuple[LookedThrough, ...]
    architecture: Architecture
    holes: tuple[Hole, ...]


def run(session: Session, options: Options) -> Sequence[ReverseMap]:
    machine = session.machine
    looked = _in_use(machine)
    looked += _found(machine, [each.regime for each in looked]) if options.roots else ()
    walks = [_walk(machine, address) if options.virtual else None for address in options.address]
    places = [
        PA(address) if via is None else via.outcome.address if isinstance(via.outcome, Mapped) else None
        for address, via in zip(options.address, walks, strict=True)
    ]
    wanted = [*dict.fromkeys(pa for pa in places if pa is not None)]
    found: dict[PA, list[FoundMapping]] = {pa: [] for pa in wanted}
    holes: list[Hole] = []
    for each in looked:
        aliases, unread = mapped_to(each.regime, wanted, machine.memory.read)
        holes += [hole for hole in unread if hole.refusal is None]
        for pa, those in aliases.items():
            found[pa] += [FoundMapping(alias, each) for alias in those]
    # What the leaves of a root in memory say of memory types is known where registers go with it.
    return [
        ReverseMap(
            asked=address,
            pa=pa,
            walk=via,
            mappings=() if pa is None else tuple(found[pa]),
            disagreements=() if pa is None else tuple(disagreements(one.alias for one in found[pa] if one.looked.cpus)),
            looked=tuple(looked),
            architecture=machine.architecture,
            holes=tuple(dict.fromkeys(holes)),
        )
        for address, pa, via in zip(options.address, places, walks, strict=True)
    ]


def _walk(machine: Machine, address: Input) -> Walk:
    regime = machine.architecture.regime_for(machine.register, address)
    return walk(regime, address, machine.memory.read)


def _in_use(machine: Machine) -> list[LookedThrough]:
    """Return every regime that a CPU is using or has loaded, each stage below by itself too."""
    found: list[LookedThrough] = []
    for number, regime in in_use(machine):
        _add(found, LookedThrough(regime, [number]))
    isolated = spaces(machine).isolation
    if isolated is not None and isolated.full is not None:
        _add(found, LookedThrough(isolated.full, [machine.current], kernels=True))
    if not found:
        raise Unavailable("no CPU says which tables are in use; --roots looks for roots in memory")
    return found


def _add(found: list[LookedThrough], new: LookedThrough) -> None:
    for each in found:
        if each.regime == new.regime:
            each.cpus += [number for number in new.cpus if number not in each.cpus]
            return
    found.append(new)


def _found(machine: Machine, used: Sequence[Regime]) -> Iterator[LookedThrough]:
    """Yield the roots in memory that no regime in use has, but for those that a stage below leads to."""
    architecture, memory = machine.architecture, machine.memory
    search = Search(architecture, memory.read, memory_of(memory), data_of(memory))
    search.look_through()
    known = {each.root for each in used}
    found = search.rank().found
    for each in found:
        seconds = [other for other in found if other.place.register == each.place.below]
        if each.place.root not in known and not any(leads_to(second, each) for second in seconds):
            yield from map(LookedThrough, _as_in_use(machine, each, [register_of(regime) for regime in used]))


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


def finding(answer: ReverseMap) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return answer.pa is None or bool(answer.disagreements)
