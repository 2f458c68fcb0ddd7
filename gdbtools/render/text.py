"""Documents as text: the only place that knows colour and width."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import add

from gdbtools.render.columns import columns, filled, lengths
from gdbtools.render.document import (
    Block,
    Document,
    Facts,
    Heat,
    Line,
    Picture,
    Role,
    Section,
    Span,
    Table,
    Text,
    plain,
    spans,
)
from gdbtools.render.fit import GAP, column_widths, fitting, width_for_last, word_width
from gdbtools.render.heat import column_length, drawn, glyphs
from gdbtools.render.safe import safe
from gdbtools.wording import amount

MINIMUM_WIDTH = 40
DEFAULT_WIDTH = 80
PIPE_WIDTH = 1000
"""Of a table that a program reads: a cell is never wrapped, so that each row is one line."""
Palette = Mapping[Role, str]
"""What a role looks like: the parameters of an SGR escape sequence.  A role that is not there looks plain."""
DARK: Palette = {
    Role.HEADING: "1",
    Role.GOOD: "1;32",
    Role.BAD: "1;31",
    Role.WARNING: "33",
    Role.QUIET: "2",
    Role.NAME: "36",
    Role.COMMAND: "1",
    Role.COOL: "36",
    Role.WARM: "33",
    Role.HOT: "31",
}
# On white, yellow and cyan cannot be read, and what is bright is pale.
LIGHT: Palette = {**DARK, Role.GOOD: "32", Role.BAD: "31", Role.WARNING: "35", Role.NAME: "34"}
_COLOUR = re.compile(r"\x1b\[[\d;]*m")


def wants_colour(is_terminal: bool, environment: Mapping[str, str] | None = None) -> bool:
    """Return whether to colour: on a terminal that can, unless NO_COLOR is set (no-color.org)."""
    environment = os.environ if environment is None else environment
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "") not in ("", "dumb")


def render(
    document: Document,
    colour: bool | Palette = False,
    width: int = DEFAULT_WIDTH,
    encoding: str = "utf-8",
    fit: bool = False,
    height: int | None = None,
    table_width: int | None = None,
) -> str:
    """Return a document as text that ends in a newline; `width` in columns, long cells wrap.

    `colour` is a palette, or says whether to use the one for dark screens.  What `encoding` cannot write is drawn in
    ASCII.  To `fit` a screen, tables do without what they can spare; what is read by programs is left whole.  `height`
    is the screen's, in lines, of which the prompt takes one: what is longer is given in its short form, if it has one.
    None: there is no screen, or it has no end.  Tables may be of another `table_width`.
    """
    document = safe(document)
    width = max(width, MINIMUM_WIDTH)
    palette: Palette = (DARK if colour is True else {}) if isinstance(colour, bool) else colour

    def written(blocks: Sequence[Block]) -> str:
        shown = fitting(blocks, width) if fit else blocks
        return "\n\n".join(_blocks(shown, palette, width, table_width or width, encoding)) + "\n"

    short = document.in_short() if height is not None else ()
    if height is not None and short and _least_lines(document.blocks) >= height:
        return written(short)
    text = written(document.blocks)
    return written(short) if height is not None and short and text.count("\n") >= height else text


def _least_lines(blocks: Sequence[Block]) -> int:
    """Return how many lines there are at least: a row has one."""
    return sum(len(block.rows) for block in blocks if isinstance(block, Table))


def _blocks(
    blocks: Sequence[Block], colour: Palette, width: int, table_width: int, encoding: str, underline: str = "="
) -> Iterator[str]:
    """Yield each block; of a picture what is said instead, of a section its title first."""
    for block in blocks:
        if isinstance(block, Picture):
            yield from _blocks(block.instead, colour, width, table_width, encoding, underline)
        elif isinstance(block, Section):
            yield _inline(Span(f"{block.title}\n{underline * columns(block.title)}", Role.HEADING), colour)
            yield from _blocks(block.blocks, colour, width, table_width, encoding, "-")
        elif isinstance(block, Heat):
            yield _heat(block, colour, width, encoding)
        elif isinstance(block, Table):
            yield (_stack if block.stacked else _grid)(block, colour, table_width)
        else:
            yield _prose(block, colour, width)


def _prose(block: Line | Facts, colour: Palette, width: int) -> str:
    if isinstance(block, Line):
        return "\n".join(_wrapped(block.text, width, colour))
    rows = [(Span(name, Role.QUIET), value) for name, value in block.rows]
    return _grid(Table([], rows), colour, width)


def _heat(block: Heat, colour: Palette, width: int, encoding: str) -> str:
    labels = max(columns(plain(row.label)) for row in block.rows)
    after = max(columns(plain(row.after)) for row in block.rows)
    length = column_length(block, max(width - labels - after - 2 * len(GAP), 8))
    drawing = glyphs(encoding)
    pictures = [drawn(row, length, drawing) for row in block.rows]
    drawn_columns = max(columns(plain(picture)) for picture in pictures)
    lines = []
    for row, picture in zip(block.rows, pictures, strict=True):
        label, rest = " " * (labels - columns(plain(row.label))), " " * (drawn_columns - columns(plain(picture)))
        end = " " * (after - columns(plain(row.after)))
        painted = (
            _inline(row.label, colour) + label,
            _inline(picture, colour) + rest,
            end + _inline(row.after, colour),
        )
        lines.append(GAP.join(painted).rstrip())
    ends = f"{drawing.cold} {block.cold}, {drawing.hot[0]} to {drawing.hot[-1]} {block.hot}"
    legend = Span(f"{amount(length)} a column: {ends}", Role.QUIET)
    indent = " " * (labels + len(GAP))
    lines += [indent + line for line in _wrapped(legend, max(width - len(indent), 16), colour)]
    return "\n".join(lines)


def _wrapped(text: Text, width: int, colour: Palette) -> list[str]:
    """Wrap first and colour afterwards, so that escapes never count as columns."""
    if columns(plain(text)) <= width:
        return [_inline(text, colour)]
    if columns(plain(text)) == len(plain(text)):
        lines = textwrap.wrap(plain(text), width, break_long_words=False, break_on_hyphens=False) or [""]
    else:
        lines = filled(plain(text), width)
    if not colour:
        return lines
    pieces = [(word, span.role) for span in spans(text) for word in re.findall(r"\S+", span.text)]
    coloured: list[str] = []
    for line in lines:
        parts: list[str] = []
        rest = line
        while rest and pieces:
            word, role = pieces[0]
            gap = rest[: len(rest) - len(rest.lstrip())]
            pieces.pop(0)
            parts.append(gap + _paint(word, role, colour))
            rest = rest.lstrip()[len(word) :]
        coloured.append("".join(parts))
    return coloured


def _paint(text: str, role: Role, colour: Palette) -> str:
    return f"\x1b[{colour[role]}m{text}\x1b[0m" if role in colour else text


def _inline(text: Text, colour: Palette) -> str:
    return "".join(_paint(span.text, span.role, colour) for span in spans(text)) if colour else plain(text)


def _stack(table: Table, colour: Palette, width: int) -> str:
    """Draw each last cell below its row."""
    fixed = replace(table, headers=table.headers[:-1], rows=[row[:-1] for row in table.rows])
    head, *lines = _grid(fixed, colour, width).split("\n")
    stacked = [head, GAP + _inline(Span(table.headers[-1], Role.QUIET), colour)]
    for line, row in zip(lines, table.rows, strict=True):
        below = _wrapped(row[-1], width - len(GAP), colour) if plain(row[-1]) else []
        stacked += [line, *(GAP + each for each in below)]
    return "\n".join(stacked)


def _grid(table: Table, colour: Palette, width: int) -> str:
    headers, rows = table.headers, table.rows
    if not rows and not headers:
        return ""
    widths = column_widths(headers, rows)
    for_last = width_for_last(widths, word_width(headers, rows), width)
    if widths[-1] > for_last:
        rows = [each for row in rows for each in _wrapped_row(row, for_last, colour)]
    columns_of = [*zip(*rows, strict=True)] or [()] * len(headers)
    padded = []
    for column, cells in enumerate(columns_of):
        head = [Span(headers[column], Role.QUIET)] if headers else []
        padded.append(_padded([*head, *cells], column in table.right, colour))
    return "\n".join([GAP.join(line).rstrip() for line in zip(*padded, strict=True)])


def _wrapped_row(row: Sequence[Text], width: int, colour: Palette) -> Iterator[Sequence[Text]]:
    """Yield a row whose last cell is wrapped: below its first line, what is left of it stands alone."""
    *fixed, last = row
    first, *more = _wrapped(last, width, colour)
    yield [*fixed, first]
    yield from ([*("" for _ in fixed), line] for line in more)


def _padded(cells: Sequence[Text], right: bool, colour: Palette) -> list[str]:
    """Return a column's cells, each as wide as the widest of them; colour has no width."""
    shown = [cell if isinstance(cell, str) else _inline(cell, colour) for cell in cells]
    taken = lengths([_COLOUR.sub("", text) for text in shown] if colour else shown)
    width = max(taken)
    spaces = [" " * (width - length) for length in taken]
    return [*map(add, *((spaces, shown) if right else (shown, spaces)))]
