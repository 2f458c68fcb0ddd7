"""How the answers of `explain` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gdbtools.commands.explain.run import MOST, Answer, Counted, NoCrash
from gdbtools.commands.fault import view as fault
from gdbtools.commands.syndrome import view as syndrome
from gdbtools.commands.syndrome.run import Decoded
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import number_of


def view(answer: Answer) -> Document:
    if isinstance(answer, NoCrash):
        return Document([Line(["no crash found in ", number_of(answer.lines, "line")])])
    if isinstance(answer, Counted):
        return _counted(answer)
    crash = answer.crash
    blocks: list[Block] = [Line([f"line {crash.line}, {crash.system}: ", Span(crash.title, Role.HEADING)])]
    rows: list[tuple[str, Text]] = []
    if answer.fault is not None:
        blocks += fault.view(answer.fault).blocks
    elif answer.syndrome is not None:
        blocks.append(Line(syndrome.with_reason(answer.syndrome.syndrome)))
    if answer.syndrome is not None:
        rows += _address(answer.syndrome)
    if crash.unread:
        rows.append(("not read", crash.unread))
    if crash.where:
        rows.append(("code", crash.where))
    rows += labelled("repeats", crash.repeats)
    rows += crash.told
    rows += labelled("contradicts", [Span(doubt, Role.WARNING) for doubt in crash.doubts])
    rows += labelled("ask for", crash.wanted)
    if answer.syndrome is not None and not (crash.wanted or crash.doubts):
        rows.append(("no verdict", answer.why))
    rows += labelled("assumed", [each.text for each in crash.deduced.assumed])
    if answer.last:
        rows.append(("unread", f"the text behind the first {MOST} crashes; cut it there to go on"))
    return Document([*blocks, Facts(rows)] if rows else blocks)


def _address(decoded: Decoded) -> list[tuple[str, Text]]:
    """Return the row of the address that was accessed, where its register is known to have it."""
    taken = decoded.exception
    if taken is None or decoded.syndrome.fault is None or not decoded.syndrome.address_valid:
        return []
    return [("address", f"{taken.names.address} {taken.address:#x}")]


def _counted(answer: Counted) -> Document:
    total = number_of(sum(answer.counted.values()), "exception")
    rows = [(cpu or "-", f"{count:,}", name) for (cpu, name), count in _by_count(answer)]
    table = Table(("CPU", "count", "exception"), rows, frozenset((0, 1)))
    return Document([Line([f"QEMU logged {total} of {answer.whose}."]), table])


def _by_count(answer: Counted) -> Sequence[tuple[tuple[str, str], int]]:
    """Return the kinds of each CPU, the most frequent first."""
    return sorted(answer.counted.items(), key=lambda each: (len(each[0][0]), each[0][0], -each[1], each[0][1]))


def record(answer: Answer) -> JsonObject:
    if isinstance(answer, NoCrash):
        return {"crash": None, "lines": answer.lines}
    if isinstance(answer, Counted):
        counted = [{"cpu": cpu or None, "exception": name, "count": count} for (cpu, name), count in _by_count(answer)]
        return {"crash": None, "lines": answer.lines, "whose": answer.whose, "exceptions": counted}
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
            "repeats": list(crash.repeats),
            "told": [{"of": what, "says": said} for what, said in crash.told],
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
