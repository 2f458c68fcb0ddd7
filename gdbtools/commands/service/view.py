"""How the answers of `service` look, and what is recorded of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gdbtools.arch.model import AccessKind, Privilege
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject
from gdbtools.repair.service import Serviced, Summary
from gdbtools.wording import name_of, number_of, size


def view(answer: Summary) -> Document:
    rate = f", {answer.total / answer.seconds:.0f} a second" if answer.total and answer.seconds else ""
    kinds = " and ".join(answer.kinds)
    head: list[str | Span] = [
        Span(f"{number_of(answer.total, f'{kinds} fault')} repaired", Role.GOOD),
        f" in {answer.seconds:.1f} s{rate}.",
    ]
    if answer.already:
        head.append(f" {answer.already} more were spurious: already repaired for another CPU.")
    if answer.around:
        head.append(f" Around them {answer.around} neighbours' access flags were set before they faulted.")
    ended: list[Block] = [Line(f"Ended: {answer.ended}.")]
    if answer.can_be_asked and answer.total:
        instead = f": hardware can be asked to set them ({answer.can_be_asked}), and nobody faults then"
        ended.append(Facts([("next", [Span("mmu hardware-af on", Role.COMMAND), instead])]))
    if answer.by_hardware and not answer.total:
        head.append(Span(f" Hardware sets access flags here ({answer.by_hardware}).", Role.WARNING))
    return Document([Line(head), *([_table(answer.faults)] if answer.faults else []), *_passed_on(answer), *ended])


def _passed_on(answer: Summary) -> list[Block]:
    """Show what else stopped the guest, the most frequent first."""
    count = answer.passed_on.total()
    if not count:
        return []
    share = 100 * count / (count + answer.total + answer.already)
    exceptions = number_of(count, "other exception was", "other exceptions were")
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
        "can_be_asked": bool(answer.can_be_asked),
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
