"""`stage2`: what a guest's second stage maps, counted, and what cleaning all of it costs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gdbtools.analysis.guests.census import Census, census
from gdbtools.analysis.guests.cleaning import Bill, bill
from gdbtools.analysis.guests.known import GuestOnCpu, on_cpus
from gdbtools.arch.model import Regime
from gdbtools.commands.session import OfGuest, Session
from gdbtools.commands.what_if import Supposition, WhatIf, suppose
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.dumps.extents import map_of
from gdbtools.machine.model import Machine


@dataclass(frozen=True, kw_only=True)
class Options(WhatIf, OfGuest):
    """What may be asked of `stage2`, as `declared` has it."""

    regime: str | None = None
    root: int | None = None
    measure: bool = False
    stage_only = True


@dataclass(frozen=True)
class GuestMap:
    """A second stage, counted; `bill` is None where no guest can clean by set/way.

    `cpus` are those that hold it.  `seconds` is how long it took, None where nobody asked.
    """

    census: Census
    bill: Bill | None
    cpus: tuple[GuestOnCpu, ...]
    suppositions: tuple[Supposition, ...]
    seconds: float | None

    @property
    def regime(self) -> Regime:
        return self.census.regime


def run(session: Session, options: Options) -> Sequence[GuestMap]:
    machine = session.machine
    guests = machine.architecture.guests
    name = options.regime or guests.stage(machine.register)
    supposed = suppose(machine, options, name, None, options.root)
    machine = supposed.machine
    [regime, *others] = machine.architecture.regimes(machine.register, name)
    if others or regime.stage == 1:
        raise UsageError(f"{name} is no second stage; leave --regime out, or ask `tables --regime {name}`")
    if not regime.levels:
        raise Unavailable(
            f"{regime.name}: nobody's is in force; `find-roots` finds those in memory, --root asks of one"
        )
    memory = map_of(machine.memory)
    started = time.perf_counter()
    count = census if options.measure else session.kept.censuses.of
    found = count(regime, machine.memory.read, memory)
    seconds = time.perf_counter() - started
    if found.unread and not found.leaves:
        hole = found.unread[0]
        raise Unavailable(f"nothing can be said of what is mapped: the table at PA {hole.pa:#x}: {hole.why}")
    cleaned = bill(found, guests.line_bytes(machine.register)) if guests.cleans_by_set_way else None
    # The CPU that is asked about another root or guest holds that on paper only.
    on_paper = options.root is not None or options.guest is not None
    holding = tuple(_holding(session.as_it_is or session.machine if on_paper else machine, regime))
    return (GuestMap(found, cleaned, holding, supposed.suppositions, seconds if options.measure else None),)


def _holding(machine: Machine, regime: Regime) -> Iterator[GuestOnCpu]:
    """Yield the CPUs whose registers hold a second stage."""
    with suppress(Unavailable):
        yield from (each for each in on_cpus(machine) if each.loaded.regime.root == regime.root)
