"""Which addresses lead to a physical one, and whether they agree in how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA, Input
from gdbtools.analysis.selection import onto
from gdbtools.arch.model import FaultKind, Read, Regime, Run
from gdbtools.arch.scan import scan

SHAREABILITY: Final = "shareability"
"""What mappings may disagree in, besides the memory type."""


@dataclass(frozen=True)
class Alias:
    """An input address of a regime that leads to a physical address, and the run that it is in.

    Of a run whose leaves all lead to one place, the first address stands for all.
    """

    address: Input
    run: Run
    regime: Regime

    @property
    def in_force(self) -> bool:
        """Whether hardware would use it; a clear access flag is set on the way."""
        fault = self.run.fault
        return not self.run.kind.soft_invalid and (fault is None or fault.kind is FaultKind.ACCESS_FLAG)


def aliases(regimes: Iterable[Regime], pa: PA, read: Read) -> Iterator[tuple[int, Run]]:
    """Yield every (address, run) of the regimes that leads to the byte at `pa`, each stage by itself.

    A run whose leaves all lead to the same place counts once, by its first leaf.
    """
    for regime in regimes:
        for found in scan(regime, read):
            if isinstance(found, Run):
                yield from ((address, part) for address, part in leading(found, pa))


def leading(run: Run, pa: PA) -> Iterator[tuple[int, Run]]:
    """Yield the address of a run that leads to `pa`, and the leaf of it that says so."""
    for part in onto(run, (pa, 1)):
        assert part.output is not None, "it leads to `pa`"
        yield part.first + (pa - part.output), part


def disagreements(found: Sequence[Alias]) -> tuple[Sequence[str], Sequence[Alias]]:
    """Return in what the mappings of one physical address that are in force do not agree, and which stand out.

    Those are the ones that are not as most are; where there is no most, all of them.  A second stage by itself is
    compared with others of its kind: what it says, a first stage may make less of.
    """
    said: list[str] = []
    odd: list[Alias] = []
    ours = [each for each in found if each.in_force]
    for stage in sorted({each.regime.stage for each in ours}):
        of_stage = [each for each in ours if each.regime.stage == stage]
        for what, value in (("memory type", _memory), (SHAREABILITY, _shareability)):
            counted = Counter(map(value, of_stage)).most_common()
            if len(counted) < 2:
                continue
            said.append(f"{what}: {', '.join(sorted(each for each, _ in counted))}")
            usual = counted[0][0] if counted[0][1] > counted[1][1] else None
            odd += [each for each in of_stage if value(each) != usual and each not in odd]
    return said, odd


def _memory(alias: Alias) -> str:
    return alias.run.attributes.memory


def _shareability(alias: Alias) -> str:
    return alias.run.attributes.shareability
