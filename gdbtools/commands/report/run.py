"""`report`: all that one stop has to tell on one page: the verdict, the walk, the address space, the registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from gdbtools.addresses import VA
from gdbtools.analysis.areas import Area, areas
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.model import Hole, Regime, Run
from gdbtools.commands.explain import run as explain_run
from gdbtools.commands.fault import run as fault_run
from gdbtools.commands.regs import run as regs_run
from gdbtools.commands.session import OfGuest, Session
from gdbtools.commands.spaces import CURRENT, KERNEL, Spaces, all_ranges, spaces
from gdbtools.commands.status import run as status_run
from gdbtools.commands.walk import run as walk_run
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine

Part = TypeVar("Part")

AREAS = 2000
"""How many areas of a range are listed; `map` lists all there is."""


@dataclass(frozen=True)
class Missing:
    """A part that could not be had, and why."""

    why: str


@dataclass(frozen=True)
class Space:
    """What one range of a regime maps: all of it, and the areas that it makes."""

    regime: Regime
    found: tuple[Run | Hole, ...]
    areas: tuple[Area, ...]
    space: str = CURRENT

    @property
    def mapped_bytes(self) -> int:
        return sum(area.size_bytes for area in self.areas)

    @property
    def unreadable(self) -> list[Hole]:
        return [each for each in self.found if isinstance(each, Hole)]

    @property
    def omitted(self) -> int:
        return max(len(self.areas) - AREAS, 0)


@dataclass(frozen=True)
class Report:
    """The answers of the commands that it is made of, and the address space.

    `walked` are addresses that were asked for; without any, and with no fault of translation, where the CPU stands.
    """

    live: bool
    status: status_run.Status
    fault: fault_run.Answer | Missing
    walked: Sequence[walk_run.Translation] | Missing
    spaces: Sequence[Space] | Missing
    registers: Sequence[regs_run.Register] | Missing
    log: explain_run.Explained | None = None
    """What the log says of its crash, where the source is one."""


@dataclass(frozen=True, kw_only=True)
class Options(OfGuest):
    """What may be asked of `report`, as `declared` has it."""

    address: Sequence[VA] = ()
    space: str | None = None


def run(session: Session, options: Options) -> Sequence[Report]:
    live = session.machine.live is not None
    [of_source] = status_run.run(session, status_run.Options())
    faults = _attempt(partial(fault_run.run, session, fault_run.Options()))
    explained = not isinstance(faults, Missing) and faults[0].diagnosis.walk is not None
    addresses = options.address or ([] if explained else _standing_at(session.machine))
    here = _spaces_of(session.machine)
    if isinstance(here, Spaces):
        here.chosen(options.space)
    walked = _walked(session, here, addresses, options.space)
    found = faults if isinstance(faults, Missing) else faults[0]
    registers = _attempt(partial(regs_run.run, session, regs_run.Options()))
    crash = session.machine.crash
    log = None if crash is None else explain_run.explained(crash, session.elf)
    return (Report(live, of_source, found, walked, _spaces(here, options.space), registers, log),)


def _attempt(ask: Callable[[], Sequence[Part]]) -> Sequence[Part] | Missing:
    """Return another command's answers, or why it has none."""
    try:
        return ask()
    except (Unavailable, Unreadable) as missing:
        return Missing(str(missing))


def _standing_at(machine: Machine) -> list[VA]:
    try:
        return [VA(machine.register(machine.architecture.pc))]
    except Unavailable:
        return []


def _spaces_of(machine: Machine) -> Spaces | Missing:
    try:
        machine.architecture.regimes(machine.register)
        return spaces(machine)
    except Unavailable as missing:
        return Missing(str(missing))


def _walked(
    session: Session, here: Spaces | Missing, addresses: Sequence[VA], space: str | None
) -> Sequence[walk_run.Translation] | Missing:
    """Walk addresses: those that only the kernel's own space has in that, unless another was asked for."""
    found: list[walk_run.Translation] = []
    for address in addresses:
        hidden = isinstance(here, Spaces) and here.hides(address) and here.full is not None
        asked = space or (KERNEL if hidden else CURRENT)
        answers = _attempt(partial(walk_run.run, session, walk_run.Options(address=[address], space=asked)))
        if isinstance(answers, Missing):
            return answers
        found += answers
    return found


def _spaces(here: Spaces | Missing, space: str | None) -> Sequence[Space] | Missing:
    """Scan each range of the regime in force, the kernel's own where it is a reduced one, and the stage below."""
    if isinstance(here, Missing):
        return here
    ranges = [(named, regime) for named, _, regime in all_ranges(here, space, None)]
    ranges += [(CURRENT, below) for below in [ranges[0][1].below] if below is not None]
    found = []
    for named, regime in ranges:
        mapped = tuple(mappings_of(regime, here.machine.memory.read))
        listed = tuple(areas(each for each in mapped if isinstance(each, Run)))
        found.append(Space(regime, mapped, listed, named))
    return found


def finding(answer: Report) -> bool:
    """Return whether an answer is a finding, exit status 1: a fault on the page, as the commands it asked have it."""
    faults = [] if isinstance(answer.fault, Missing) else [answer.fault]
    walked = [] if isinstance(answer.walked, Missing) else answer.walked
    return any(map(fault_run.finding, faults)) or any(map(walk_run.finding, walked))
