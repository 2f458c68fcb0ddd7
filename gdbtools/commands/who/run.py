"""`who`: run a recorded guest backwards to the last change of a mapping's descriptor, and say who made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gdbtools.addresses import VA
from gdbtools.analysis.history import LastChange, last_change
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.arch.model import Entry, Regime, Step
from gdbtools.bits import Word
from gdbtools.commands.session import Session
from gdbtools.commands.watch.run import descriptor, mapped_at
from gdbtools.errors import Interrupted, UsageError
from gdbtools.machine.model import Machine


@dataclass(frozen=True)
class WrittenAt:
    """What was found: `change` is the last one, None if there was none since the beginning.

    The guest stands before the instruction that made it, on `cpu`, and else where it stood: after `asked_at`
    instructions of the recording.  QEMU records guests of one CPU.
    """

    va: VA
    step: Step
    asked_at: int
    change: LastChange | None
    before: Entry
    after: Entry
    cpu: int
    frames: Sequence[str]
    interrupted: bool
    by_hardware: bool = False
    """Whether it is what hardware's own table walk does to a descriptor, and no store was seen to do it."""


@dataclass(frozen=True)
class Moved:
    """The guest has been taken to another instruction of its recording."""

    position: int
    frames: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `who`, as `declared` has it."""

    address: VA | None = None
    level: int | None = None
    to: int | None = None


def run(session: Session, options: Options) -> Sequence[WrittenAt | Moved]:
    va, to = options.address, options.to
    if to is not None and va is None:
        return (_move(session, to),)
    if to is not None or va is None:
        raise UsageError("say which address, or --to which instruction of the recording")
    machine, live = session.machine, session.live
    regime = machine.architecture.regime_for(machine.register, va)
    step = descriptor(machine, regime, va, options.level)
    # While the MMU was still off, by the physical address.
    places = [(at, regime.entry_bytes) for at in dict.fromkeys((*mapped_at(machine, step), VA(step.pa)))]

    def read() -> int:
        return int.from_bytes(machine.memory.read(step.pa, regime.entry_bytes), regime.byte_order)

    def entry(value: int) -> Entry:
        return regime.decode(value.to_bytes(regime.entry_bytes, regime.byte_order), step.level)

    now, interrupted = read(), False
    with live.recorded(places) as recorded:
        asked_at, change = recorded.position, None
        try:
            change = last_change(recorded, read)
        except Interrupted:
            change, interrupted = None, True
        if change is None:
            recorded.go(asked_at)
    before, after = (now, now) if change is None else (change.before, change.after)
    frames = () if change is None else live.frames()
    was, became = entry(before), entry(after)
    unseen = change is not None and not change.seen
    by_hardware = unseen and _as_hardware(machine, regime, step, was.word, became.word)
    answer = WrittenAt(
        va,
        step,
        asked_at,
        change,
        was,
        became,
        machine.current,
        frames,
        interrupted,
        by_hardware,
    )
    return (answer,)


def _as_hardware(machine: Machine, regime: Regime, step: Step, before: Word, after: Word) -> bool:
    """Return whether hardware that manages the access flag and the dirty state may have made this change."""
    refusal = regime.accept(replace(step, entry=replace(step.entry, word=before)))
    if not step.is_leaf or refusal is not None:
        return False
    architecture, conventions = machine.architecture, (DirtyConvention.NONE, DirtyConvention.DBM)
    flagged = architecture.repair.set_access_flag
    return after in [flagged(before, written, each) for each in conventions for written in (True, False)]


def _move(session: Session, position: int) -> Moved:
    live = session.live
    with live.recorded(()) as recorded:
        start = recorded.position
        try:
            recorded.go(position)
        except Interrupted:
            recorded.go(start)
        now = recorded.position
    return Moved(now, live.frames())
