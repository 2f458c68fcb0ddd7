"""`tlbi`: TLB maintenance by instructions that the guest itself has."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.borrowing import Extent, Scope
from gdbtools.commands import maintenance
from gdbtools.commands.model import Argument, Command, Kind, Session
from gdbtools.render.document import Document, Facts, Line, Role, Span
from gdbtools.render.json import JsonObject
from gdbtools.repair import tlb
from gdbtools.repair.tlb import Invalidation


@dataclass(frozen=True)
class Invalidated:
    """What was, or would be, invalidated and by what."""

    invalidation: Invalidation
    applied: bool


def run(session: Session, options: Namespace) -> Sequence[Invalidated]:
    scope = Scope(Extent.ALL) if options.what is None else options.what
    planned = tlb.plan(session.machine, (scope,))
    if not options.dry_run:
        tlb.perform(session.machine, session.live, planned)
    return (Invalidated(planned, not options.dry_run),)


def view(answer: Invalidated) -> Document:
    done = Span("Invalidated", Role.GOOD) if answer.applied else Span("Would invalidate", Role.WARNING)
    head = Line([done, f" {maintenance.scopes_text(answer.invalidation.scopes)} in the TLB."])
    return Document([head, Facts(maintenance.borrowed_rows(answer.invalidation, answer.applied))])


def record(answer: Invalidated) -> JsonObject:
    found = maintenance.invalidation_record(answer.invalidation)
    assert found is not None, "there is an invalidation"
    return {**found, "applied": answer.applied}


COMMAND = Command(
    name="tlbi",
    summary="Invalidate an address, an ASID or everything in the TLB",
    description=(
        "Borrow the guest's own DSB, TLBI and ISB: find them in what this CPU may execute, put the operand into the\n"
        "register that the instruction names, step that one instruction on this CPU only, and put every register\n"
        "back. One that is broadcast reaches the TLBs of the other CPUs. Is refused where the guest has none."
    ),
    arguments=(
        Argument("what", "what is to be invalidated (default: all)", Kind.SCOPE, many="?"),
        maintenance.DRY_RUN,
    ),
    run=run,
    view=view,
    record=record,
    live_only=True,
    changes_guest=True,
)
