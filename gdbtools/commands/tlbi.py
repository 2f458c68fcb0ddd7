"""`tlbi`: TLB maintenance by instructions that the guest itself has."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.gadgets import Extent, Scope
from gdbtools.commands import maintenance
from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
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
    planned = answer.invalidation
    what = maintenance.scopes_text(planned.scopes)
    if planned.complete:
        done = Span("Invalidated", Role.GOOD) if answer.applied else Span("Would invalidate", Role.WARNING)
        head = Line([done, f" {what} in the TLB."])
    else:
        done = Span("Executed" if answer.applied else "Would execute", Role.WARNING)
        head = Line([done, f" a TLBI for {what} without a DSB: it may not be complete."])
    return Document([head, Facts(maintenance.borrowed_rows(planned, answer.applied))])


def record(answer: Invalidated) -> JsonObject:
    found = maintenance.invalidation_record(answer.invalidation)
    assert found is not None, "there is an invalidation"
    return {**found, "applied": answer.applied}


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
