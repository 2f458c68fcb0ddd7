"""`service`: repair access-flag faults and return, again and again, until something else happens."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from gdbtools.arch.model import AccessKind, Privilege
from gdbtools.commands.fault_log import FaultLog
from gdbtools.commands.hardware_flags import hardware_sets
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.render.document import Block, Document, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject
from gdbtools.repair.service import Policy, Service, Serviced, Summary
from gdbtools.wording import name_of, size

MOST_AROUND = 512
"""More neighbours than the tables of the smallest granule have."""


def run(session: Session, options: Namespace) -> Sequence[Summary]:
    if options.count is not None and options.count < 1:
        raise UsageError("--count takes a number of faults from 1 on")
    if options.around is not None and not 1 <= options.around <= MOST_AROUND:
        raise UsageError(f"--around takes a number of neighbours from 1 to {MOST_AROUND}")
    opened = FaultLog(Path(options.log)) if options.log else nullcontext()
    with opened as log, session.written.going_on("service") as written:
        policy = Policy(tuple(options.kinds) or Policy.kinds, options.count, options.around or 0)
        service = Service(
            policy, session.dirty, written, None if log is None else log.write, lambda pc: session.live.symbol(pc)
        )
        if "access-flag" in service.summary.kinds:
            service.summary.by_hardware = hardware_sets(session.machine)
        if controls := service.summary.by_hardware:
            never = "so that nothing may ever fault for one; Ctrl-C ends the service"
            session.live.announce(f"hardware sets access flags here ({controls}), {never}")
        ended = session.live.serve(service.handle)
    service.summary.seconds = time.monotonic() - service.started
    service.summary.ended = service.summary.ended or ended
    return (service.summary,)


def view(answer: Summary) -> Document:
    rate = f", {answer.total / answer.seconds:.0f} a second" if answer.total and answer.seconds else ""
    head: list[str | Span] = [
        Span(
            f"{answer.total} {' and '.join(answer.kinds)} {'fault' if answer.total == 1 else 'faults'} repaired",
            Role.GOOD,
        ),
        f" in {answer.seconds:.1f} s{rate}.",
    ]
    if answer.already:
        head.append(f" {answer.already} more were spurious: already repaired for another CPU.")
    if answer.around:
        head.append(f" Around them {answer.around} neighbours' access flags were set before they faulted.")
    ended = Line(f"Ended: {answer.ended}.")
    if answer.by_hardware and not answer.total:
        head.append(Span(f" Hardware sets access flags here ({answer.by_hardware}).", Role.WARNING))
    return Document([Line(head), *([_table(answer.faults)] if answer.faults else []), *_passed_on(answer), ended])


def _passed_on(answer: Summary) -> list[Block]:
    """Show what else stopped the guest, the most frequent first."""
    count = answer.passed_on.total()
    if not count:
        return []
    share = 100 * count / (count + answer.total + answer.already)
    exceptions = "1 other exception was" if count == 1 else f"{count} other exceptions were"
    rows: list[Sequence[Text]] = [
        (each.exception, "" if each.fault is None else each.fault.label, str(number))
        for each, number in answer.passed_on.most_common()
    ]
    table = Table(("exception class", "fault", "passed on"), rows, frozenset((2,)))
    return [Line(f"{exceptions} passed on to the guest, {share:.3g}% of all that stopped it:"), table]


def _table(faults: Counter[Serviced]) -> Table:
    """Show where the faults came from on the rows, and what was wanted in the columns."""
    kinds = [kind for kind in AccessKind if any(each.access.kind is kind for each in faults)]
    cells: dict[tuple[str, Privilege, int, int], Counter[AccessKind]] = {}
    for each, count in faults.items():
        place = each.entry, each.access.privilege, each.level.number, each.level.size_bytes
        cells.setdefault(place, Counter())[each.access.kind] += count
    rows: list[Sequence[Text]] = []
    for (entry, privilege, level, size_bytes), counts in sorted(cells.items()):
        said = [str(counts[kind]) if counts[kind] else "-" for kind in kinds]
        rows.append((entry, privilege.label, str(level), size(size_bytes), *said))
    headers = "vector entry", "from", "level", "size", *(kind.label for kind in kinds)
    return Table(headers, rows, frozenset((2, *range(4, len(headers)))))


def record(answer: Summary) -> JsonObject:
    return {
        "faults": answer.total,
        "kinds": list(answer.kinds),
        "already_repaired": answer.already,
        "around": answer.around,
        "by_hardware": bool(answer.by_hardware),
        "seconds": round(answer.seconds, 3),
        "ended": answer.ended,
        "passed_on": answer.passed_on.total(),
        "passed_on_by": [
            {
                "class": each.exception,
                "fault": None if each.fault is None else each.fault.label,
                "exceptions": count,
            }
            for each, count in answer.passed_on.most_common()
        ],
        "by": [
            {
                "access": name_of(each.access.kind),
                **each.access.privilege.record,
                "entry": each.entry,
                "level": each.level.number,
                "size": each.level.size_bytes,
                "faults": count,
            }
            for each, count in sorted(answer.faults.items(), key=lambda item: _order(item[0]))
        ],
    }


def _order(each: Serviced) -> tuple[str, int, str, int]:
    return each.entry, each.access.privilege, each.access.kind.label, each.level.number


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
