"""Which ranges of two sources' regimes are to be compared with each other, and in what these ranges differ."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.model import Regime


class RegimeAspect(enum.Enum):
    """In what two ranges of the same name may differ."""

    ROOT = enum.auto()
    RANGE = enum.auto()
    """Which addresses it admits."""
    GRANULE = enum.auto()
    LEVELS = enum.auto()
    OUTPUT_SIZE = enum.auto()
    STAGE_2 = enum.auto()
    """One goes through a stage 2 and the other does not."""
    STAGE_2_ROOT = enum.auto()


@dataclass(frozen=True, slots=True)
class RegimePair:
    """The same range in two sources; one is None where the other source alone is translating with it."""

    before: Regime | None
    after: Regime | None

    @property
    def name(self) -> str:
        regime = self.before or self.after
        assert regime is not None, "a pair is of something"
        return regime.own_name

    @property
    def aspects(self) -> frozenset[RegimeAspect]:
        """In what the two differ; nothing where there are no two."""
        one, other = self.before, self.after
        if one is None or other is None:
            return frozenset()
        found = {
            RegimeAspect.ROOT: one.root != other.root,
            RegimeAspect.RANGE: (one.first, one.last) != (other.first, other.last),
            RegimeAspect.GRANULE: _granule(one) != _granule(other),
            RegimeAspect.LEVELS: len(one.levels) != len(other.levels),
            RegimeAspect.OUTPUT_SIZE: one.output_last != other.output_last,
            RegimeAspect.STAGE_2: (one.below is None) != (other.below is None),
            RegimeAspect.STAGE_2_ROOT: bool(one.below and other.below) and _root(one.below) != _root(other.below),
        }
        return frozenset(aspect for aspect, differs in found.items() if differs)


def paired(before: Sequence[Regime], after: Sequence[Regime]) -> tuple[RegimePair, ...]:
    """Pair the ranges of two regimes by name, in order of address; what has no partner comes after what has."""
    one, other = ({regime.own_name: regime for regime in regimes} for regimes in (before, after))
    names = sorted(dict.fromkeys((*one, *other)), key=lambda name: not (name in one and name in other))
    return tuple(RegimePair(one.get(name), other.get(name)) for name in names)


def _granule(regime: Regime) -> int | None:
    return regime.levels[-1].size_bytes if regime.levels else None


def _root(regime: Regime | None) -> int | None:
    return None if regime is None else regime.root
