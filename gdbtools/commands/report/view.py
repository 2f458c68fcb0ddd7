"""How the answers of `report` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gdbtools.commands.explain import view as explain_view
from gdbtools.commands.fault import view as fault_view
from gdbtools.commands.map import view as map_view
from gdbtools.commands.map.area_table import area_record, area_table
from gdbtools.commands.pictures import address_map
from gdbtools.commands.regs import run as regs_run
from gdbtools.commands.regs import view as regs_view
from gdbtools.commands.report.run import AREAS, Missing, Report, Space
from gdbtools.commands.spaces import KERNEL
from gdbtools.commands.status import view as status_view
from gdbtools.commands.walk import view as walk_view
from gdbtools.render.document import Block, Document, Facts, Line, Picture, Role, Section, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import amount, number_of


def view(answer: Report) -> Document:
    blocks: list[Block] = []
    walked: list[Block] = []
    if answer.log is not None:
        # What is read of its crash, the walk with it, is what the log itself leads to.
        blocks += explain_view.view(answer.log).blocks
    elif isinstance(answer.fault, Missing):
        blocks.append(Line([Span("No fault can be told:", Role.WARNING), f" {answer.fault.why}"]))
    else:
        verdict, facts, *walked = fault_view.view(answer.fault).blocks
        blocks += [verdict, facts]
    if isinstance(answer.walked, Missing):
        walked.append(_missing(answer.walked))
    else:
        walked += [block for each in answer.walked for block in walk_view.view(each).blocks]
    blocks += [Section("The walk", walked)] if walked else []
    blocks.append(Section("The address space", _space_blocks(answer.spaces)))
    blocks.append(Section("The registers", _register_blocks(answer.registers)))
    blocks.append(Section("The source", status_view.view(answer.status).blocks))
    return Document(blocks, f"gdbtools report of {'a live guest' if answer.live else answer.status.memory}")


def _missing(part: Missing) -> Line:
    return Line(Span(part.why, Role.WARNING))


def _register_blocks(registers: Sequence[regs_run.Register] | Missing) -> list[Block]:
    if isinstance(registers, Missing):
        return [_missing(registers)]
    return [block for each in registers for block in regs_view.view(each).blocks]


def _space_blocks(found: Sequence[Space] | Missing) -> list[Block]:
    if isinstance(found, Missing):
        return [_missing(found)]
    return [Section(_named(space), _one_space(space)) for space in found]


def _named(space: Space) -> str:
    return f"{space.regime.name} (kernel)" if space.space == KERNEL else space.regime.name


def _one_space(space: Space) -> list[Block]:
    if not space.found:
        return [Line("Nothing is mapped.")]
    rows: list[tuple[str, Text]] = [("unreadable", map_view.hole_text(hole)) for hole in space.unreadable]
    if space.omitted:
        rows.append(("left out", f"{space.omitted} more areas: `map` lists everything"))
    between = space.regime.below.input_label if space.regime.below else ""
    table = [area_table(space.areas[:AREAS], between)] if space.areas else []
    said = f"{amount(space.mapped_bytes)} in {number_of(len(space.areas), 'area')}."
    return [Line(said), Picture(partial(address_map, space.regime, space.found), [*table, Facts(rows)])]


def record(answer: Report) -> JsonObject:
    def part(found: Any, each: Any) -> object:
        return {"missing": found.why} if isinstance(found, Missing) else [each(one) for one in found]

    faulted = answer.fault
    log = {} if answer.log is None else {"log": explain_view.record(answer.log)}
    return {
        **log,
        "status": status_view.record(answer.status),
        "fault": {"missing": faulted.why} if isinstance(faulted, Missing) else fault_view.record(faulted),
        "walked": part(answer.walked, walk_view.record),
        "regimes": part(answer.spaces, _space_record),
        "registers": part(answer.registers, regs_view.record),
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
        "unreadable": [map_view.hole_record(hole) for hole in space.unreadable],
    }
