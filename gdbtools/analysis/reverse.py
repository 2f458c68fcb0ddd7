"""Which virtual addresses lead to a physical one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gdbtools.addresses import PA
from gdbtools.analysis.selection import onto
from gdbtools.arch.model import Read, Regime, Run
from gdbtools.arch.scan import scan


def aliases(regimes: Iterable[Regime], pa: PA, read: Read) -> Iterator[tuple[int, Run]]:
    """Yield every (address, run) of the regimes that leads to the byte at `pa`.

    A run whose leaves all lead to the same place counts once, by its first leaf.
    """
    for regime in regimes:
        for found in scan(regime, read):
            if not isinstance(found, Run):
                continue
            for part in onto(found, (pa, 1)):
                assert part.output is not None, "it leads to `pa`"
                yield part.first + (pa - part.output), part
