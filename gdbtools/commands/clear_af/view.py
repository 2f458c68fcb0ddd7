"""How the answers of `clear-af` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from gdbtools.arch.gadgets import Need
from gdbtools.commands import maintenance
from gdbtools.commands.clear_af.run import Cleared
from gdbtools.commands.evidence import word_text
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.repair.clear_access_flag import ClearPlan
from gdbtools.repair.log import Way
from gdbtools.wording import number_of

SHOWN = 8


def view(answer: Cleared) -> Document:
    plan = answer.plan
    count = len(plan.changes)
    done = Span("Cleared", Role.GOOD) if answer.applied else Span("Would clear", Role.WARNING)
    leaves = number_of(count, "leaf", "leaves")
    already = f"; of {plan.already} more it was clear" if plan.already else ""
    head = Line([done, f" the access flag of {leaves}{already}."])
    rows: list[Sequence[Text]] = [
        (f"{each.address:#x}", f"{each.pa:#x}", each.after.padded, word_text(each.after))
        for each in plan.changes[:SHOWN]
    ]
    if count > SHOWN:
        rows.append(("...", "", "", ""))
    facts: list[tuple[str, Text]] = [("set again", _setter(answer))]
    facts += _kept(plan)
    way = Way.WRITE if answer.invalidation is None else Way.INVALIDATE
    facts += maintenance.tlb_rows(way, Need.INVALIDATION, answer.invalidation, answer.applied, answer.lent_here)
    facts += [("hole", Span(f"the table at PA {hole.pa:#x}: {hole.why}", Role.WARNING)) for hole in plan.holes]
    facts += [maintenance.UNDO] if answer.applied else []
    return Document([head, Table(("from", "at PA", "descriptor", "says"), rows), Facts(facts)])


def _setter(answer: Cleared) -> Text:
    """Return who sets the flags again, as far as that is known of any guest."""
    plan = answer.plan
    if plan.by_hardware:
        return f"by hardware, and nobody faults ({plan.control})"
    said = "by `mmu service`, once it runs; by the guest only if it has a handler, which is not known here"
    return [Span(said, Role.WARNING), f" ({answer.habits})" if answer.habits else ""]


def _kept(plan: ClearPlan) -> list[tuple[str, Text]]:
    """Return which leaves keep their flags: those next to one another, for one reason, on a line."""
    rows: list[tuple[str, Text]] = []
    for why, together in groupby(sorted(plan.spared.items()), lambda each: each[1]):
        addresses = [address for address, _ in together]
        count = "" if len(addresses) == 1 else f" and {len(addresses) - 1} more leaves"
        rows.append(("" if rows else "left out", f"{addresses[0]:#x}{count}: {why}; its fault would lose an exception"))
    return rows


def record(answer: Cleared) -> JsonObject:
    return {
        "first": hexadecimal(answer.first),
        "size": answer.size_bytes,
        "changes": [
            {
                "input": hexadecimal(each.address or 0),
                "descriptor_address": hexadecimal(each.pa),
                "before": hexadecimal(each.before),
                "after": hexadecimal(each.after),
            }
            for each in answer.plan.changes
        ],
        "already_clear": answer.plan.already,
        "holes": [hexadecimal(hole.pa) for hole in answer.plan.holes],
        "by_hardware": answer.plan.by_hardware,
        "spared": {hexadecimal(address): why for address, why in answer.plan.spared.items()},
        "invalidation": maintenance.invalidation_record(answer.invalidation),
        "applied": answer.applied,
    }
