"""`rmap`: every address, of every regime that is known, that leads to a physical page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA, Input
from gdbtools.analysis.reverse import Alias, disagreements
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Hole, Mapped, Walk
from gdbtools.arch.walk import walk
from gdbtools.commands.rmap.known_regimes import KnownRegime, regimes_in_memory, regimes_in_use
from gdbtools.commands.session import Session
from gdbtools.errors import Unavailable
from gdbtools.machine.model import Machine


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `rmap`, as `declared` has it."""

    address: Sequence[Input]
    virtual: bool = False
    roots: bool = False


@dataclass(frozen=True)
class FoundMapping:
    """One alias, and where it was met."""

    alias: Alias
    looked: KnownRegime
    differs: bool = False
    """Whether it is not as most mappings of the same page are."""


@dataclass(frozen=True)
class ReverseMap:
    """What leads to a physical address: None where the virtual one that was asked about leads nowhere."""

    asked: Input
    pa: PA | None
    walk: Walk | None
    mappings: tuple[FoundMapping, ...]
    disagreements: tuple[str, ...]
    looked: tuple[KnownRegime, ...]
    architecture: Architecture
    holes: tuple[Hole, ...]


def run(session: Session, options: Options) -> Sequence[ReverseMap]:
    machine = session.machine
    looked = _looked(machine, options.roots)
    walks = [_walk(machine, address) if options.virtual else None for address in options.address]
    places = [
        PA(address) if via is None else via.outcome.address if isinstance(via.outcome, Mapped) else None
        for address, via in zip(options.address, walks, strict=True)
    ]
    wanted = [*dict.fromkeys(pa for pa in places if pa is not None)]
    found: dict[PA, list[tuple[Alias, KnownRegime]]] = {pa: [] for pa in wanted}
    holes: list[Hole] = []
    read = machine.memory.read
    for each in looked if wanted else ():
        index = session.kept.indexes.of(each.regime, read)
        holes += [hole for hole in index.holes if hole.refusal is None]
        for pa, those in found.items():
            those += [(alias, each) for alias in index.leading_to(pa, read)]
    return [
        _answer(machine, address, via, pa, [] if pa is None else found[pa], looked, holes)
        for address, pa, via in zip(options.address, places, walks, strict=True)
    ]


def _answer(
    machine: Machine,
    asked: Input,
    via: Walk | None,
    pa: PA | None,
    found: Sequence[tuple[Alias, KnownRegime]],
    looked: Sequence[KnownRegime],
    holes: Sequence[Hole],
) -> ReverseMap:
    """Compare what was found: what leaves of a root in memory say of memory types is known where registers are."""
    said, odd = disagreements([alias for alias, where in found if where.cpus])
    return ReverseMap(
        asked=asked,
        pa=pa,
        walk=via,
        mappings=tuple(FoundMapping(alias, where, any(alias is one for one in odd)) for alias, where in found),
        disagreements=tuple(said),
        looked=tuple(looked),
        architecture=machine.architecture,
        holes=tuple(dict.fromkeys(holes)),
    )


def _walk(machine: Machine, address: Input) -> Walk:
    regime = machine.architecture.regime_for(machine.register, address)
    return walk(regime, address, machine.memory.read)


def _looked(machine: Machine, with_roots: bool) -> list[KnownRegime]:
    looked = regimes_in_use(machine)
    if not looked:
        raise Unavailable("no CPU says which tables are in use; --roots looks for roots in memory")
    return [*looked, *(regimes_in_memory(machine, [each.regime for each in looked]) if with_roots else ())]


def finding(answer: ReverseMap) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return answer.pa is None or bool(answer.disagreements)
