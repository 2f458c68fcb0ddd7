"""What regimes map, by where it leads: kept from one question to the next for as long as their tables are the same."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

from gdbtools.addresses import PA, Input
from gdbtools.analysis.kept_answers import KeptAnswers
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.reverse import Alias, leading
from gdbtools.arch.model import Hole, Read, Regime, Run

WORD: Final = "Q"
"""How `array` calls an address."""


class _Columns(NamedTuple):
    """Runs that lead to about as much, in order of where they lead to: a number each, for there may be a million.

    `reaches` is to how much of physical memory a run leads: less than its size where all its leaves lead to one place.
    """

    outputs: array[int]
    firsts: array[int]
    sizes: array[int]
    reaches: array[int]


class ReverseIndex:
    """The runs of one regime by physical address; `holes` are what could not be read."""

    def __init__(self, regime: Regime, read: Read) -> None:
        self.regime = regime
        self.holes: list[Hole] = []
        found: dict[int, list[tuple[int, int, int, int]]] = {}
        for each in mappings_of(regime, read):
            if isinstance(each, Hole):
                self.holes.append(each)
            elif each.output is not None:
                reach = each.size_bytes if each.stride_bytes else each.leaf_bytes
                found.setdefault(reach.bit_length(), []).append((each.output, each.first, each.size_bytes, reach))
        self._places = {
            bits: _Columns(*(array(WORD, column) for column in zip(*sorted(places), strict=True)))
            for bits, places in found.items()
        }

    def leading_to(self, pa: PA, read: Read) -> list[Alias]:
        """Return what leads to the byte at `pa`, in order of address."""
        found = [
            Alias(cast(Input, address), part, self.regime)
            for run in self._around(pa, read)
            for address, part in leading(run, pa)
        ]
        return sorted(found, key=lambda alias: alias.address)

    def _around(self, pa: PA, read: Read) -> Iterator[Run]:
        """Yield what leads to the page around `pa`, read again where it is."""
        for bits, places in self._places.items():
            low = bisect_left(places.outputs, max(pa - (1 << bits) + 1, 0))
            for at in range(low, bisect_right(places.outputs, pa)):
                offset, size_bytes = pa - places.outputs[at], places.sizes[at]
                if offset < places.reaches[at]:
                    is_linear = places.reaches[at] == size_bytes
                    wanted = (places.firsts[at] + offset, 1) if is_linear else (places.firsts[at], size_bytes)
                    yield from (each for each in mappings_of(self.regime, read, wanted) if isinstance(each, Run))


class ReverseIndexes:
    """The indexes that a face keeps from one question to the next."""

    def __init__(self) -> None:
        self._kept = KeptAnswers[ReverseIndex]()

    def of(self, regime: Regime, read: Read) -> ReverseIndex:
        """Return the index of a regime: the one that is kept, where its tables are as they were, else a new one."""
        return self._kept.of(regime, read, lambda noted: ReverseIndex(regime, noted.read))
