"""Documents as JSON and back: how one crosses from GDB to whoever shows it, with its roles and without a layout.

    {"line": text}
    {"facts": [[name, text], ...]}
    {"table": {"headers": [...], "rows": [[text, ...], ...], "right": [column, ...]}}
    {"section": {"title": string, "blocks": [...]}}
    {"heat": {"rows": [[text, [[bytes, heat], ...], text], ...], "unit": bytes, "cold": string, "hot": string}}
    {"short": [...]}, last: the blocks that stand for all of them on a screen that those are too long for

Of a picture, what is said instead is carried.

A text is a string where it is plain, else a list of strings and [string, role] pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from gdbtools.render.document import (
    Block,
    Document,
    Facts,
    Heat,
    HeatRow,
    Line,
    Picture,
    Role,
    Section,
    Span,
    Table,
    Text,
)
from gdbtools.render.json import JsonObject
from gdbtools.wording import name_of

_ROLES = {name_of(role): role for role in Role}


def carried(document: Document) -> list[JsonObject]:
    """Return a document as JSON has it."""
    shorter = document.in_short()
    short: list[JsonObject] = [{"short": _blocks(shorter)}] if shorter else []
    return [*_blocks(document.blocks), *short]


def document_of(blocks: Sequence[JsonObject]) -> Document:
    """Return the document that `carried` took apart."""
    short = cast("Sequence[JsonObject]", blocks[-1]["short"]) if blocks and "short" in blocks[-1] else ()
    whole = blocks[:-1] if short else blocks
    return Document([_block_of(block) for block in whole], short=[_block_of(block) for block in short])


def _blocks(blocks: Sequence[Block]) -> list[JsonObject]:
    carried: list[JsonObject] = []
    for block in blocks:
        carried += _blocks(block.instead) if isinstance(block, Picture) else [_block(block)]
    return carried


def _block(block: Line | Facts | Table | Section | Heat) -> JsonObject:
    if isinstance(block, Section):
        return {"section": {"title": block.title, "blocks": _blocks(block.blocks)}}
    if isinstance(block, Heat):
        drawn = [[_text(row.label), [list(each) for each in row.stretches], _text(row.after)] for row in block.rows]
        return {"heat": {"rows": drawn, "unit": block.unit, "cold": block.cold, "hot": block.hot}}
    if isinstance(block, Line):
        return {"line": _text(block.text)}
    if isinstance(block, Facts):
        return {"facts": [[name, _text(text)] for name, text in block.rows]}
    rows = [[_text(cell) for cell in row] for row in block.rows]
    narrow = {"spare": list(block.spare), "coded": list(block.coded)}
    return {"table": {"headers": list(block.headers), "rows": rows, "right": sorted(block.right), **narrow}}


def _block_of(block: JsonObject) -> Block:
    ((kind, held),) = cast("dict[str, Any]", block).items()
    if kind == "line":
        return Line(_text_of(held))
    if kind == "facts":
        return Facts([(name, _text_of(text)) for name, text in held])
    if kind == "section":
        return Section(held["title"], [_block_of(each) for each in held["blocks"]])
    if kind == "heat":
        drawn = [
            HeatRow(_text_of(label), [(size, heat) for size, heat in stretches], _text_of(after))
            for label, stretches, after in held["rows"]
        ]
        return Heat(drawn, held["unit"], held["cold"], held["hot"])
    rows = [[_text_of(cell) for cell in row] for row in held["rows"]]
    return Table(held["headers"], rows, frozenset(held["right"]), held["spare"], held["coded"])


def _text(text: Text) -> object:
    if isinstance(text, str):
        return text
    spans = [text] if isinstance(text, Span) else text
    return [each if isinstance(each, str) else [each.text, name_of(each.role)] for each in spans]


def _text_of(text: Any) -> Text:
    if isinstance(text, str):
        return text
    return [each if isinstance(each, str) else Span(each[0], _ROLES[each[1]]) for each in text]
