"""How the answers of `tables` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from gdbtools.analysis.table_use import TableUse
from gdbtools.arch.table_pages import TablePage
from gdbtools.commands.map.view import hole_record, hole_text
from gdbtools.commands.spaces import isolation_record, kernel_rows
from gdbtools.commands.tables.run import Tables
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import amount, number_of, size

Count = Callable[[TablePage], int]
COUNTS: Final[Sequence[tuple[str, Count]]] = (
    ("leaves", lambda page: page.leaves),
    ("soft-invalid", lambda page: page.soft_invalid),
    ("invalid, not 0", lambda page: page.invalid),
)
MOST = 40
"""How many of those that stand out, and of the orphans, a list has where nobody asks for all."""


def view(answer: Tables) -> Document:
    blocks: list[Block] = [Line([*_headline(answer), "."])]
    if answer.tables:
        blocks.append(_levels(answer))
    listed = answer.tables if answer.everything else answer.outstanding
    rows_of = _table(answer, listed)
    kept = rows_of.rows if answer.everything else rows_of.rows[:MOST]
    if kept:
        blocks.append(replace(rows_of, rows=kept))
    rows: list[tuple[str, Text]] = []
    if len(kept) < len(rows_of.rows):
        rows.append(("more", f"{len(rows_of.rows) - len(kept)} rows of those that stand out; --all lists every table"))
    rows += [("regime", each.name) for each in answer.regimes]
    rows += kernel_rows(answer.isolation) if answer.isolation is not None and len(answer.regimes) > 1 else []
    rows += labelled("note", dict.fromkeys(text for each in answer.regimes for text in each.notes))
    rows += [("unreadable", hole_text(hole)) for hole in answer.unreadable]
    return Document([*blocks, Facts([*rows, *_orphan_rows(answer)])])


def _headline(answer: Tables) -> Iterator[str | Span]:
    if not answer.tables:
        yield Span("No tables", Role.HEADING)
        yield ": translation is off" if not any(each.levels for each in answer.regimes) else ": none is in use"
        return
    yield Span(number_of(len(answer.tables), "table"), Role.HEADING)
    yield f", {amount(answer.size_bytes)}"
    counted = (
        (sum(each.empty for each in answer.tables), "empty"),
        (sum(each.shared for each in answer.tables), "shared"),
        (sum(each.leads_to_itself for each in answer.tables), "leading to itself"),
    )
    said = [f"{count} {what}" for count, what in counted if count]
    if answer.orphans is not None:
        said.append(number_of(len(answer.orphans), "orphan"))
    yield f": {', '.join(said) or 'none is empty or shared'}"


def _levels(answer: Tables) -> Table:
    """Return how many there are at each level, and how full they are."""
    rows: list[Sequence[Text]] = []
    groups: dict[tuple[int, int], list[TablePage]] = {}
    for each in answer.tables:
        groups.setdefault(_place(each), []).append(each.page)
    for place in sorted(groups):
        ours = groups[place]
        entries = sum(page.level.entries for page in ours)
        live = sum(page.live for page in ours)
        row: list[Text] = [str(place[0])] if answer.two_stages else []
        row += [str(ours[0].level.number), size(ours[0].level.size_bytes), str(len(ours)), f"{live} of {entries}"]
        row += [f"{100 * live / entries:.1f}%", str(sum(page.tables for page in ours))]
        row += [str(sum(count(page) for page in ours)) for _, count in _columns(answer)]
        rows.append(row)
    headers = [*(["stage"] if answer.two_stages else []), "level", "an entry", "tables", "live", "filled", "to tables"]
    headers += [name for name, _ in _columns(answer)]
    return Table(headers, rows, frozenset(range(len(headers))))


def _place(each: TableUse) -> tuple[int, int]:
    """Return what orders tables: their stage, and the root's level before those below it, however they are numbered."""
    return each.regime.stage, -each.page.level.size_bytes


