"""How the answers of `catch` look, and what is recorded of them."""

from __future__ import annotations

from gdbtools.commands.catch.run import Caught
from gdbtools.render.document import Document, Line, Role, Span, Table
from gdbtools.render.json import JsonObject, hexadecimal


def view(answer: Caught) -> Document:
    caught = Span(answer.said, Role.HEADING)
    if answer.already:
        numbers = ", ".join(str(number) for number, _, _ in answer.places)
        return Document([Line(["Already catching ", caught, f", by the breakpoints {numbers}."])])
    two = any(address not in answer.in_force for _, address, _ in answer.places)
    rows = [
        (str(number), f"{address:#x}", entry, *([_space(address in answer.in_force)] if two else []))
        for number, address, entry in answer.places
    ]
    headers = "number", "vector", "entry", *(["vectors"] if two else [])
    headline = Line(["Catching ", caught, "; deleting one of these deletes all:"])
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
    wanted = answer.wanted
    said: JsonObject = {"kind": wanted.kind, "regime": wanted.regime, "breakpoints": places}
    said |= {} if wanted.access is None else {"access": wanted.access}
    return said if wanted.privilege is None else said | {"privilege": wanted.privilege}
