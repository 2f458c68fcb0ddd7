"""`service`: repair access-flag faults and return, again and again, until something else happens."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gdbtools.analysis.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.analysis.loops import Loops, place_of
from gdbtools.arch.architecture import Architecture, DirtyConvention
from gdbtools.arch.model import Access, AccessKind, FaultKind, Level, Syndrome
from gdbtools.arch.remembered import RememberedRegimes
from gdbtools.commands.evidence import size
from gdbtools.commands.fault_log import FaultLog, Logged
from gdbtools.commands.fixup import return_address
from gdbtools.commands.hardware_flags import hardware_sets
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.errors import GdbtoolsError, Refused, Unavailable, UsageError
from gdbtools.machine.model import Machine, PhysicalMemory, Served
from gdbtools.render.document import Block, Document, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, name_of
from gdbtools.repair.access_flag import Plan, plan, settled
from gdbtools.repair.borrow import find_return
from gdbtools.repair.change import Change
from gdbtools.repair.dirty_state import plan_dirty_state
from gdbtools.repair.log import Written
from gdbtools.repair.neighbours import TableChange, plan_neighbours

MOST_AROUND = 512
"""More neighbours than the tables of the smallest granule have."""


@dataclass(frozen=True)
class Serviced:
    """One kind of fault: the vector entry it came through, who wanted what, and the leaf's level."""

    entry: str
    access: Access
    level: Level


@dataclass(frozen=True)
class PassedOn:
    """One kind of exception that a service left to the guest: its class, and the fault if it is one."""

    exception: str
    fault: FaultKind | None


@dataclass
class Summary:
    """What a service did.

    `passed_on` counts the exceptions that it stopped for and left to the guest: on a real guest they are most of the
    time.  Interrupts do not stop it, and are not among them.  `already` counts faults that another CPU's repair, or a
    neighbour's, had settled before this stop: they are spurious by then.  `around` counts the neighbours whose flag was
    set before they faulted.
    """

    kinds: tuple[str, ...] = ("access-flag",)
    by_hardware: str = ""
    """The controls that have hardware set access flags here, so that none may ever fault; empty where software does."""
    faults: Counter[Serviced] = field(default_factory=Counter)
    passed_on: Counter[PassedOn] = field(default_factory=Counter)
    already: int = 0
    around: int = 0
    seconds: float = 0.0
    ended: str = ""

    @property
    def total(self) -> int:
        return sum(self.faults.values())


Planner = Callable[[Diagnosis, Architecture, DirtyConvention, PhysicalMemory], Plan]
KINDS: Mapping[str, tuple[FaultKind, Planner]] = {
    "access-flag": (FaultKind.ACCESS_FLAG, plan),
    "dirty": (FaultKind.PERMISSION, plan_dirty_state),
}
"""What can be serviced: the kind of fault, and how its repair is planned."""
GUEST_LOOP = 100
"""How often in a row a fault of the guest's own has to come, with nothing changed, to be called a loop."""


class Onlooker(Protocol):
    """Somebody who is asked before a fault is repaired, and told of it afterwards."""

    def wants(self, found: Diagnosis) -> bool:
        """Say whether a fault is to be repaired; else it is left to the guest."""
        ...

    def saw(self, machine: Machine, found: Diagnosis) -> None:
        """Be told of a fault that is settled, whoever's repair it was."""
        ...


