"""Documents as one HTML page that needs nothing but itself: no network, no fonts, no other file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from gdbtools import __version__
from gdbtools.printable import visible
from gdbtools.render.document import (
    Block,
    Document,
    Facts,
    Heat,
    Line,
    Picture,
    Role,
    Section,
    Table,
    Text,
    plain,
    spans,
)
from gdbtools.render.drawing import AddressMap, Drawing, Strip
from gdbtools.render.html_drawing import ladder, strip
from gdbtools.render.html_heat import heat
from gdbtools.render.html_map import address_map
from gdbtools.render.safe import safe

_HERE: Final = Path(__file__).resolve().parent
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What the page forbids itself: to load anything at all."""
MANY: Final = 40
"""From how many rows on a table starts folded up."""
_CODE = re.compile(r"0x[0-9a-f]+|0b[01]+|\[\d[\d:,]*\]|[r-][wg-][x-]|-?\d+")
_IN_TEXT = re.compile(r"0x[0-9a-f]+|0b[01]+")


def page(title: str, documents: Sequence[Document]) -> str:
    """Return a page of these documents, in order; the title of the first, if it has one, is the page's."""
    documents, title = [safe(document) for document in documents], visible(title)
    title = next((document.title for document in documents if document.title), title)
    anchors = _Anchors()
    body = "\n".join(_document(document, anchors) for document in documents)
    contents = "".join(f'<a href="#{name}">{escape(text)}</a>' for name, text in anchors.top)
    navigation = f'<nav aria-label="Sections">{contents}</nav>' if len(anchors.top) > 1 else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="gdbtools {escape(__version__)}">
<title>{escape(title)}</title>
<style>
{(_HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header><h1>{_marked(title)}</h1>{navigation}</header>
<main>
{body}
</main>
<script>
{(_HERE / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


class _Anchors:
    """The names that sections are linked by, each once; those of the outermost sections in order."""

    def __init__(self) -> None:
        self.top: list[tuple[str, str]] = []
        self._taken: set[str] = set()

    def name(self, title: str, depth: int) -> str:
        plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name)
        if depth == 0:
            self.top.append((name, title))
        return name


def _document(document: Document, anchors: _Anchors) -> str:
    """Return a document; its first line is its answer."""
    blocks = list(document.blocks)
    parts: list[str] = []
    if blocks and isinstance(blocks[0], Line):
        parts.append(f'<p class="answer">{_inline(blocks.pop(0).text)}</p>')  # type: ignore[union-attr]
    parts += _blocks(blocks, anchors, 0, _main(blocks))
    return "<article>\n" + "\n".join(filter(None, parts)) + "\n</article>"


def _main(blocks: Sequence[Block]) -> Table | None:
    """Return the table that is the answer, where nothing is drawn that is an overview of it."""
    drawn = any(isinstance(block, Picture | Section) for block in blocks)
    return None if drawn else next((block for block in blocks if isinstance(block, Table)), None)


def _blocks(blocks: Sequence[Block], anchors: _Anchors, depth: int, main: Table | None = None) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Section):
            name, level = anchors.name(block.title, depth), min(depth + 2, 6)
            yield f'<section id="{name}">\n<h{level}>{_marked(block.title)}</h{level}>'
            yield from _blocks(block.blocks, anchors, depth + 1)
            yield "</section>"
        elif isinstance(block, Picture):
            drawing = block.drawn()
            yield _drawing(drawing)
            # A map is an overview of its table; the other pictures already have all that is in theirs.
            folded = block.instead and not isinstance(drawing, AddressMap)
            yield "<details><summary>as a table</summary>" if folded else ""
            yield from _blocks(block.instead, anchors, depth)
            yield "</details>" if folded else ""
        elif isinstance(block, Line):
            yield f"<p>{_inline(block.text)}</p>"
        elif isinstance(block, Facts):
            yield _facts(block)
        elif isinstance(block, Heat):
            yield heat(block, _inline)
        else:
            yield _table(block, block is main)


def _drawing(drawing: Drawing) -> str:
    if isinstance(drawing, Strip):
        return strip(drawing)
    return address_map(drawing) if isinstance(drawing, AddressMap) else ladder(drawing)


def _facts(facts: Facts) -> str:
    if not facts.rows:
        return ""
    rows = "\n".join(f"<dt>{escape(name)}</dt><dd>{_inline(value)}</dd>" for name, value in facts.rows)
    return f'<dl class="facts">\n{rows}\n</dl>'


def _table(table: Table, is_open: bool = False) -> str:
    right = ["r" if column in table.right else "" for column in range(len(table.headers))]
    head = "".join(
        f'<th scope="col"{_class(side)}>{escape(text)}</th>' for text, side in zip(table.headers, right, strict=True)
    )
    rows = "\n".join(f"<tr>{''.join(map(_cell, row, right))}</tr>" for row in table.rows)
    body = f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'
    if len(table.rows) <= MANY:
        return body
    return (
        f'<details class="rows"{" open" if is_open else ""}><summary>{len(table.rows)} rows</summary>\n{body}</details>'
    )


def _cell(text: Text, side: str) -> str:
    words = plain(text).split()
    code = "m" if words and all(_CODE.fullmatch(word) for word in words) else ""
    return f"<td{_class(side, code)}>{_inline(text)}</td>"


def _class(*names: str) -> str:
    given = " ".join(name for name in names if name)
    return f' class="{given}"' if given else ""


def _inline(text: Text) -> str:
    return "".join(
        _marked(span.text)
        if span.role is Role.PLAIN
        else f'<span class="{span.role.name.lower()}">{_marked(span.text)}</span>'
        for span in spans(text)
    )


def _marked(text: str) -> str:
    """Escape text, and mark the numbers in it that are to be read digit by digit."""
    return _IN_TEXT.sub(lambda found: f"<code>{found[0]}</code>", escape(text)).replace("-&gt;", "→")
