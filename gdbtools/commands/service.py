"""`service`: repair access-flag faults and return, again and again, until something else happens."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gdbtools.analysis.diagnosis import Verdict, diagnose
from gdbtools.arch.model import Access, AccessKind, FaultKind, Level
from gdbtools.commands.evidence import size
from gdbtools.commands.fixup import return_address
from gdbtools.commands.model import Argument, Command, Kind, Session
from gdbtools.errors import GdbtoolsError, UsageError
from gdbtools.machine.model import Machine
from gdbtools.render.document import Document, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, name_of
from gdbtools.repair.access_flag import left_to_hardware, plan


@dataclass(frozen=True)
class Serviced:
    """One kind of fault: the vector entry it came through, who wanted what, and the leaf's level."""

    entry: str
    access: Access
    level: Level


@dataclass
class Summary:
    """What a service did.  `already` counts faults that another CPU's repair had settled before this stop."""

    faults: Counter[Serviced] = field(default_factory=Counter)
    already: int = 0
    seconds: float = 0.0
    ended: str = ""

    @property
    def total(self) -> int:
        return sum(self.faults.values())


class Service:
    """What happens at one stop at a vector: repair it and return, or leave it to the guest, or give up."""

    def __init__(self, session: Session, count: int | None) -> None:
        self.session = session
        self.count = count
        self.summary = Summary()
        self._returns: dict[tuple[int, ...], int] = {}
        self._spurious: tuple[int, ...] = ()

    def handle(self, machine: Machine) -> bool:
        """Say whether the guest goes on; `summary.ended` says why not."""
        try:
            return self._handle(machine)
        except GdbtoolsError as error:
            self.summary.ended = str(error)
            return False

    def _handle(self, machine: Machine) -> bool:
        architecture = machine.architecture
        fault = architecture.syndrome(machine.register).fault
        if fault is None or fault.kind is not FaultKind.ACCESS_FLAG:
            return True
        context = architecture.context(machine.register)
        found = diagnose(architecture, machine.register, machine.memory.read)
        if context not in self._returns:
            # Another address space may not map what was borrowed in this one.
            self._returns[context] = return_address(machine, found)
        if found.verdict is Verdict.TABLES_PERMIT and not left_to_hardware(found):
            place = machine.current, found.exception.return_address, found.exception.address
            if place == self._spurious:
                self.summary.ended = f"a fault loop: {found.exception.address:#x} faults although the tables permit it"
                return False
            self._spurious = place
            self.summary.already += 1
        else:
            planned = plan(found, architecture, self.session.dirty)
            planned.change.apply(machine.memory)
            self.session.written.append(planned.change)
            self._spurious = ()
            self.summary.faults[Serviced(found.entry, planned.access, planned.level)] += 1
        self.session.live.jump(self._returns[context])
        if self.count is not None and self.summary.total >= self.count:
            self.summary.ended = f"{self.count} faults repaired, as asked"
            return False
        return True


def run(session: Session, options: Namespace) -> Sequence[Summary]:
    if options.count is not None and options.count < 1:
        raise UsageError("--count takes a number of faults from 1 on")
    service = Service(session, options.count)
    started = time.monotonic()
    ended = session.live.serve(service.handle)
    service.summary.seconds = time.monotonic() - started
    service.summary.ended = service.summary.ended or ended
    return (service.summary,)


def view(answer: Summary) -> Document:
    rate = f", {answer.total / answer.seconds:.0f} a second" if answer.total and answer.seconds else ""
    head: list[str | Span] = [
        Span(f"{answer.total} access-flag faults repaired", Role.GOOD),
        f" in {answer.seconds:.1f} s{rate}.",
    ]
    if answer.already:
        head.append(f" {answer.already} more were already repaired for another CPU.")
    ended = Line(f"Ended: {answer.ended}.")
    return Document([Line(head), *([_table(answer.faults)] if answer.faults else []), ended])


def _table(faults: Counter[Serviced]) -> Table:
    """Show where the faults came from on the rows, and what was wanted in the columns."""
    kinds = [kind for kind in AccessKind if any(each.access.kind is kind for each in faults)]
    cells: dict[tuple[str, int, int, int], Counter[AccessKind]] = {}
    for each, count in faults.items():
        place = each.entry, each.access.el, each.level.number, each.level.size_bytes
        cells.setdefault(place, Counter())[each.access.kind] += count
    rows: list[Sequence[Text]] = []
    for (entry, el, level, size_bytes), counts in sorted(cells.items()):
        said = [str(counts[kind]) if counts[kind] else "-" for kind in kinds]
        rows.append((entry, f"EL{el}", str(level), size(size_bytes), *said))
    headers = "vector entry", "from", "level", "size", *(kind.label for kind in kinds)
    return Table(headers, rows, frozenset((2, *range(4, len(headers)))))


def record(answer: Summary) -> JsonObject:
    return {
        "faults": answer.total,
        "already_repaired": answer.already,
        "seconds": round(answer.seconds, 3),
        "ended": answer.ended,
        "by": [
            {
                "access": name_of(each.access.kind),
                "el": each.access.el,
                "entry": each.entry,
                "level": each.level.number,
                "size": each.level.size_bytes,
                "faults": count,
            }
            for each, count in sorted(answer.faults.items(), key=lambda item: _order(item[0]))
        ],
    }


def _order(each: Serviced) -> tuple[str, int, str, int]:
    return each.entry, each.access.el, each.access.kind.label, each.level.number


COMMAND = Command(
    name="service",
    summary="Repair access-flag faults and go on, until something else happens",
    description=(
        "Run the guest; at each access-flag fault set the flag and return to the faulting instruction. Every other\n"
        "exception is the guest's own and runs on unseen. Ends at any other stop, at Ctrl-C, or after --count faults,\n"
        "with a table of what was repaired."
    ),
    arguments=(Argument("--count", "end after this many repairs", Kind.NUMBER),),
    run=run,
    view=view,
    record=record,
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)
