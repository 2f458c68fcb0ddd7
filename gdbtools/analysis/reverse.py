"""Which addresses lead to a physical one, and whether they agree in how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from gdbtools.addresses import PA, Input
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.selection import onto
from gdbtools.arch.model import FaultKind, Hole, Read, Regime, Run
from gdbtools.arch.scan import scan


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
                yield from ((address, part) for address, part in _leading(found, pa))


def mapped_to(regime: Regime, wanted: Sequence[PA], read: Read) -> tuple[dict[PA, list[Alias]], list[Hole]]:
    """Return what leads to each of some physical addresses, through the stage below too, and what could not be read.

    The tables are looked through once, however many addresses there are.
    """
    found: dict[PA, list[Alias]] = {pa: [] for pa in wanted}
    holes = []
    for each in mappings_of(regime, read):
        if isinstance(each, Hole):
            holes.append(each)
            continue
        for pa in found:
            found[pa] += [Alias(cast(Input, address), part, regime) for address, part in _leading(each, pa)]
    return found, holes


def _leading(run: Run, pa: PA) -> Iterator[tuple[int, Run]]:
    for part in onto(run, (pa, 1)):
        assert part.output is not None, "it leads to `pa`"
        yield part.first + (pa - part.output), part


def disagreements(found: Iterable[Alias]) -> Sequence[str]:
    """Return in what the mappings of one physical address that are in force do not agree; nothing where they do.

    A second stage by itself is compared with others of its kind: what it says, a first stage may make less of.
    """
    said = []
    ours = [each for each in found if each.in_force]
    for stage in sorted({each.regime.stage for each in ours}):
        of_stage = [each.run.attributes for each in ours if each.regime.stage == stage]
        for what, values in (
            ("memory type", {each.memory for each in of_stage}),
            ("shareability", {each.shareability for each in of_stage}),
        ):
            if len(values) > 1:
                said.append(f"{what}: {', '.join(sorted(values))}")
    return said
