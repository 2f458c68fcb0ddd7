"""The registers that would have roots in use: what the tables say of them, but what the source says where it does."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from gdbtools.analysis.roots.holders import Holder, holder
from gdbtools.analysis.roots.reading import FoundRoot
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Derived
from gdbtools.commands.files import write_whole
from gdbtools.errors import Unavailable
from gdbtools.machine.layers import FixedRegisters, Overridden
from gdbtools.machine.model import Machine


def registers(architecture: Architecture, chosen: Sequence[FoundRoot], said: Sequence[Derived]) -> Derived:
    """Return the registers that hold the chosen roots, with what a kernel says besides of one of them."""
    if not chosen:
        return Derived({}, ())
    ours = architecture.table_heuristics.registers([each.place for each in chosen])
    values: dict[str, int] = dict(ours.values)
    assumed = list(ours.assumed)
    for derived in said:
        if any(ours.values.get(name) == value and value for name, value in derived.values.items()):
            more = {name: value for name, value in derived.values.items() if name not in values}
            values |= more
            assumed += [each for each in derived.assumed if each.about in more]
    return Derived(values, tuple(assumed))


def as_held(
    machine: Machine, chosen: Sequence[FoundRoot], derived: Derived, held: Collection[str], unread: Collection[str]
) -> Derived:
    """Return registers with the source's own values, as far as these have the chosen roots in use.

    `held` are the registers of the source that lead to roots, `unread` those that nobody has read.  Where the source
    has none of those that are asked for, or its controls would read a chosen root otherwise than it was found, the
    registers are left as they were derived.
    """
    own = {name: value for name in derived.values if name not in unread and (value := _own(machine, name)) is not None}
    for each in chosen:
        if not _holds(machine, each, {**derived.values, **own}):
            own.pop(each.place.register, None)
    together = {**derived.values, **own}
    if not derived.values.keys() & set(held) or not all(_holds(machine, each, together) for each in chosen):
        return derived
    # What is said of a register that the source has, or of one that its own controls speak for, is no assumption.
    kept = [each for each in derived.assumed if each.about in derived.values.keys() - own.keys()]
    return Derived(together, tuple(kept))


def write(path: Path, derived: Derived) -> None:
    """Write a file for `--registers`: names to hex strings, and in words what was assumed."""
    values: Mapping[str, object] = {name: f"{value:#x}" for name, value in derived.values.items()}
    said = [each.text for each in derived.assumed]
    write_whole(path, (json.dumps({**values, "assumed": said}, indent=2) + "\n").encode())


def _own(machine: Machine, name: str) -> int | None:
    try:
        return machine.register(name)
    except Unavailable:
        return None


def _holds(machine: Machine, each: FoundRoot, values: Mapping[str, int]) -> bool:
    """Return whether registers have a root in use just as it was found."""
    place = each.place
    read = Overridden(machine.cpu.registers, FixedRegisters(values, "what was found")).read
    found: list[Holder | None] = []
    with suppress(Unavailable):
        regimes = machine.architecture.regimes(read, place.regime)
        stages = [stage for one in regimes for stage in (one, one.below) if stage is not None and stage.levels]
        found = [holder(one, machine.memory.read) for one in stages]
    return any(one is not None and one.is_at(place) and one.fits(each.candidate) for one in found)
