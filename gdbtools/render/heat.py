"""Heat: stretches of any length, put into columns of one length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gdbtools.render.document import Heat, HeatRow, Role, Span


@dataclass(frozen=True)
class Glyphs:
    """What a column is drawn as: nothing there, something that is cold, and ever hotter."""

    nothing: str
    cold: str
    hot: str


BLOCKS = Glyphs(" ", "\N{MIDDLE DOT}", "▁▂▃▄▅▆▇█")
ASCII = Glyphs(" ", ".", ":-=+*#%@")
ROLES = (Role.COOL, Role.WARM, Role.HOT)


def glyphs(encoding: str) -> Glyphs:
    """Return blocks where they can be written, else ASCII."""
    try:
        (BLOCKS.cold + BLOCKS.hot).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def column_length(block: Heat, columns: int) -> int:
    """Return how long a column is, so that the longest strip takes no more than `columns`.

    It is one unit where that will do, else a round number of them: 2, 3, 4, 6, 8, 12 and so on.
    """
    unit = block.unit
    longest = max((sum(length for length, _ in row.stretches) for row in block.rows), default=0)
    least = -(-longest // (unit * columns))
    power = 1 << max(least - 1, 0).bit_length()
    return unit * (3 * power // 4 if power > 2 and 3 * power // 4 >= least else power)


def cells(row: HeatRow, length: int) -> Iterator[float | None]:
    """Yield each column's heat: the mean of what is there, None where nothing is."""
    there, heat, room = 0, 0.0, length
    for stretch, share in row.stretches:
        left = stretch
        while left:
            take = min(left, room)
            if share is not None:
                there, heat = there + take, heat + take * share
            left, room = left - take, room - take
            if not room:
                yield heat / there if there else None
                there, heat, room = 0, 0.0, length
    if room < length:
        yield heat / there if there else None


def drawn(row: HeatRow, length: int, drawing: Glyphs) -> Sequence[Span]:
    """Return a strip's columns as text with roles."""
    found = [_cell(heat, drawing) for heat in cells(row, length)]
    return [Span("".join(text for text, _ in group), role) for role, group in groupby(found, lambda each: each[1])]


def _cell(heat: float | None, drawing: Glyphs) -> tuple[str, Role]:
    if heat is None:
        return drawing.nothing, Role.PLAIN
    if not heat:
        return drawing.cold, Role.QUIET
    step = min(math.ceil(heat * len(drawing.hot)), len(drawing.hot)) - 1
    return drawing.hot[step], ROLES[step * len(ROLES) // len(drawing.hot)]
