"""Tables on a screen: how wide their columns are, and what goes where the screen is too narrow for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from gdbtools.render.columns import columns, filled, lengths
from gdbtools.render.document import Block, Facts, Picture, Section, Table, Text, plain, plains

GAP = "  "
"""What is between two columns."""
LEAST_FOR_LAST = 16
"""Columns that the last cell of a row is to have: others are spared for it.  It wraps, but never within a word."""


def fitting(blocks: Sequence[Block], width: int) -> list[Block]:
    """Return the blocks with each table made to fit `width` columns, as far as it says how that may be done."""
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
    """Return how wide each column is where nothing wraps."""
    return [max(lengths(plains(cells))) for cells in zip_longest(headers, *rows, fillvalue="")]


def word_width(headers: Sequence[str], rows: Sequence[Sequence[Text]]) -> int:
    """Return how wide the last column is at least: its longest word, or its header."""
    words = {word for text in {*plains([row[-1] for row in rows])} for word in text.split()}
    return max(map(columns, [*headers[-1:], *words]), default=0)


def width_for_last(widths: Sequence[int], least: int, width: int) -> int:
    """Return what is left for the last column, but not less than `least`."""
    return max(width - _before_last(widths), least, 1)


def _before_last(widths: Sequence[int]) -> int:
    return sum(widths[:-1]) + len(GAP) * (len(widths) - 1)


def _fitting(table: Table, width: int) -> list[Block]:
    whole = table
    for header in table.spare:
        if not _fits(table, width, LEAST_FOR_LAST):
            table = _without(table, header)
    said: list[tuple[str, Text]] = []
    for header in table.coded:
        if not _fits(table, width, LEAST_FOR_LAST):
            table, values = _coded(table, header)
            said += values
    if not _fits(table, width, LEAST_FOR_LAST):
        if _before_last(column_widths(table.headers, table.rows)) - len(GAP) > width:
            return _records(whole)
        table = replace(table, stacked=not _fits(table, width) or _saves_lines(table, width))
    return [table, Facts(said)] if said else [table]


def _fits(table: Table, width: int, enough: int = 0) -> bool:
    """Return whether no row is too wide with `enough` columns for the last cell, if it can use them: else a word's."""
    widths = column_widths(table.headers, table.rows)
    least = word_width(table.headers, table.rows)
    return _before_last(widths) + max(least, min(widths[-1], enough)) <= width


def _saves_lines(table: Table, width: int) -> bool:
    """Return whether last cells below their rows take fewer lines than beside them."""
    cells = [plain(row[-1]) for row in table.rows]
    left = width - _before_last(column_widths(table.headers, table.rows))
    beside = sum(len(filled(cell, left)) for cell in cells)
    return 1 + len(cells) + sum(len(filled(cell, width - len(GAP))) for cell in cells if cell) < beside


def _records(table: Table) -> list[Block]:
    """Return each row as facts under its headers, for a screen that is too narrow for columns."""
    rows = [[each for each in zip(table.headers, row, strict=True) if plain(each[1])] for row in table.rows]
    return [Facts(row) for row in rows]


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
