"""How the answers of `trace` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.commands.trace.run import Traced
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject
from gdbtools.wording import number_of


def view(answer: Traced) -> Document:
    head = Line([Span(number_of(answer.faults, "fault", "faults"), Role.HEADING), f" in {answer.seconds:.1f} s."])
    rows: list[Sequence[Text]] = [
        (str(cpu), verdict, str(count)) for (cpu, verdict), count in sorted(answer.by.items())
    ]
    facts: list[tuple[str, Text]] = []
    if answer.around:
        facts.append(("around", f"{answer.around} neighbours' access flags were set before they faulted"))
    if answer.perfetto:
        facts.append(("trace", f"{answer.perfetto}: open it at https://ui.perfetto.dev"))
    table = [Table(("CPU", "verdict", "faults"), rows, frozenset((0, 2)))] if rows else []
    hottest = [*answer.hottest.access_tables("faults"), answer.hottest.page_table("faults")] if answer.faults else []
    return Document([head, *table, *hottest, *([Facts(facts)] if facts else [])])


def record(answer: Traced) -> JsonObject:
    return {
        "log": answer.log,
        "faults": answer.faults,
        "around": answer.around,
        "seconds": round(answer.seconds, 6),
        "by": [
            {"cpu": cpu, "verdict": verdict, "faults": count} for (cpu, verdict), count in sorted(answer.by.items())
        ],
        **answer.hottest.record("faults"),
        "perfetto": answer.perfetto or None,
    }
