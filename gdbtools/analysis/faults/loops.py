"""A fault loop: the same instruction faults on the same address again, and what the tables say has not changed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from gdbtools.addresses import PA, VA
from gdbtools.analysis.faults.diagnosis import Diagnosis


@dataclass(frozen=True, slots=True)
class FaultPlace:
    """A fault as a loop would repeat it; `descriptor` is the walk's last, at `pa`, None where there is none."""

    pc: VA
    address: VA
    syndrome: int
    pa: PA | None
    descriptor: int | None

    def said(self) -> str:
        """Return the name of the loop in one line."""
        where = f"a fault loop: pc {self.pc:#x} faults on {self.address:#x} again with syndrome {self.syndrome:#x}"
        if self.pa is None or self.descriptor is None:
            return f"{where}, and nothing maps it"
        return f"{where}, and its descriptor at PA {self.pa:#x} is still {self.descriptor:#018x}"


def place_of(found: Diagnosis) -> FaultPlace:
    """Return where a fault is, as it was found."""
    exception = found.exception
    last = found.walk.steps[-1] if found.walk is not None and found.walk.steps else None
    return FaultPlace(
        exception.return_address or VA(0),  # a live guest has it
        exception.address,
        int(exception.syndrome.word),
        None if last is None else last.pa,
        None if last is None else int(last.entry.word),
    )


@dataclass
class Loops:
    """The last fault of each CPU, and how often it has come in a row."""

    _last: dict[Hashable, tuple[FaultPlace, int]] = field(default_factory=dict)

    def times(self, cpu: Hashable, place: FaultPlace) -> int:
        """Remember a fault of a CPU, as its descriptor is left; returns how many times in a row it has now been so."""
        before, times = self._last.get(cpu, (None, 0))
        times = times + 1 if before == place else 1
        self._last[cpu] = place, times
        return times

    def forget(self, cpu: Hashable) -> None:
        """Something else has happened to this CPU."""
        self._last.pop(cpu, None)

    def changed(self, first: int, end: int) -> None:
        """Descriptors from `first` up to `end` have been written: what led there is over, if it was a loop."""
        over = [cpu for cpu, (place, _) in self._last.items() if place.pa is not None and first <= place.pa < end]
        for cpu in over:
            del self._last[cpu]