def _columns(answer: Tables) -> Sequence[tuple[str, Count]]:
    """Return the counts that are shown: those that are 0 of every table are left out."""
    return [each for each in COUNTS if any(each[1](table.page) for table in answer.tables)]


def _table(answer: Tables, listed: Sequence[TableUse]) -> Table:
    rows: list[Sequence[Text]] = []
    for group in _grouped(sorted(listed, key=lambda one: (_place(one), one.page.first)), not answer.everything):
        each, page = group[0], group[0].page
        row: list[Text] = ["-" if not page.parts else f"{page.parts[0][0]:#x}"]
        row += [str(each.regime.stage)] if answer.two_stages else []
        row += [", ".join(map(str, each.levels)), f"{page.first:#018x}", f"{page.live} of {page.level.entries}"]
        said = _said(each)
        if len(group) > 1:
            said = f"empty, and so are the {len(group) - 1} for what follows"
        rows.append([*row, str(each.references), said])
    stage = ["stage"] if answer.two_stages else []
    headers = ["table at PA", *stage, "level", "from", "live", "led to by", ""]
    right = {"stage", "level", "live", "led to by"}
    return Table(headers, rows, frozenset(at for at, header in enumerate(headers) if header in right))


def _grouped(listed: Sequence[TableUse], wanted: bool) -> Iterator[list[TableUse]]:
    """Yield tables, if that is wanted those together that are nothing but empty, for addresses one after another."""
    group: list[TableUse] = []
    for each in listed:
        if group and wanted and _plain(group[-1]) and _plain(each) and _follows(group[-1], each):
            group.append(each)
            continue
        if group:
            yield group
        group = [each]
    if group:
        yield group


def _plain(each: TableUse) -> bool:
    return each.empty and not each.shared and not each.leads_to_itself


def _follows(before: TableUse, after: TableUse) -> bool:
    level = before.page.level
    return after.page.level == level and after.page.first == before.page.first + level.entries * level.size_bytes


def _said(each: TableUse) -> Text:
    said: list[str] = []
    if each.page.unread and not each.page.parts:
        return Span("cannot be read", Role.WARNING)
    said += ["empty"] if each.empty else []
    said += ["leads to itself"] if each.leads_to_itself else []
    said += [f"shared by {' and '.join(each.roots)}"] if each.shared and len(each.roots) > 1 else []
    said += ["shared"] if each.shared and len(each.roots) == 1 else []
    return ", ".join(said)


def _orphan_rows(answer: Tables) -> Iterator[tuple[str, Text]]:
    if answer.orphans is None:
        return
    if not answer.orphans:
        yield "orphans", "no other page of memory looks like a table, but for those of roots that find-roots finds"
        return
    shown = " ".join(f"{pa:#x}" for pa in answer.orphans[:MOST])
    more = f" and {len(answer.orphans) - MOST} more, which JSON lists" if len(answer.orphans) > MOST else ""
    yield "orphans", f"look like tables, and nothing that was found leads to them: {shown}{more}"


def record(answer: Tables) -> JsonObject:
    return {
        "regimes": [each.name for each in answer.regimes],
        "isolation": isolation_record(answer.isolation),
        "size": answer.size_bytes,
        "tables": [_table_record(each) for each in answer.tables],
        "unreadable": [hole_record(hole) for hole in answer.unreadable],
        "orphans": None if answer.orphans is None else [hexadecimal(pa) for pa in answer.orphans],
    }


def _table_record(each: TableUse) -> JsonObject:
    page = each.page
    return {
        "regime": each.regime.own_name,
        "address": hexadecimal(page.address),
        "parts": [{"address": hexadecimal(pa), "size": size_bytes} for pa, size_bytes in page.parts],
        "levels": list(each.levels),
        "first": hexadecimal(page.first),
        "entries": page.level.entries,
        "tables": page.tables,
        "leaves": page.leaves,
        "soft_invalid": page.soft_invalid,
        "invalid": page.invalid,
        "references": each.references,
        "roots": list(each.roots),
        "empty": each.empty,
        "shared": each.shared,
        "leads_to_itself": each.leads_to_itself,
    }
