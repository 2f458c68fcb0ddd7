"""The service's policy at one stop: repair the fault and return, leave it to the guest, or give up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gdbtools.addresses import VA
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict, diagnose
from gdbtools.analysis.faults.loops import Loops, place_of
from gdbtools.arch.capabilities import Architecture, DirtyConvention
from gdbtools.arch.model import Access, FaultKind, Level, Syndrome
from gdbtools.arch.regime_cache import CachedRegimes
from gdbtools.errors import GdbtoolsError, Refused, Unavailable
from gdbtools.machine.model import Machine, PhysicalMemory, Served
from gdbtools.repair.access_flag import AccessFlagPlan, plan, settled
from gdbtools.repair.change import Change
from gdbtools.repair.dirty_state import plan_dirty_state
from gdbtools.repair.find_gadget import find_way_back, way_back, way_back_through
from gdbtools.repair.log import Written
from gdbtools.repair.neighbours import TableChange, plan_neighbours
from gdbtools.wording import name_of, number_of


@dataclass(frozen=True)
class Policy:
    """What is serviced: kinds of fault, how many (None: no end), and how many neighbours are set with each."""

    kinds: tuple[str, ...] = ("access-flag",)
    count: int | None = None
    around: int = 0


@dataclass(frozen=True, slots=True)
class Logged:
    """One fault.  `time` and `seconds`, how long it was handled, are in seconds since the service began.

    `before` and `after` are the descriptor that was looked at; equal where nothing had to be repaired, None where no
    descriptor was met.  `around` counts the neighbours whose access flag was set with it.
    """

    time: float
    seconds: float
    cpu: int
    pc: int
    symbol: str
    va: VA
    access: str
    level: int | None
    verdict: str
    before: int | None
    after: int | None
    around: int


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
    can_be_asked: str = ""
    """Those by which it is left to software although hardware can be asked; empty where it cannot."""
    faults: Counter[Serviced] = field(default_factory=Counter)
    passed_on: Counter[PassedOn] = field(default_factory=Counter)
    already: int = 0
    around: int = 0
    seconds: float = 0.0
    ended: str = ""

    @property
    def total(self) -> int:
        return sum(self.faults.values())


Planner = Callable[[Diagnosis, Architecture, DirtyConvention, PhysicalMemory], AccessFlagPlan]
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
        """Return whether a fault is to be repaired; else it is left to the guest."""
        ...

    def saw(self, machine: Machine, found: Diagnosis) -> None:
        """Be told of a fault that is settled, whoever's repair it was."""
        ...


class Service:
    """What happens at one stop at a vector: repair it and return, or leave it to the guest, or give up."""

    def __init__(
        self,
        policy: Policy,
        dirty: DirtyConvention,
        written: Written,
        log: Callable[[Logged], None] | None = None,
        symbol: Callable[[VA], str] = lambda _: "",
        onlooker: Onlooker | None = None,
    ) -> None:
        """`log` is told of every fault, and may raise `Unavailable`; `symbol` names an address for it."""
        self._policy = policy
        self._dirty = dirty
        self._onlooker = onlooker
        self.summary = Summary(policy.kinds)
        self.started = time.monotonic()
        self._planners = dict(KINDS[kind] for kind in policy.kinds)
        self._written = written
        self._log = log
        self._symbol = symbol
        self._returns: dict[tuple[int, ...], VA | None] = {}
        self._regime_for: CachedRegimes | None = None
        self._loops = Loops()
        self._own: dict[int, tuple[tuple[int, int, int], int]] = {}
        self._symbols: dict[VA, str] = {}

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
        syndrome = architecture.exceptions.syndrome(machine.register)
        fault = syndrome.fault
        if fault is None:
            return self._pass_on(syndrome)
        if self._planners.keys().isdisjoint(syndrome.kinds):
            return self._leave(machine)
        if self.summary.ended:
            # What comes together with the last is the next service's, or the guest's: it faults again.
            return Served(False, find_way_back(architecture, machine.register, machine.memory.read).registers)
        if self._regime_for is None:
            self._regime_for = CachedRegimes(architecture)
        found = diagnose(architecture, machine.register, machine.memory.read, self._regime_for)
        if self._onlooker is not None and not self._onlooker.wants(found):
            return self._leave(machine)
        kind = fault.kind
        if syndrome.not_told_apart and found.predicted is not None:
            kind = found.predicted.fault.kind
            if kind not in self._planners:
                return self._leave(machine)
        change, around = None, 0
        if found.verdict is Verdict.TABLES_PERMIT or settled(found):
            place = place_of(found)
            if self._loops.times(machine.current, place) > 1:
                permits = found.verdict is Verdict.TABLES_PERMIT
                self.summary.ended = f"{place.said()}, {'which permits it' if permits else 'whose access flag is set'}"
                return Served(False)
            back = self._return(machine, found)
            self.summary.already += 1
        else:
            try:
                planned = self._planners[kind](found, architecture, self._dirty, machine.memory)
            except Refused:
                if kind is not FaultKind.ACCESS_FLAG:
                    return self._leave(machine)
                raise
            back = self._return(machine, found)
            change = planned.change
            self._write(change, machine)
            around = self._neighbours(machine, found) if kind is FaultKind.ACCESS_FLAG else 0
            self.summary.around += around
            self.summary.faults[Serviced(found.entry or "", planned.access, planned.level)] += 1
        if self._onlooker is not None:
            self._onlooker.saw(machine, found)
        if self._log is not None:
            try:
                self._log(self._logged(machine, found, change, around, began))
            except Unavailable as error:
                # This CPU has been served, and goes where it was to go.
                self._log = None
                self.summary.ended = str(error)
                return Served(False, back)
        if self._policy.count is not None and self.summary.total >= self._policy.count:
            self.summary.ended = f"{number_of(self._policy.count, 'fault')} repaired, as asked"
            return Served(False, back)
        return Served(True, back)

    def _return(self, machine: Machine, found: Diagnosis) -> Mapping[str, int]:
        architecture, register = machine.architecture, machine.register
        context = architecture.exceptions.context(register)
        if context not in self._returns:
            # Another address space may not map what was borrowed in this one.
            self._returns[context] = way_back(machine, found).through
        return way_back_through(architecture, register, self._returns[context]).registers

    def _write(self, change: Change | TableChange, machine: Machine) -> None:
        self._written.make(change, machine.memory)
        self._loops.changed(change.pa, change.end)

    def _neighbours(self, machine: Machine, found: Diagnosis) -> int:
        if not (around := self._policy.around) or found.walk is None or found.walk.leaf is None:
            return 0
        planned = plan_neighbours(found.walk.regime, found.walk.leaf, machine.architecture, machine.memory, around)
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
            self._symbols[place.pc] = self._symbol(place.pc)
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
