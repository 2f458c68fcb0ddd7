"""How the answers of `explain` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Mapping

from gdbtools.commands.explain.run import MOST, Explained, NoCrash
from gdbtools.commands.fault import view as fault
from gdbtools.commands.syndrome import view as syndrome
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import number_of


def view(answer: Explained | NoCrash) -> Document:
    if isinstance(answer, NoCrash):
        return Document([Line(["no crash found in ", number_of(answer.lines, "line")])])
    crash = answer.crash
    blocks: list[Block] = [Line([f"line {crash.line}, {crash.system}: ", Span(crash.title, Role.HEADING)])]
    if answer.fault is not None:
        blocks += fault.view(answer.fault).blocks
    elif answer.syndrome is not None:
        blocks.append(Line(syndrome.with_reason(answer.syndrome.syndrome)))
    rows: list[tuple[str, Text]] = []
    if crash.unread:
        rows.append(("not read", crash.unread))
    if crash.where:
        rows.append(("code", crash.where))
    rows += labelled("contradicts", [Span(doubt, Role.WARNING) for doubt in crash.doubts])
    rows += labelled("ask for", crash.wanted)
    if answer.syndrome is not None and not (crash.wanted or crash.doubts):
        rows.append(("no verdict", answer.why))
    rows += labelled("assumed", [each.text for each in crash.deduced.assumed])
    if answer.last:
        rows.append(("unread", f"the text behind the first {MOST} crashes; cut it there to go on"))
    return Document([*blocks, Facts(rows)] if rows else blocks)


def record(answer: Explained | NoCrash) -> JsonObject:
    if isinstance(answer, NoCrash):
        return {"crash": None, "lines": answer.lines}
    crash = answer.crash
    return {
        "crash": {
            "line": crash.line,
            "system": crash.system,
            "title": crash.title,
            "code": crash.where or None,
            "stated": _named(crash.stated),
            "deduced": _named(crash.deduced.values),
            "descriptors": [
                {"pa": hexadecimal(pa), "value": hexadecimal(value)} for pa, value in crash.descriptors.items()
            ],
            "assumed": [each.text for each in crash.deduced.assumed],
            "contradictions": list(crash.doubts),
            "wanted": list(crash.wanted),
            "unread": crash.unread or None,
        },
        "fault": None if answer.fault is None else fault.record(answer.fault),
        "syndrome": None if answer.syndrome is None else syndrome.record(answer.syndrome),
        "why": answer.why or None,
    }


def _named(values: Mapping[str, int]) -> list[JsonObject]:
    return [{"name": name, "value": hexadecimal(value)} for name, value in values.items()]
