"""`report`: all that one stop has to tell on one page: the verdict, the walk, the address space, the registers."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gdbtools.analysis.areas import Area, areas
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.model import Hole, Regime, Run
from gdbtools.commands import fault, map, regs, status, walk  # noqa: A004
from gdbtools.commands.area_table import area_record, area_table
from gdbtools.commands.declared import looking
from gdbtools.commands.model import Command, Implementation
from gdbtools.commands.parser import parse
from gdbtools.commands.pictures import address_map
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import CURRENT, KERNEL, Spaces, all_ranges, spaces
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine
from gdbtools.numbers import number
from gdbtools.render.document import Block, Document, Facts, Line, Picture, Role, Section, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.render.scale import amount
from gdbtools.wording import number_of

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
    status: status.Status
    fault: fault.Answer | Missing
    walked: Sequence[walk.Translation] | Missing
    spaces: Sequence[Space] | Missing
    registers: Sequence[regs.Register] | Missing


def run(session: Session, options: Namespace) -> Sequence[Report]:
    live = session.machine.live is not None
    [of_source] = _ask(session, looking.STATUS)
    faults = _attempt(session, looking.FAULT)
    explained = not isinstance(faults, Missing) and faults[0].diagnosis.walk is not None
    addresses = options.address or ([] if explained else _standing_at(session.machine))
    here = _spaces_of(session.machine)
    if isinstance(here, Spaces):
        here.chosen(options.space)
    walked = _walked(session, here, addresses, options.space)
    found = faults if isinstance(faults, Missing) else faults[0]
    return (Report(live, of_source, found, walked, _spaces(here, options.space), _attempt(session, looking.REGS)),)


def _ask(session: Session, command: Command, *words: str) -> Sequence[Any]:
    """Run another command, as if it had been given these words."""
    return command.run(session, parse(command, words, number, "report"))


def _attempt(session: Session, command: Command, *words: str) -> Sequence[Any] | Missing:
    try:
        return _ask(session, command, *words)
    except (Unavailable, Unreadable) as missing:
        return Missing(str(missing))


def _standing_at(machine: Machine) -> list[int]:
    try:
        return [machine.register(machine.architecture.pc)]
    except Unavailable:
        return []


def _spaces_of(machine: Machine) -> Spaces | Missing:
    try:
        machine.architecture.regimes(machine.register)
        return spaces(machine)
    except Unavailable as missing:
        return Missing(str(missing))


def _walked(
    session: Session, here: Spaces | Missing, addresses: Sequence[int], space: str | None
) -> Sequence[walk.Translation] | Missing:
    """Walk addresses: those that only the kernel's own space has in that, unless another was asked for."""
    found: list[walk.Translation] = []
    for address in addresses:
        hidden = isinstance(here, Spaces) and here.hides(address) and here.full is not None
        asked = space or (KERNEL if hidden else CURRENT)
        answers = _attempt(session, looking.WALK, f"{address:#x}", "--space", asked)
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


def view(answer: Report) -> Document:
    blocks: list[Block] = []
    walked: list[Block] = []
    if isinstance(answer.fault, Missing):
        blocks.append(Line([Span("No fault can be told.", Role.WARNING), f" {answer.fault.why}"]))
    else:
        verdict, facts, *walked = fault.view(answer.fault).blocks
        blocks += [verdict, facts]
    if isinstance(answer.walked, Missing):
        walked.append(_missing(answer.walked))
    else:
        walked += [block for each in answer.walked for block in walk.view(each).blocks]
    blocks += [Section("The walk", walked)] if walked else []
    blocks.append(Section("The address space", _space_blocks(answer.spaces)))
    blocks.append(Section("The registers", _register_blocks(answer.registers)))
    blocks.append(Section("The source", status.view(answer.status).blocks))
    return Document(blocks, f"gdbtools report of {'a live guest' if answer.live else answer.status.memory}")


def _missing(part: Missing) -> Line:
    return Line(Span(part.why, Role.WARNING))


def _register_blocks(registers: Sequence[regs.Register] | Missing) -> list[Block]:
    if isinstance(registers, Missing):
        return [_missing(registers)]
    return [block for each in registers for block in regs.view(each).blocks]


def _space_blocks(found: Sequence[Space] | Missing) -> list[Block]:
    if isinstance(found, Missing):
        return [_missing(found)]
    return [Section(_named(space), _one_space(space)) for space in found]


def _named(space: Space) -> str:
    return f"{space.regime.name} (kernel)" if space.space == KERNEL else space.regime.name


def _one_space(space: Space) -> list[Block]:
    if not space.found:
        return [Line("Nothing is mapped.")]
    rows: list[tuple[str, Text]] = [("unreadable", map.hole_text(hole)) for hole in space.unreadable]
    if space.omitted:
        rows.append(("left out", f"{space.omitted} more areas: `map` lists everything"))
    table = [area_table(space.areas[:AREAS])] if space.areas else []
    said = f"{amount(space.mapped_bytes)} in {number_of(len(space.areas), 'area')}."
    return [Line(said), Picture(address_map(space.regime, space.found), [*table, Facts(rows)])]


def record(answer: Report) -> JsonObject:
    def part(found: Any, each: Any) -> object:
        return {"missing": found.why} if isinstance(found, Missing) else [each(one) for one in found]

    faulted = answer.fault
    return {
        "status": status.record(answer.status),
        "fault": {"missing": faulted.why} if isinstance(faulted, Missing) else fault.record(faulted),
        "walked": part(answer.walked, walk.record),
        "regimes": part(answer.spaces, _space_record),
        "registers": part(answer.registers, regs.record),
    }


def _space_record(space: Space) -> JsonObject:
    return {
        "name": space.regime.name,
        "space": space.space,
        "first": hexadecimal(space.regime.first),
        "last": hexadecimal(space.regime.last),
        "mapped": space.mapped_bytes,
        "areas": [area_record(area) for area in space.areas[:AREAS]],
        "omitted": space.omitted,
        "unreadable": [map.hole_record(hole) for hole in space.unreadable],
    }


def _found(answer: Report) -> bool:
    """Return whether there is a fault on the page, as the commands that it asked have it."""
    faults = [] if isinstance(answer.fault, Missing) else [answer.fault]
    walked = [] if isinstance(answer.walked, Missing) else answer.walked
    return any(looking.FAULT.finding(each) for each in faults) or any(looking.WALK.finding(each) for each in walked)


IMPLEMENTATION = Implementation(run=run, view=view, record=record, finding=_found)
