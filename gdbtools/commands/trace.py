"""`trace`: what a service's log says, and the same as a trace for the Perfetto UI."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gdbtools.commands.fault_log import Logged, read_log
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.machine.files import one_line
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.render.perfetto import Slice, perfetto

HOTTEST = 8
"""How many pages, and places in the code, are shown."""
PAGE_BYTES = 1 << 12


@dataclass(frozen=True)
class Traced:
    """A log, counted: faults, and (CPU, verdict) of each; `perfetto` is the trace that was written, empty if none.

    `accesses` counts by what was wanted, `pages` by the page that was touched, and `code` by who touched it: the
    symbol, or the address where there is none.
    """

    log: str
    faults: int
    around: int
    seconds: float
    by: Counter[tuple[int, str]]
    accesses: Counter[str]
    pages: Counter[int]
    code: Counter[str]
    perfetto: str


def run(session: Session, options: Namespace) -> Sequence[Traced]:  # noqa: ARG001
    faults = list(read_log(Path(options.file)))
    if options.perfetto is not None:
        tracks = {cpu: f"CPU {cpu}" for cpu in sorted({fault.cpu for fault in faults})}
        with one_line(options.perfetto):
            Path(options.perfetto).write_text(
                perfetto("gdbtools service", tracks, map(slice_of, faults)), encoding="utf-8"
            )
    return (
        Traced(
            options.file,
            len(faults),
            sum(fault.around for fault in faults),
            max((fault.time + fault.seconds for fault in faults), default=0.0),
            Counter((fault.cpu, fault.verdict) for fault in faults),
            Counter(fault.access or "none" for fault in faults),
            Counter(fault.va & -PAGE_BYTES for fault in faults),
            Counter(fault.symbol or f"{fault.pc:#x}" for fault in faults),
            options.perfetto or "",
        ),
    )


def slice_of(fault: Logged) -> Slice:
    """Give a fault as it is drawn: named for the symbol, or for the address where there is none."""
    arguments: dict[str, str | int | None] = {
        "pc": f"{fault.pc:#x}",
        "va": f"{fault.va:#x}",
        "access": fault.access,
        "level": fault.level,
        "verdict": fault.verdict,
        "before": optional_hexadecimal(fault.before),
        "after": optional_hexadecimal(fault.after),
        "around": fault.around,
    }
    name = f"{fault.access} {fault.symbol or format(fault.pc, '#x')}"
    return Slice(fault.cpu, name, fault.verdict, fault.time, fault.seconds, arguments)


def view(answer: Traced) -> Document:
    head = Line([Span(f"{answer.faults} faults", Role.HEADING), f" in {answer.seconds:.1f} s."])
    rows: list[Sequence[Text]] = [
        (str(cpu), verdict, str(count)) for (cpu, verdict), count in sorted(answer.by.items())
    ]
    facts: list[tuple[str, Text]] = []
    if answer.around:
        facts.append(("around", f"{answer.around} neighbours' access flags were set before they faulted"))
    if answer.perfetto:
        facts.append(("trace", f"{answer.perfetto}: open it at https://ui.perfetto.dev"))
    table = [Table(("CPU", "verdict", "faults"), rows, frozenset((0, 2)))] if rows else []
    hottest = [*_hottest(answer)] if answer.faults else []
    return Document([head, *table, *hottest, *([Facts(facts)] if facts else [])])


def _hottest(answer: Traced) -> Iterator[Table]:
    """Show what was wanted, by whom, and of which pages, the most frequent first."""
    counted: Sequence[tuple[str, Sequence[tuple[str, int]]]] = (
        ("access", answer.accesses.most_common()),
        ("code", answer.code.most_common(HOTTEST)),
        ("page", [(f"{page:#x}", count) for page, count in answer.pages.most_common(HOTTEST)]),
    )
    for what, found in counted:
        yield Table((what, "faults"), [(name, str(count)) for name, count in found], frozenset((1,)))


def record(answer: Traced) -> JsonObject:
    return {
        "log": answer.log,
        "faults": answer.faults,
        "around": answer.around,
        "seconds": round(answer.seconds, 6),
        "by": [
            {"cpu": cpu, "verdict": verdict, "faults": count} for (cpu, verdict), count in sorted(answer.by.items())
        ],
        "accesses": dict(answer.accesses.most_common()),
        "code": [{"place": place, "faults": count} for place, count in answer.code.most_common(HOTTEST)],
        "pages": [{"page": hexadecimal(page), "faults": count} for page, count in answer.pages.most_common(HOTTEST)],
        "perfetto": answer.perfetto or None,
    }


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
