"""Where to break a scale: the bands of a sparse range, cut into stretches that each can be drawn to one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gdbtools.render.drawing import Band

STRETCHES = 32
"""How many stretches a range is cut into at most."""
WIDEST = 1 / 4
"""How much of a stretch a single gap may take up, unless there are too many stretches."""
EMPTIEST = 3 / 4
"""How much of it all its gaps together may take up."""


@dataclass(frozen=True)
class ScaleStretch:
    """Bands that are near each other, for the sizes that they have."""

    bands: Sequence[Band]

    @property
    def first(self) -> int:
        return self.bands[0].first

    @property
    def size_bytes(self) -> int:
        return self.bands[-1].first + self.bands[-1].size_bytes - self.first

    @cached_property
    def cut(self) -> int:
        """The number of the band behind the widest gap; 0 where there is none."""
        return max(range(len(self.bands)), key=self._gap)

    @cached_property
    def emptiness(self) -> float:
        """How much of it the gaps take up."""
        return 1 - sum(band.size_bytes for band in self.bands) / self.size_bytes

    @property
    def is_sparse(self) -> bool:
        """Return whether to one scale it would show little but gaps, or a gap that dwarfs the rest."""
        return self.emptiness > EMPTIEST or self._gap(self.cut) > WIDEST * self.size_bytes

    def _gap(self, at: int) -> int:
        before = self.bands[at - 1]
        return self.bands[at].first - before.first - before.size_bytes if at else 0


def stretches(bands: Sequence[Band], most: int = STRETCHES) -> list[ScaleStretch]:
    """Cut bands, which are in order of address, at their widest gaps until no stretch is sparse; the emptiest first."""
    parts = [ScaleStretch(bands)] if bands else []
    while len(parts) < most:
        sparse = [at for at, part in enumerate(parts) if part.is_sparse]
        if not sparse:
            break
        at = max(sparse, key=lambda each: parts[each].emptiness)
        worst = parts[at]
        parts[at : at + 1] = [ScaleStretch(worst.bands[: worst.cut]), ScaleStretch(worst.bands[worst.cut :])]
    return parts
