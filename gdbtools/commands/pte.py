"""`pte`: change fields of a descriptor in the live tables, in a way that is safe for what they are; or decode one.

Which of the two it is, is plain from the words: without FIELD=VALUE nothing is read and nothing is changed.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.commands import bare_descriptor, maintenance
from gdbtools.commands.bare_descriptor import Bare
from gdbtools.commands.evidence import word_text
from gdbtools.commands.maintenance import NEEDS
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.repair import descriptor
from gdbtools.repair.descriptor import Plan
from gdbtools.repair.log import Repair, Way
from gdbtools.repair.tlb import Invalidation
from gdbtools.wording import name_of

_ROLES = {Need.NOTHING: Role.GOOD, Need.INVALIDATION: Role.PLAIN, Need.BREAK: Role.WARNING}


@dataclass(frozen=True)
class Rewrite:
    """A plan, the way it is made, what of the guest's code that borrows, and whether it was done."""

    plan: Plan
    way: Way
    invalidation: Invalidation | None
    applied: bool


def run(session: Session, options: Namespace) -> Sequence[Rewrite | Bare]:
    """Plan everything before anything is written, so that a refusal leaves the guest as it was."""
    machine = session.machine
    if not options.change:
        return (bare_descriptor.decode(machine.architecture, options),)
    for name in bare_descriptor.OF_VALUES:
        if getattr(options, name):
            raise UsageError(f"--{name} is of a value to decode, and this changes a descriptor; write pte VALUE")
    planned = descriptor.plan(machine, options.address, options.change, options.regime, options.level)
    way = maintenance.way_of(options)
    repair = Repair("pte", (planned.change,), way)
    if not options.dry_run:
        needing = [each for each in planned.fields if each.need is Need.BREAK]
        why = ", ".join(f"{each.name} ({each.why})" for each in needing)
        maintenance.check_way(planned.need, way, options, why)
    invalidation = descriptor.invalidation(machine, repair)
    if options.dry_run:
        return (Rewrite(planned, way, invalidation, False),)
    descriptor.make(machine, session.live, session.written, repair, invalidation)
    return (Rewrite(planned, way, invalidation, True),)


def view(answer: Rewrite | Bare) -> Document:
    if isinstance(answer, Bare):
        return bare_descriptor.view(answer)
    plan, change = answer.plan, answer.plan.change
    done = Span("Changed", Role.GOOD) if answer.applied else Span("Would change", Role.WARNING)
    head = Line([done, f" the level {plan.step.level.number} descriptor at PA {change.pa:#x} of {plan.walk.input:#x}."])
    table = Table(("field", "before", "after", "on a live entry", "because"), [_row(each) for each in plan.fields])
    rows: list[tuple[str, Text]] = [
        ("before", f"{int(change.before):#018x}  {word_text(change.before)}"),
        ("after", f"{int(change.after):#018x}  {word_text(change.after)}"),
        *maintenance.tlb_rows(answer.way, plan.need, answer.invalidation, answer.applied),
    ]
    if answer.applied:
        rows.append(("undo", "mmu undo"))
    return Document([head, table, Facts(rows)])


def _row(each: FieldChange) -> Sequence[Text]:
    values = [_value(each.width, value) for value in (each.before, each.after)]
    return (Span(each.name, Role.NAME), *values, Span(NEEDS[each.need], _ROLES[each.need]), each.why)


def _value(width: int, value: int) -> str:
    return str(value) if width == 1 else f"{value:#0{width + 2}b}" if width <= 6 else f"{value:#x}"


def record(answer: Rewrite | Bare) -> JsonObject:
    if isinstance(answer, Bare):
        return bare_descriptor.record(answer)
    change = answer.plan.change
    return {
        "input": hexadecimal(answer.plan.walk.input),
        "descriptor_address": hexadecimal(change.pa),
        "level": answer.plan.step.level.number,
        "before": hexadecimal(change.before),
        "after": hexadecimal(change.after),
        "fields": [
            {
                "field": each.name,
                "before": hexadecimal(each.before),
                "after": hexadecimal(each.after),
                "need": name_of(each.need),
                "why": each.why,
            }
            for each in answer.plan.fields
        ],
        "need": name_of(answer.plan.need),
        "way": name_of(answer.way),
        "invalidation": maintenance.invalidation_record(answer.invalidation),
        "applied": answer.applied,
    }


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
