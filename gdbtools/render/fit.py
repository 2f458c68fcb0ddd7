"""Tables on a screen: how wide their columns are, and what goes where the screen is too narrow for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gdbtools.render.columns import columns
from gdbtools.render.document import Block, Facts, Picture, Section, Table, Text, plain

GAP = "  "
"""What is between two columns."""
LEAST_FOR_LAST = 16
"""Columns that the last cell of a row has at least, however little is left; it wraps within them."""


def fitting(blocks: Sequence[Block], width: int) -> list[Block]:
    """Give the blocks with each table made to fit `width` columns, as far as it says how that may be done."""
    found: list[Block] = []
    for block in blocks:
        if isinstance(block, Table):
            found += _fitting(block, width)
        elif isinstance(block, Section):
            found.append(replace(block, blocks=fitting(block.blocks, width)))
        elif isinstance(block, Picture):
            found.append(replace(block, instead=fitting(block.instead, width)))
        else:
            found.append(block)
    return found


def column_widths(headers: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[int]:
    """Give how wide each column is where nothing wraps."""
    widths = [0] * max(len(headers), *(len(row) for row in rows)) if rows else [0] * len(headers)
    for row in (headers, *rows):
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], columns(plain(cell)))
    return widths


def width_for_last(widths: Sequence[int], width: int) -> int:
    """Give what is left for the last column."""
    return max(width - sum(widths[:-1]) - len(GAP) * (len(widths) - 1), LEAST_FOR_LAST)


def _fitting(table: Table, width: int) -> list[Block]:
    for header in table.spare:
        if not _fits(table, width):
            table = _without(table, header)
    said: list[tuple[str, Text]] = []
    for header in table.coded:
        if not _fits(table, width):
            table, values = _coded(table, header)
            said += values
    return [table, Facts(said)] if said else [table]


def _fits(table: Table, width: int) -> bool:
    *fixed, last = column_widths(table.headers, table.rows)
    return sum(fixed) + len(GAP) * len(fixed) + min(last, LEAST_FOR_LAST) <= width


def _without(table: Table, header: str) -> Table:
    at = table.headers.index(header)
    headers = [each for each in table.headers if each != header]
    rows = [[*row[:at], *row[at + 1 :]] for row in table.rows]
    right = frozenset(column - (column > at) for column in table.right if column != at)
    return replace(table, headers=headers, rows=rows, right=right)


def _coded(table: Table, header: str) -> tuple[Table, list[tuple[str, Text]]]:
    """Put a number for each value, and give what the numbers stand for; one value alone needs no column."""
    at = table.headers.index(header)
    values = {plain(row[at]): row[at] for row in table.rows}
    if len(values) == 1:
        return _without(table, header), [(header, value) for value in values.values()]
    numbers = {value: str(number) for number, value in enumerate((each for each in values if each), 1)}
    rows = [[*row[:at], numbers.get(plain(row[at]), ""), *row[at + 1 :]] for row in table.rows]
    legend = [(f"{header} {number}", values[value]) for value, number in numbers.items()]
    return replace(table, rows=rows, right=table.right | {at}), legend
