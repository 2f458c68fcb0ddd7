"""Clearing access flags over a range: who touches what shows then by its faults, or by flags that hardware sets again.

Descriptors are found by the walk of each leaf's own address, so that an access flag is cleared where a walk reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from gdbtools.addresses import Input, moved
from gdbtools.arch.model import Hole, Regime
from gdbtools.arch.scan import Scanner
from gdbtools.arch.walk import walk
from gdbtools.errors import Refused
from gdbtools.machine.layers import Recording
from gdbtools.machine.model import Machine
from gdbtools.repair.change import Change
from gdbtools.repair.needed import Needed

LIMIT = 1 << 16
"""How many leaves one command clears: each is compared, written and read back."""


@dataclass(frozen=True)
class ClearPlan:
    """What would be cleared; `already` counts leaves whose flag is clear, `holes` the tables that cannot be read."""

    changes: Sequence[Change]
    already: int
    holes: Sequence[Hole]
    by_hardware: bool
    """Whether hardware sets the flags again, as `control` says: then nobody faults."""
    control: str
    spared: Mapping[Input, str] = field(default_factory=dict)
    """The leaves that keep their flags, by address, with what of them an exception's entry needs."""


def plan(machine: Machine, wanted: tuple[Input, int], name: str | None) -> ClearPlan:
    """Plan to clear the flag of every leaf that maps any of `wanted`, (first, size in bytes)."""
    first, size_bytes = wanted
    architecture, register = machine.architecture, machine.register
    memory = Recording(machine.memory)
    regimes = architecture.regimes(register, name)
    if not any(regime.levels for regime in regimes):
        raise Refused(f"the MMU is off ({regimes[0].name}); nothing has an access flag")
    needed = Needed(machine, name, memory.read)
    spared: dict[Input, str] = {}
    by_hardware = False
    changes: dict[int, Change] = {}
    clear: set[int] = set()
    holes: list[Hole] = []
    for regime in regimes:
        for found in _leaves(regime, memory, first, moved(first, size_bytes - 1)):
            if isinstance(found, Hole):
                holes.append(found)
                continue
            step = walk(regime, found, memory.read).leaf
            assert step is not None, "a leaf was found there"
            before = step.entry.word
            after = architecture.repair.clear_access_flag(before)
            if after == before:
                clear.add(step.pa)
                continue
            by_hardware = regime.accept(replace(step, entry=replace(step.entry, word=after))) is None
            why = "" if by_hardware else needed.why(found, step.level.size_bytes, step.pa)
            if why:
                spared[found] = why
                continue
            changes[step.pa] = Change(step.pa, before, after, regime.entry_bytes, regime.byte_order, found)
            if len(changes) > LIMIT:
                raise Refused(f"more than {LIMIT} leaves are in that range; give a smaller one")
    if spared and not changes:
        first, why = next(iter(spared.items()))
        raise Refused(
            f"{first:#x} maps {why}: a fault there loses the exception that is being taken, whoever repairs it; "
            "give a range without it"
        )
    return ClearPlan(
        tuple(changes.values()), len(clear), tuple(holes), by_hardware, architecture.repair.flag_control, spared
    )


def _leaves(regime: Regime, memory: Recording, first: Input, last: Input) -> Iterator[Input | Hole]:
    """Yield the first address of every leaf that maps any of first..last."""
    first, last = max(first, regime.first), min(last, regime.last)
    for run in Scanner(regime, memory.read).within(first, last) if regime.levels and first <= last else ():
        if isinstance(run, Hole):
            yield run
            continue
        if run.kind.soft_invalid:
            continue
        start = run.first + max(first - run.first, 0) // run.leaf_bytes * run.leaf_bytes
        yield from (cast(Input, at) for at in range(start, min(run.last, last) + 1, run.leaf_bytes))
