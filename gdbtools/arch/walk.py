"""The table loop for one address; `scan` has the one for all of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from gdbtools.addresses import IPA, PA, Input, Output, moved
from gdbtools.arch.model import Fault, Fetch, Level, Mapped, Read, Refusal, Regime, Step, Walk
from gdbtools.errors import Unavailable, Unreadable

Refuses = Callable[[Walk], Refusal | None]
"""Return what a stage refuses an access to what a walk of it found."""


def walk(regime: Regime, address: Input, read: Read, refuses: Refuses | None = None) -> Walk:
    """Translate `address` as the hardware does, through both stages where there are two, keeping every descriptor.

    A descriptor that cannot be read raises `Unreadable`: missing evidence is neither mapped nor unmapped.  With
    `refuses` it is walked for an access: where this stage refuses that, what the stage below would say of its output
    need not be there, for hardware never asks.
    """
    found = _walk(regime, address, read, False, refuses)
    if found.refused is None or not found.refused.decider.cause.is_soft_invalid:
        return found
    with suppress(Unreadable):
        return replace(found, kept=_walk(regime, address, read, True))
    return found


def read_virtual(regime: Regime, first: Input, size_bytes: int, read: Read) -> bytes:
    """Return what is at an address of a regime; raise `Unavailable` where it is not mapped, `Unreadable` as `walk`."""
    found = b""
    while len(found) < size_bytes:
        at = moved(first, len(found))
        outcome = walk(regime, at, read).outcome
        if not isinstance(outcome, Mapped):
            raise Unavailable(f"{at:#x} is not mapped, where the CPU keeps what was asked for")
        wanted = size_bytes - len(found)
        left = outcome.size_bytes - at % outcome.size_bytes
        found += read(PA(outcome.address), min(wanted, left))
    return found


def _walk(regime: Regime, address: Input, read: Read, kept: bool, refuses: Refuses | None = None) -> Walk:
    """Translate `address`; with `kept`, as if soft-invalid entries were valid."""
    steps: list[Step] = []
    translated = regime.translated(address)
    refusal = regime.admit(translated)
    table = regime.root
    for level in regime.levels if refusal is None else ():
        index = level.index(translated)
        at = moved(table, index * regime.entry_bytes)
        via, refusal = fetch(regime, at, read)
        if kept and via is not None and via.kept is not None:
            via = via.kept
            refusal = regime.fetch_refused(via)
        if refusal is not None:
            assert via is not None, "only the stage below refuses a fetch"
            return Walk(address, regime, tuple(steps), refusal, Fetch(level, index, via))
        pa = PA(at) if via is None else address_of(via)
        refusal = regime.read_refused(pa, regime.entry_bytes, level)
        if refusal is not None:
            break
        step = Step(level, index, pa, regime.decode(_descriptor(read, pa, regime, level), level), via)
        if kept:
            step, _ = whole(regime, step)
        steps.append(step)
        refusal = regime.accept(step)
        if refusal is not None or step.is_leaf:
            break
        table = step.entry.address
    found = Walk(address, regime, tuple(steps), refusal)
    if regime.below is None or refusal is not None or found.destination is None:
        return found
    try:
        final = walk(regime.below, IPA(found.destination.address), read)
    except Unreadable:
        refusal = None if refuses is None else refuses(found)
        if refusal is None:
            raise
        return replace(found, refusal=refusal)
    return replace(found, final=final.kept if kept and final.kept is not None else final)


def whole(regime: Regime, step: Step) -> tuple[Step, Fault | None]:
    """Return a step with its entry as if that were valid, and the fault hardware has there; others stay as they are."""
    if step.entry.kept is None:
        return step, None
    refused = regime.accept(step)
    assert refused is not None, "hardware faults where a valid bit is clear"
    return replace(step, entry=step.entry.kept), refused.fault


def fetch(regime: Regime, at: Output, read: Read) -> tuple[Walk | None, Refusal | None]:
    """Translate a table's address through the stage below, if there is one, and say what refuses to read it there."""
    if regime.below is None:
        return None, None
    via = walk(regime.below, IPA(at), read)
    return via, regime.fetch_refused(via)


def address_of(via: Walk) -> PA:
    """Return where a walk that nothing refuses leads."""
    assert isinstance(via.outcome, Mapped), "nothing refused it"
    return via.outcome.address


def _descriptor(read: Read, pa: PA, regime: Regime, level: Level) -> bytes:
    try:
        return read(pa, regime.entry_bytes)
    except Unreadable as missing:
        raise Unreadable(
            pa, regime.entry_bytes, f"{missing.why} (it holds the level {level.number} descriptor)"
        ) from None
