"""Descriptors as they were when somebody last looked: what has been changed since, and under whose eyes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import PA
from gdbtools.arch.model import Step, Walk


def steps_of(found: Walk) -> Sequence[Step]:
    """Return every descriptor of a walk, of both stages."""
    return (*found.steps, *(found.below.steps if found.below else ()))


@dataclass(frozen=True)
class OwnWrite:
    """The last change that a command of this debugger made of a descriptor: its value before and after.

    `here` says that it was made at this very stop: the guest has not run since.
    """

    command: str
    before: int
    after: int
    here: bool = False


@dataclass(frozen=True, slots=True)
class SeenWrite:
    """A change of a descriptor that the guest made under a watchpoint: which CPU did, and where its pc was then."""

    cpu: int
    pc: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a descriptor was when it was looked at, while the guest stood still with this CPU selected.

    `cpu` is None where it was nobody's look, but what a change of ours found.
    """

    pa: PA
    level: int
    value: int
    cpu: int | None


@dataclass
class DescriptorHistory:
    """What was seen, by the descriptor's physical address: at this stop, and at the last stop before that."""

    _here: dict[int, Sighting] = field(default_factory=dict)
    _before: dict[int, Sighting] = field(default_factory=dict)
    _writes: dict[int, SeenWrite] = field(default_factory=dict)

    def moved_on(self) -> None:
        """The guest has run, and stands still again."""
        self._before |= self._here
        self._here = {}

    def remember(self, steps: Iterable[Step], cpu: int) -> None:
        """Remember descriptors as they are now; of one stop the first look counts, and what differs later is ours."""
        for step in steps:
            self._here.setdefault(step.pa, Sighting(step.pa, step.level.number, int(step.entry.word), cpu))

    def wrote(self, pa: PA, write: SeenWrite) -> None:
        """Remember a change that was watched."""
        self._writes[pa] = write

    def write(self, pa: PA) -> SeenWrite | None:
        """Return the last change that was watched."""
        return self._writes.get(pa)

    def here(self, pa: PA) -> Sighting | None:
        """Return what was seen first at this stop."""
        return self._here.get(pa)

    def before(self, pa: PA) -> Sighting | None:
        """Return what was seen last before this stop."""
        return self._before.get(pa)
