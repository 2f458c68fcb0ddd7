"""What `map` looks at: ranges, one after another, and what of each fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA, Input
from gdbtools.analysis.contiguity import Contiguity, broken_ends
from gdbtools.analysis.guest_runs import GuestRun, guest_runs
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.selection import Keep, onto, within
from gdbtools.arch.model import Hole, Read, Regime, Run
from gdbtools.systems.guest_frames import GuestFrames


@dataclass(frozen=True)
class Broken:
    """A contiguous run that is not one, and where an address of it is."""

    run: Contiguity
    address: Input


@dataclass(frozen=True)
class Part:
    """What one range of one space maps: runs in order of address, and tables that could not be read."""

    space: str
    regime: Regime
    runs: tuple[Run, ...]
    holes: tuple[Hole, ...]
    left_at: Input | None = None
    """Where it was left because that is enough; None: it was not."""
    guest_runs: tuple[GuestRun, ...] = ()
    """The runs by a paravirtual guest's numbers, where those were asked for: `runs` are then these."""


class MapRanges:
    """Ranges that are looked at, one after another: what fits, and how much there was."""

    def __init__(
        self,
        read: Read,
        wanted: tuple[int, int] | None,
        physical: tuple[PA, int] | None,
        keep: Sequence[Keep],
        limit: int,
        guest: GuestFrames | None,
    ) -> None:
        self.leaves = 0
        self.broken: dict[int, Broken] = {}
        self._read, self._wanted, self._physical, self._keep = read, wanted, physical, keep
        self._limit, self._guest = limit, guest

    def at(self, space: str, regime: Regime) -> Part:
        return self._machines(space, regime) if self._guest is None else self._guests(space, regime, self._guest)

    def _guests(self, space: str, regime: Regime, guest: GuestFrames) -> Part:
        """Return what a guest's own addresses have, as runs of its own numbers."""
        found: list[GuestRun] = []
        holes: list[Hole] = []
        for first, last in guest.ranges:
            asked = self._wanted or (first, last - first + 1)
            low, end = max(first, regime.first, asked[0]), min(last + 1, regime.last + 1, sum(asked))
            if low < end:
                found += guest_runs(self._fitting(regime, (low, end - low), holes), guest)
        listed, left = found[: self._limit], found[self._limit :]
        runs = tuple(each.run for each in listed)
        return Part(space, regime, runs, tuple(holes), left[0].run.first if left else None, tuple(listed))

    def _fitting(self, regime: Regime, wanted: tuple[int, int] | None, holes: list[Hole]) -> Iterator[Run]:
        for each in within(mappings_of(regime, self._read, wanted), wanted):
            if isinstance(each, Hole):
                holes.append(each)
                continue
            self.leaves += each.leaves
            for address, found in broken_ends(regime, each, self._read):
                self.broken.setdefault(found.first, Broken(found, address))
            yield from (part for part in onto(each, self._physical) if all(fits(part) for fits in self._keep))

    def _machines(self, space: str, regime: Regime) -> Part:
        runs: list[Run] = []
        holes: list[Hole] = []
        for part in self._fitting(regime, self._wanted, holes):
            runs.append(part)
            if len(runs) > self._limit:
                return Part(space, regime, tuple(runs[: self._limit]), tuple(holes), runs[self._limit].first)
        return Part(space, regime, tuple(runs), tuple(holes))
