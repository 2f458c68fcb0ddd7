"""`undo`: take back what was written to the guest's tables, the last repair first."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.gadgets import Need
from gdbtools.commands import maintenance
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.errors import UsageError
from gdbtools.machine.model import Machine
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject
from gdbtools.repair import descriptor
from gdbtools.repair.log import Repair, Way
from gdbtools.wording import name_of, number_of

SHOWN = 8
"""How many descriptors of one repair are listed."""


@dataclass(frozen=True)
class Undone:
    """One repair that was, or would be, taken back, what that needs of the TLB, and how many are left."""

    repair: Repair
    need: Need
    applied: bool
    left: int


def run(session: Session, options: Namespace) -> Sequence[Undone]:
    machine, log = session.machine, session.written
    count = len(log.repairs) if options.all else 1 if options.count is None else options.count
    if count < 1 and log.repairs:
        raise UsageError("give a number of repairs from 1 on")
    if options.dry_run:
        back: Sequence[Repair] = log.repairs[::-1][:count]
        descriptor.check_undo(machine, back)
    else:
        back = descriptor.undo(machine, session.live, log, count)
    left = len(log.repairs) - (len(back) if options.dry_run else 0)
    return tuple(Undone(repair, _need(machine, repair), not options.dry_run, left) for repair in back)


def _need(machine: Machine, repair: Repair) -> Need:
    architecture: Architecture = machine.architecture
    changes = [
        each
        for change in repair.changes
        for each in architecture.repair.changes(change.after, change.before, True, machine.register)
    ]
    return descriptor.greatest(changes)


def view(answer: Undone) -> Document:
    repair = answer.repair
    done = Span("Took back", Role.GOOD) if answer.applied else Span("Would take back", Role.WARNING)
    count = len(repair.changes)
    head = Line([done, f" `{repair.what}`: {number_of(count, 'descriptor')}."])
    rows: list[Sequence[Text]] = [
        (f"{each.pa:#x}", f"{int(each.after):#018x}", f"{int(each.before):#018x}")
        for each in list(reversed(repair.changes))[:SHOWN]
    ]
    if count > SHOWN:
        rows.append(("...", "", ""))
    facts: list[tuple[str, Text]] = [("TLB", _tlb_text(answer))]
    facts.append(("left", f"{answer.left} more to undo" if answer.left else "nothing more to undo"))
    return Document([head, Table(("at PA", "was", "is" if answer.applied else "would be"), rows), Facts(facts)])


def _tlb_text(answer: Undone) -> Text:
    if answer.repair.way is not Way.WRITE:
        how = "by break-before-make" if answer.repair.way is Way.BREAK else "invalidated after the write"
        return f"{how}, as it was made"
    if answer.need is Need.NOTHING:
        return "no maintenance is needed"
    return Span("may go on with the old: `mmu tlbi`", Role.WARNING)


def record(answer: Undone) -> JsonObject:
    return {
        **maintenance.repair_record(answer.repair),
        "need": name_of(answer.need),
        "applied": answer.applied,
        "left": answer.left,
    }


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