class Service:
    """What happens at one stop at a vector: repair it and return, or leave it to the guest, or give up."""

    def __init__(
        self,
        session: Session,
        options: Namespace,
        written: Written,
        log: FaultLog | None,
        onlooker: Onlooker | None = None,
    ) -> None:
        self.session = session
        self._onlooker = onlooker
        self.count: int | None = options.count
        self.around: int = options.around or 0
        self.summary = Summary(tuple(options.kinds) or ("access-flag",))
        self.started = time.monotonic()
        self._planners = dict(KINDS[kind] for kind in self.summary.kinds)
        self._written = written
        self._log = log
        self._returns: dict[tuple[int, ...], int] = {}
        self._regime_for: RememberedRegimes | None = None
        self._loops = Loops()
        self._own: dict[int, tuple[tuple[int, int, int], int]] = {}
        self._symbols: dict[int, str] = {}

    def handle(self, machine: Machine) -> Served:
        """Serve a CPU at a vector; `summary.ended` says why the guest is not to go on."""
        try:
            return self._handle(machine)
        except GdbtoolsError as error:
            self.summary.ended = str(error)
            return Served(False)

    def _handle(self, machine: Machine) -> Served:
        began = time.monotonic()
        architecture = machine.architecture
        syndrome = architecture.syndrome(machine.register)
        fault = syndrome.fault
        if fault is None:
            return self._pass_on(syndrome)
        if fault.kind not in self._planners:
            return self._leave(machine)
        if self.summary.ended:
            # What comes together with the last is the next service's, or the guest's: it faults again.
            return Served(False, find_return(architecture, machine.register, machine.memory.read))
        if self._regime_for is None:
            self._regime_for = RememberedRegimes(architecture)
        found = diagnose(architecture, machine.register, machine.memory.read, self._regime_for)
        if self._onlooker is not None and not self._onlooker.wants(found):
            return self._leave(machine)
        change, around = None, 0
        if found.verdict is Verdict.TABLES_PERMIT or settled(found):
            place = place_of(found)
            if self._loops.times(machine.current, place) > 1:
                permits = found.verdict is Verdict.TABLES_PERMIT
                self.summary.ended = f"{place.said()}, {'which permits it' if permits else 'whose access flag is set'}"
                return Served(False)
            through = self._return(machine, found)
            self.summary.already += 1
        else:
            try:
                planned = self._planners[fault.kind](found, architecture, self.session.dirty, machine.memory)
            except Refused:
                if fault.kind is not FaultKind.ACCESS_FLAG:
                    return self._leave(machine)
                raise
            through = self._return(machine, found)
            change = planned.change
            self._write(change, machine)
            around = self._neighbours(machine, found) if fault.kind is FaultKind.ACCESS_FLAG else 0
            self.summary.around += around
            self.summary.faults[Serviced(found.entry or "", planned.access, planned.level)] += 1
        if self._onlooker is not None:
            self._onlooker.saw(machine, found)
        if self._log is not None:
            try:
                self._log.write(self._logged(machine, found, change, around, began))
            except Unavailable as error:
                # This CPU has been served, and goes where it was to go.
                self._log = None
                self.summary.ended = str(error)
                return Served(False, through)
        if self.count is not None and self.summary.total >= self.count:
            self.summary.ended = f"{self.count} {'fault' if self.count == 1 else 'faults'} repaired, as asked"
            return Served(False, through)
        return Served(True, through)

    def _return(self, machine: Machine, found: Diagnosis) -> int:
        context = machine.architecture.context(machine.register)
        if context not in self._returns:
            # Another address space may not map what was borrowed in this one.
            self._returns[context] = return_address(machine, found)
        return self._returns[context]

    def _write(self, change: Change | TableChange, machine: Machine) -> None:
        self._written.make(change, machine.memory)
        self._loops.changed(change.pa, change.end)

    def _neighbours(self, machine: Machine, found: Diagnosis) -> int:
        if not self.around or found.walk is None or found.walk.leaf is None:
            return 0
        planned = plan_neighbours(found.walk.regime, found.walk.leaf, machine.architecture, machine.memory, self.around)
        if planned is None:
            return 0
        self._write(planned, machine)
        return planned.count

    def _leave(self, machine: Machine) -> Served:
        """Leave a fault to the guest, unless it is in a loop that its own handler does not end."""
        exception = machine.exception()
        seen = exception.return_address or 0, exception.address, int(exception.syndrome.word)
        before, times = self._own.get(machine.current, (None, 0))
        times = times + 1 if before == seen else 1
        self._own[machine.current] = seen, times
        if times < GUEST_LOOP:
            return self._pass_on(exception.syndrome)
        found = diagnose(machine.architecture, machine.register, machine.memory.read)
        place = place_of(found)
        if self._loops.times(machine.current, place) < GUEST_LOOP:
            return self._pass_on(exception.syndrome)
        self.summary.ended = place.said()
        return Served(False)

    def _pass_on(self, syndrome: Syndrome) -> Served:
        """Leave an exception to the guest, and count it once the guest has it."""
        what = PassedOn(syndrome.name, None if syndrome.fault is None else syndrome.fault.kind)

        def count() -> None:
            self.summary.passed_on[what] += 1

        return Served(True, passed_on=count)

    def _logged(self, machine: Machine, found: Diagnosis, change: Change | None, around: int, began: float) -> Logged:
        place = place_of(found)
        if place.pc not in self._symbols:
            self._symbols[place.pc] = self.session.live.symbol(place.pc)
        leaf = found.walk.steps[-1].level.number if found.walk is not None and found.walk.steps else None
        return Logged(
            began - self.started,
            time.monotonic() - began,
            machine.current,
            place.pc,
            self._symbols[place.pc],
            place.address,
            "" if found.access is None else name_of(found.access.kind),
            leaf,
            name_of(found.verdict),
            place.descriptor if change is None else int(change.before),
            place.descriptor if change is None else int(change.after),
            around,
        )


def run(session: Session, options: Namespace) -> Sequence[Summary]:
    if options.count is not None and options.count < 1:
        raise UsageError("--count takes a number of faults from 1 on")
    if options.around is not None and not 1 <= options.around <= MOST_AROUND:
        raise UsageError(f"--around takes a number of neighbours from 1 to {MOST_AROUND}")
    opened = FaultLog(Path(options.log)) if options.log else nullcontext()
    with opened as log, session.written.going_on("service") as written:
        service = Service(session, options, written, log)
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


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
