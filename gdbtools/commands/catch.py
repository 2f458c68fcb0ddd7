"""`catch`: stop on faults of one kind, at the exception vectors, and let everything else run on unseen."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gdbtools.commands.model import Implementation
from gdbtools.commands.session import Session
from gdbtools.render.document import Document, Line, Role, Span, Table
from gdbtools.render.json import JsonObject, hexadecimal


@dataclass(frozen=True)
class Caught:
    """What was set: (breakpoint number, address, vector entry) of each; `in_force` are the addresses of VBAR's own."""

    kind: str
    regime: str | None
    places: Sequence[tuple[int, int, str]]
    in_force: Collection[int]


def run(session: Session, options: Namespace) -> Sequence[Caught]:
    if options.regime is not None:
        places = session.live.catch(options.kind, options.regime)
        return (Caught(options.kind, options.regime, places, frozenset(address for _, address, _ in places)),)
    in_force = frozenset(session.machine.architecture.exceptions.vectors(session.machine.register))
    return (Caught(options.kind, None, session.live.catch(options.kind), in_force),)


def view(answer: Caught) -> Document:
    kind = "MMU" if answer.kind == "any" else answer.kind
    two = any(address not in answer.in_force for _, address, _ in answer.places)
    rows = [
        (str(number), f"{address:#x}", entry, *([_space(address in answer.in_force)] if two else []))
        for number, address, entry in answer.places
    ]
    headers = "number", "vector", "entry", *(["vectors"] if two else [])
    of = "" if answer.regime is None else f" of {answer.regime}"
    headline = Line(["Catching ", Span(f"{kind} faults{of}", Role.HEADING), "; deleting one of these deletes all:"])
    return Document([headline, Table(headers, rows, frozenset((0,)))])


def _space(in_force: bool) -> str:
    return "in force" if in_force else "of another space or CPU"


def record(answer: Caught) -> JsonObject:
    places = [
        {
            "number": number,
            "address": hexadecimal(address),
            "entry": entry,
            "in_force": address in answer.in_force,
        }
        for number, address, entry in answer.places
    ]
    return {"kind": answer.kind, "regime": answer.regime, "breakpoints": places}


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
