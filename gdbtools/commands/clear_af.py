"""`clear-af`: clear the access flags of a range, so that whoever touches it next shows."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from gdbtools.arch.gadgets import Need
from gdbtools.commands import maintenance
from gdbtools.commands.evidence import word_text
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.errors import Refused
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.repair import clear_access_flag, descriptor
from gdbtools.repair.clear_access_flag import Plan
from gdbtools.repair.log import Repair, Way
from gdbtools.repair.tlb import Invalidation

SHOWN = 8
UPPER_HALF = 1 << 63


@dataclass(frozen=True)
class Cleared:
    """A plan, what of the guest's code it borrows, and whether it was done."""

    first: int
    size_bytes: int
    plan: Plan
    invalidation: Invalidation | None
    applied: bool


def run(session: Session, options: Namespace) -> Sequence[Cleared]:
    """Plan everything before anything is written, so that a refusal leaves the guest as it was."""
    machine, (first, size_bytes) = session.machine, options.range
    planned = clear_access_flag.plan(machine, (first, size_bytes), options.regime)
    if not planned.changes:
        clear = f"the access flags of {planned.already} leaves are clear already"
        why = clear if planned.already else "nothing is mapped there"
        raise Refused(f"nothing to clear from {first:#x}: {why}; `mmu map` lists what is")
    repair = Repair("clear-af", planned.changes, Way.INVALIDATE if options.tlbi else Way.WRITE)
    invalidation = descriptor.invalidation(machine, repair)
    if not options.dry_run:
        descriptor.make(machine, session.live, session.written, repair, invalidation)
    return (Cleared(first, size_bytes, planned, invalidation, not options.dry_run),)


def view(answer: Cleared) -> Document:
    plan = answer.plan
    count = len(plan.changes)
    done = Span("Cleared", Role.GOOD) if answer.applied else Span("Would clear", Role.WARNING)
    leaves = f"{count} {'leaf' if count == 1 else 'leaves'}"
    already = f"; of {plan.already} more it was clear" if plan.already else ""
    head = Line([done, f" the access flag of {leaves}{already}."])
    rows: list[Sequence[Text]] = [
        (f"{each.address:#x}", f"{each.pa:#x}", f"{int(each.after):#018x}", word_text(each.after))
        for each in plan.changes[:SHOWN]
    ]
    if count > SHOWN:
        rows.append(("...", "", "", ""))
    facts: list[tuple[str, Text]] = [("set again", _setter(plan))]
    facts += _kept(plan)
    way = Way.WRITE if answer.invalidation is None else Way.INVALIDATE
    facts += maintenance.tlb_rows(way, Need.INVALIDATION, answer.invalidation, answer.applied)
    facts += [("hole", Span(f"the table at PA {hole.pa:#x}: {hole.why}", Role.WARNING)) for hole in plan.holes]
    facts += [("undo", "mmu undo")] if answer.applied else []
    return Document([head, Table(("from", "at PA", "descriptor", "says"), rows), Facts(facts)])


def _setter(plan: Plan) -> Text:
    """Return who sets the flags again, as far as that is known of any guest."""
    if plan.by_hardware:
        return "by hardware, and nobody faults (TCR_ELx.HA)"
    if any((each.address or 0) & UPPER_HALF for each in plan.changes):
        habit = "Linux has a handler for user addresses, and dies of a kernel's"
    else:
        habit = "Linux has a handler for user addresses, OSv of before 2023 has none"
    said = "by `mmu service`, once it runs; by the guest only if it has a handler, which is not known here"
    return [Span(said, Role.WARNING), f" ({habit})"]


def _kept(plan: Plan) -> list[tuple[str, Text]]:
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


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
