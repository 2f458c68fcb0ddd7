"""`report`: all that one stop has to tell on one page: the verdict, the walk, the address space, the registers."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gdbtools.analysis.areas import Area, areas
from gdbtools.analysis.mappings import mappings_of
from gdbtools.arch.model import FaultKind, Hole, Regime, Run
from gdbtools.commands import fault, map, regs, status, walk  # noqa: A004
from gdbtools.commands.declared import looking
from gdbtools.commands.evidence import attributes_record, fault_name, size, soft_text
from gdbtools.commands.model import Command, Implementation
from gdbtools.commands.parser import parse
from gdbtools.commands.pictures import address_map
from gdbtools.commands.session import Session
from gdbtools.commands.spaces import CURRENT, KERNEL, Spaces, all_ranges, spaces
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine
from gdbtools.numbers import number
from gdbtools.render.document import Block, Document, Facts, Line, Picture, Role, Section, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.render.scale import amount

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
    table = [_table(space)] if space.areas else []
    said = f"{amount(space.mapped_bytes)} in {len(space.areas)} area{'s' if len(space.areas) != 1 else ''}."
    return [Line(said), Picture(address_map(space.regime, space.found), [*table, Facts(rows)])]


def _table(space: Space) -> Table:
    listed = space.areas[:AREAS]
    levels = sorted({el for area in listed for el in area.run.attributes.rights}, reverse=True)
    two = any(area.run.ipa is not None for area in listed)
    headers = ["from", "to", "size", "of", *(["IPA"] if two else []), "PA", *(f"EL{el}" for el in levels)]
    rows: list[Sequence[Text]] = []
    for area in listed:
        run = area.run
        row: list[Text] = [f"{area.first:#018x}", f"{area.last:#018x}", size(area.size_bytes), _sizes(area)]
        row += ["" if run.ipa is None else f"{run.ipa:#x}"] if two else []
        row.append(_place(area))
        row += [str(run.attributes.rights.get(el, "")) for el in levels]
        rows.append([*row, run.attributes.memory, _state(area)])
    return Table([*headers, "memory", "state"], rows, frozenset((2, 3)), spare=("to",), coded=("memory",))


def _sizes(area: Area) -> str:
    return " ".join(size(leaf) for leaf in sorted(area.leaves, reverse=True))


def _place(area: Area) -> str:
    output = "-" if area.run.output is None else f"{area.run.output:#x}"
    return output if area.places == 1 else f"{area.places} places"


def _state(area: Area) -> Text:
    """Say of an area what `map` says of a run; of what only some of it is, how much."""
    attributes, fault = area.run.attributes, area.run.fault
    inner = "Inner" in attributes.shareability or "Normal" not in attributes.memory
    words = [] if inner else [attributes.shareability]
    for what, part in (("unaccessed", area.unaccessed_bytes), ("dirty", area.dirty_bytes)):
        if part:
            words.append(what if part == area.size_bytes else f"{amount(part)} {what}")
    words += [] if attributes.is_global else ["nG"]
    words += ["guarded"] if attributes.guarded else []
    words += ["all one page"] if area.repeats else []
    if fault is not None and fault.kind is not FaultKind.ACCESS_FLAG:
        said = soft_text(fault) if area.run.kind.soft_invalid else fault_name(fault)
        return [", ".join([*words, ""]), Span(said, Role.BAD)]
    return ", ".join(words)


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
        "areas": [_area_record(area) for area in space.areas[:AREAS]],
        "omitted": space.omitted,
        "unreadable": [map.hole_record(hole) for hole in space.unreadable],
    }


def _area_record(area: Area) -> JsonObject:
    run = area.run
    attributes = attributes_record(run.attributes)
    shared = ("memory", "shareability", "rights", "global", "guarded", "non_secure")
    return {
        "first": hexadecimal(area.first),
        "last": hexadecimal(area.last),
        "size": area.size_bytes,
        "leaves": {str(leaf): count for leaf, count in sorted(area.leaves.items())},
        "ipa": optional_hexadecimal(run.ipa),
        "output": optional_hexadecimal(run.output),
        "places": area.places,
        "repeats": area.repeats,
        "unaccessed": area.unaccessed_bytes,
        "dirty": area.dirty_bytes,
        "attributes": {name: attributes[name] for name in shared},
    }


def _found(answer: Report) -> bool:
    """Say whether there is a fault on the page, as the commands that it asked have it."""
    faults = [] if isinstance(answer.fault, Missing) else [answer.fault]
    walked = [] if isinstance(answer.walked, Missing) else answer.walked
    return any(looking.FAULT.finding(each) for each in faults) or any(looking.WALK.finding(each) for each in walked)


IMPLEMENTATION = Implementation(run=run, view=view, record=record, finding=_found)
