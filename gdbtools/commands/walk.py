"""`walk`: every descriptor on the way of an address, and where it leads or why it does not."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import Access, AccessKind, Refusal, Walk
from gdbtools.arch.walk import walk
from gdbtools.commands.evidence import (
    access_name,
    evidence,
    fault_name,
    reason_text,
    size,
    walk_record,
)
from gdbtools.commands.model import Argument, Command, Kind, Session
from gdbtools.render.document import Document, Line, Role, Span
from gdbtools.render.json import JsonObject, name_of

_ACCESSES = {"read": AccessKind.READ, "write": AccessKind.WRITE, "execute": AccessKind.EXECUTE}


@dataclass(frozen=True)
class Translation:
    """One address walked and, if an access was asked about, checked: `refused` is the walk's or the check's."""

    walk: Walk
    architecture: Architecture
    access: Access | None
    refused: Refusal | None


def run(session: Session, options: Namespace) -> Sequence[Translation]:
    machine = session.machine
    architecture = machine.architecture
    access = None
    if options.access or options.el is not None:
        kind = _ACCESSES[options.access or "read"]
        access = Access(kind, architecture.level(machine.register) if options.el is None else int(options.el))
    answers: list[Translation] = []
    for address in options.address:
        found = walk(architecture.regime_for(machine.register, address), address, machine.memory.read)
        refused = found.refusal
        if access is not None:
            refused = architecture.check(found, access, architecture.state(machine.register))
        answers.append(Translation(found, architecture, access, refused))
    return answers


def view(answer: Translation) -> Document:
    found = answer.walk
    who = f" ({access_name(answer.access)})" if answer.access else ""
    if answer.refused is not None:
        name = fault_name(answer.refused.fault)
        headline = Line([f"{found.input:#x}{who}: ", Span(name, Role.BAD)])
        return Document([headline, Line(reason_text(answer.refused)), *evidence(found)])
    destination = found.destination
    assert destination is not None, "a walk that nothing refuses has a destination"
    allowed = f"{access_name(answer.access)} allowed, " if answer.access else ""
    leaf = f"{size(destination.size_bytes)} {found.leaf.entry.kind.label}" if found.leaf else "the MMU is off"
    target = Span(f"{destination.address:#x}", Role.GOOD)
    return Document([Line([f"{found.input:#x} -> ", target, f" ({allowed}{leaf})"]), *evidence(found)])


def record(answer: Translation) -> JsonObject:
    result = walk_record(answer.walk, answer.architecture, answer.refused)
    if answer.access:
        result["access"] = {"kind": name_of(answer.access.kind), "el": answer.access.el}
    return result


COMMAND = Command(
    name="walk",
    summary="Walk the translation tables for addresses",
    description=(
        "Show every descriptor on the way, where each was read and what it says, and the output address or the reason\n"
        "that there is none. With --access or --el it also answers whether that access may happen."
    ),
    arguments=(
        Argument("address", "virtual address: an expression of the face you are in", Kind.ADDRESS, many="+"),
        Argument("--access", "ask whether this access may happen", Kind.CHOICE, ("read", "write", "execute")),
        Argument("--el", "the exception level that asks (default: the CPU's own)", Kind.CHOICE, ("0", "1")),
    ),
    run=run,
    view=view,
    record=record,
    finding=lambda answer: answer.refused is not None,
)
