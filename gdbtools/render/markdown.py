"""Documents as Markdown, to paste into an issue or a mail; nothing in a text is read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from gdbtools.render.document import Block, Document, Facts, Heat, Line, Picture, Role, Section, Table, Text, spans
from gdbtools.render.safe import safe
from gdbtools.render.text import render

# Within a word an underscore is one; an ampersand is one unless it begins an entity.
_MARKUP = re.compile(r"([\\`*\[\]<#|~]|(?<![^\W_])_|_(?![^\W_])|&(?=[#\w]+;)|^[>+-](?=\s))")
_CODE = re.compile(r"`([^`|]+)`|0x[0-9a-f]+|0b[01]+")
_STRONG = (Role.BAD, Role.GOOD, Role.WARNING)


def markdown(documents: Sequence[Document]) -> str:
    """Return documents as Markdown, in order, with an empty line between blocks; the first line is the answer."""
    return "\n".join(f"{part}\n" for each in documents for part in _document(safe(each)))


def _document(document: Document) -> Iterator[str]:
    if document.title:
        yield f"# {_escaped(document.title)}"
    yield from _blocks(document.blocks, 2)


def _blocks(blocks: Sequence[Block], depth: int) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Section):
            yield f"{'#' * min(depth, 6)} {_escaped(block.title)}"
            yield from _blocks(block.blocks, depth + 1)
        elif isinstance(block, Picture):
            yield from _blocks(block.instead, depth)
        elif isinstance(block, Line):
            yield _inline(block.text)
        elif isinstance(block, Facts):
            yield _table(("", ""), [(_escaped(name), _inline(text)) for name, text in block.rows])
        elif isinstance(block, Heat):
            yield f"```\n{render(Document([block])).rstrip()}\n```"
        else:
            rows = [[_inline(cell) for cell in row] for row in block.rows]
            yield _table([_escaped(each) for each in block.headers], rows, block)


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], given: Table | None = None) -> str:
    right = frozenset() if given is None else given.right
    aligned = ["right" if at in right else "left" for at in range(len(headers))]
    # A number is a word here: it is right as it is written.
    return tabulate(rows, headers, "pipe", colalign=aligned if rows else None, disable_numparse=True)


def _inline(text: Text) -> str:
    return "".join(_marked(span.text, span.role in _STRONG) for span in spans(text))


def _marked(text: str, strong: bool) -> str:
    """Return a piece with its numbers as code, in bold if it is what matters; spaces stay outside of the marks."""
    inner = text.strip()
    if not inner:
        return text
    parts, at = [], 0
    for found in _CODE.finditer(inner):
        parts += [_escaped(inner[at : found.start()]), f"`{found.group(1) or found.group()}`"]
        at = found.end()
    said = "".join((*parts, _escaped(inner[at:])))
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}**{said}**{after}" if strong else f"{before}{said}{after}"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
