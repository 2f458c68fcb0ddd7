"""Rows of heat as HTML: a bar for each, cut into cells that are the warmer the hotter they are."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from itertools import groupby

from gdbtools.render.document import Heat, HeatRow, Text
from gdbtools.render.heat import cells, column_length
from gdbtools.wording import amount

COLUMNS = 240
STEPS = 8


def heat(block: Heat, inline: Callable[[Text], str]) -> str:
    """Return rows to one scale, with what the ends of it mean; `inline` writes texts."""
    length = column_length(block, COLUMNS)
    columns = max(len(list(cells(row, length))) for row in block.rows)
    rows = "\n".join(_row(row, length, columns, inline) for row in block.rows)
    legend = (
        f'<i style="--heat:0"></i> {escape(block.cold)} <i style="--heat:1"></i> {escape(block.hot)}, '
        f"{amount(length)} a cell"
    )
    return f'<figure class="heat">\n{rows}\n<figcaption>{legend}</figcaption></figure>'


def _row(row: HeatRow, length: int, columns: int, inline: Callable[[Text], str]) -> str:
    shades = [None if each is None else -(-int(each * 1000) * STEPS // 1000) / STEPS for each in cells(row, length)]
    parts, drawn = [], 0
    for shade, group in groupby(shades):
        count = len(list(group))
        drawn += count
        kind = ' class="none" style="' if shade is None else f' style="--heat:{shade:g};'
        parts.append(f'<i{kind}flex-grow:{count}"></i>')
    if drawn < columns:
        parts.append(f'<i class="none" style="flex-grow:{columns - drawn}"></i>')
    bar = f'<span class="cells" aria-hidden="true">{"".join(parts)}</span>'
    return f"<p><span>{inline(row.label)}</span> {bar} <span>{inline(row.after)}</span></p>"
