"""How the answers of `pte` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.gadgets import FieldChange, Need
from gdbtools.arch.model import EntryKind
from gdbtools.bits import Word
from gdbtools.commands import maintenance
from gdbtools.commands.evidence import word_text
from gdbtools.commands.maintenance import need_text
from gdbtools.commands.pte import bare_descriptor
from gdbtools.commands.pte.bare_descriptor import Bare
from gdbtools.commands.pte.run import Rewrite
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.repair.descriptor import DescriptorPlan
from gdbtools.wording import name_of

_ROLES = {Need.NOTHING: Role.GOOD, Need.INVALIDATION: Role.PLAIN, Need.BREAK: Role.WARNING}


def view(answer: Rewrite | Bare) -> Document:
    if isinstance(answer, Bare):
        return bare_descriptor.view(answer)
    plan, change = answer.plan, answer.plan.change
    done = Span("Changed", Role.GOOD) if answer.applied else Span("Would change", Role.WARNING)
    head = Line([done, f" the level {plan.step.level.number} descriptor at PA {change.pa:#x} of {plan.walk.input:#x}."])
    table = Table(
        ("field", "before", "after", "on a live entry", "because"),
        [_row(each, answer.invalidation_name) for each in plan.fields],
    )
    rows: list[tuple[str, Text]] = [
        ("before", f"{change.before.padded}  {_says(plan, change.before)}"),
        ("after", f"{change.after.padded}  {_says(plan, change.after)}"),
        *maintenance.tlb_rows(answer.way, plan.need, answer.invalidation, answer.applied, answer.lent_here),
    ]
    if plan.opens:
        rows.append(("warning", Span("what only the privileged might access becomes the user's", Role.WARNING)))
    if answer.applied:
        rows.append(maintenance.UNDO)
    return Document([head, table, Facts(rows)])


def _says(plan: DescriptorPlan, word: Word) -> str:
    """Return what a descriptor says where it stands: of one that hardware ignores no more than that."""
    regime = plan.walk.regime
    entry = regime.decode(int(word).to_bytes(regime.entry_bytes, regime.byte_order), plan.step.level)
    if entry.kind is not EntryKind.INVALID or entry.cause is None:
        return word_text(entry.word)
    return entry.cause.sentence


def _row(each: FieldChange, invalidation: str) -> Sequence[Text]:
    values = [_value(each.width, value) for value in (each.before, each.after)]
    return (Span(each.name, Role.NAME), *values, Span(need_text(each.need, invalidation), _ROLES[each.need]), each.why)


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
