"""How the answers of `tlbi` look, and what is recorded of them."""

from __future__ import annotations

from typing import Final

from gdbtools.commands import maintenance
from gdbtools.commands.tlbi.run import Invalidated
from gdbtools.render.document import Document, Facts, Line, Role, Span
from gdbtools.render.json import JsonObject


def view(answer: Invalidated) -> Document:
    planned = answer.invalidation
    if planned is None:
        done = Span("Emptied", Role.GOOD) if answer.applied else Span("Would empty", Role.WARNING)
        return Document([Line([done, " the TLBs of every CPU, by QEMU itself: nothing was borrowed."])])
    what = maintenance.scopes_text(planned)
    if planned.complete:
        done = Span("Invalidated", Role.GOOD) if answer.applied else Span("Would invalidate", Role.WARNING)
        head = Line([done, f" {what} in the TLB."])
    else:
        done = Span("Executed" if answer.applied else "Would execute", Role.WARNING)
        head = Line([done, f" a {planned.name} for {what} without a {planned.unfinished}: it may not be complete."])
    return Document([head, Facts(maintenance.borrowed_rows(planned, answer.applied))])


def record(answer: Invalidated) -> JsonObject:
    found = maintenance.invalidation_record(answer.invalidation) or _EVERYTHING
    return {**found, "applied": answer.applied}


_EVERYTHING: Final[JsonObject] = {
    "scopes": [{"extent": "all", "value": None}],
    "borrowed": [],
    "wider": False,
    "local": False,
    "lacking": [],
}
