"""`catch`: stop on faults of one kind, at the exception vectors, and let everything else run on unseen."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.render.document import Document, Line, Role, Span, Table
from gdbtools.render.json import JsonObject, hexadecimal


@dataclass(frozen=True)
class Caught:
    """What was set: (breakpoint number, address, vector entry) of each."""

    kind: str
    places: Sequence[tuple[int, int, str]]


def run(session: Session, options: Namespace) -> Sequence[Caught]:
    return (Caught(options.kind, session.live.catch(options.kind)),)


def view(answer: Caught) -> Document:
    kind = "MMU" if answer.kind == "any" else answer.kind
    rows = [(str(number), f"{address:#x}", entry) for number, address, entry in answer.places]
    headline = Line(["Catching ", Span(f"{kind} faults", Role.HEADING), "; deleting one of these deletes all:"])
    return Document([headline, Table(("number", "vector", "entry"), rows, frozenset((0,)))])


def record(answer: Caught) -> JsonObject:
    places = [{"number": n, "address": hexadecimal(address), "entry": entry} for n, address, entry in answer.places]
    return {"kind": answer.kind, "breakpoints": places}


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
