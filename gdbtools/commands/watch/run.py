"""`watch`: who changes this mapping?  A hardware watchpoint on the descriptor, each hit decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from gdbtools.addresses import VA
from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, SeenWrite
from gdbtools.analysis.reverse import aliases
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Entry, EntryKind, Regime, Step
from gdbtools.arch.walk import walk
from gdbtools.commands.evidence import binary, word_text
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import CURRENT, KERNEL, Spaces, limit_text, spaces
from gdbtools.errors import Refused, UsageError
from gdbtools.machine.model import Machine
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.wording import name_of

ALIASES = 4
"""How many addresses of one descriptor are watched at most: debuggers have four watchpoints as a rule."""


@dataclass(frozen=True)
class Watched:
    """A descriptor that is watched, and by which watchpoints: (number, virtual address) of each."""

    va: VA
    step: Step
    places: Sequence[tuple[int, VA]]
    stops: bool
    isolation: Isolation | None = None
    """Set where the address lies in a range that is a reduced one now; `space` is the one that was asked."""
    space: str = CURRENT


@dataclass(frozen=True)
class Hit:
    """One write that changed the descriptor: before, after, and the frames of the writer, innermost first."""

    watched: Step
    before: Entry
    after: Entry
    cpu: int
    frames: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `watch`, as `declared` has it."""

    address: VA
    level: int | None = None
    regime: str | None = None
    go_on: bool = False
    space: str | None = None


def run(session: Session, options: Options) -> Sequence[Watched]:
    machine, live = session.machine, session.live
    here = spaces(machine)
    space = options.space or (KERNEL if here.hides(options.address) and here.full is not None else CURRENT)
    asked = here.chosen(space)
    regime = _regime(asked, options)
    step = descriptor(asked, regime, options.address, options.level)
    # Whoever changes it does so through the kernel's own addresses.
    places = mapped_at(here.fullest, step)
    if not places:
        raise Refused(
            f"this CPU's tables map the descriptor at PA {step.pa:#x} nowhere, so a watchpoint, which is on a virtual "
            f"address, has nothing to stand on; stop where the writer runs and ask again{_limits(here)}"
        )
    isolation = here.isolation if here.hides(options.address) else None
    hit = WatchHit(step, regime, session.seen)
    numbers = live.watch(places, regime.entry_bytes, hit.look, not options.go_on)
    watched = list(zip(numbers, places, strict=True))
    return (Watched(options.address, step, watched, not options.go_on, isolation, space),)


def _limits(here: Spaces) -> str:
    return f": {limit_text(here.isolation)}" if here.isolation is not None and here.full is None else ""


def mapped_at(machine: Machine, step: Step) -> list[VA]:
    """Return the virtual addresses at which this CPU's tables map a descriptor; with the MMU off its physical one."""
    regimes = machine.architecture.regimes(machine.register)
    places = [VA(va) for va, _ in islice(aliases(regimes, step.pa, machine.memory.read), ALIASES)]
    return places or ([VA(step.pa)] if not any(regime.levels for regime in regimes) else [])


def _regime(machine: Machine, options: Options) -> Regime:
    """Return the regime whose table has the descriptor; raise `UsageError` for one that the architecture lacks."""
    known = machine.architecture.regime_names
    if options.regime not in (None, *known):
        raise UsageError(f"{options.regime} is no regime here; say one of {', '.join(known)}")
    return machine.architecture.regime_for(machine.register, options.address, options.regime)


def descriptor(machine: Machine, regime: Regime, va: VA, level: int | None) -> Step:
    """Return the descriptor to watch: that of the level asked for, else the last one on the way."""
    found = walk(regime, va, machine.memory.read)
    if not found.steps:
        raise UsageError(f"{va:#x} has no descriptor to watch: `mmu walk {va:#x}` says why")
    if level is None:
        return found.steps[-1]
    for step in found.steps:
        if step.level.number == level:
            return step
    levels = ", ".join(str(step.level.number) for step in found.steps)
    raise UsageError(f"the walk of {va:#x} has no level {level} descriptor; it has: {levels}")


class WatchHit:
    """The descriptor as it was last seen; a look gives what a write made of it, and has `history` remember who."""

    def __init__(self, step: Step, regime: Regime, history: DescriptorHistory) -> None:
        self._history = history
        self._step = step
        self._regime = regime
        self._entry = step.entry

    def look(self, machine: Machine, frames: Sequence[str]) -> Document | None:
        """Return a document of the change since the last look; None where there is none."""
        raw = machine.memory.read(self._step.pa, self._regime.entry_bytes)
        after = self._regime.decode(raw, self._step.level)
        before = self._entry
        if after.word == before.word:
            return None
        write = SeenWrite(machine.current, machine.register(machine.architecture.pc), int(before.word), int(after.word))
        self._history.wrote(self._step.pa, write)
        hit = Hit(self._step, before, after, machine.current, frames)
        self._entry = after
        return hit_view(hit)


def changes(before: Entry, after: Entry) -> list[tuple[str, str]]:
    """Return each field that differs, with both values: what they are where their layouts differ, as `kind`."""
    if type(before.word) is not type(after.word):
        return [("kind", f"{_kind(before)} -> {_kind(after)}")]
    pairs = zip(before.word.decoded(), after.word.decoded(), strict=True)
    return [(old.field.name, f"{binary(old)} -> {binary(new)}") for old, new in pairs if old.value != new.value]


def changes_text(before: Entry, after: Entry) -> str:
    said = [values if name == "kind" else f"{name} {values}" for name, values in changes(before, after)]
    return ", ".join(said) or "no field of it"


def _kind(entry: Entry) -> str:
    """Return what an entry is, in the architecture's words where it is not used."""
    return name_of(entry.cause) if entry.kind is EntryKind.INVALID and entry.cause else entry.kind.label


def hit_view(hit: Hit) -> Document:
    what = changes_text(hit.before, hit.after)
    where = f" in the level {hit.watched.level.number} descriptor at PA {hit.watched.pa:#x}, by CPU {hit.cpu}."
    rows: list[tuple[str, Text]] = [
        ("before", f"{hit.before.word.padded}  {word_text(hit.before.word)}"),
        ("after", f"{hit.after.word.padded}  {word_text(hit.after.word)}"),
    ]
    rows += [("writer" if not number else "", frame) for number, frame in enumerate(hit.frames)]
    return Document([Line([Span(what, Role.WARNING), where]), Facts(rows)])
