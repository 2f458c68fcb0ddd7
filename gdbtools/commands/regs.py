"""`regs`: the translation and fault registers, every field named and explained."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.bits import Word
from gdbtools.commands.evidence import word_record
from gdbtools.commands.model import Implementation
from gdbtools.commands.pictures import word_picture
from gdbtools.commands.session import Session
from gdbtools.errors import Unavailable, UsageError
from gdbtools.render.document import Document, Line, Role, Span
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.spelling import did_you_mean


@dataclass(frozen=True)
class Register:
    """A register's value, decoded; `word` is None where this source does not have it, and `why` says so."""

    name: str
    word: Word | None
    why: str = ""


def run(session: Session, options: Namespace) -> Sequence[Register]:
    """Read the named registers, or all that are declared and present; one that was named must be there."""
    machine = session.machine
    declared = machine.architecture.registers
    if not options.name:
        found = [_read_or_why(session, name) for name in machine.architecture.principal]
        present = [each for each in found if each.word is not None]
        if not present:
            raise Unavailable(found[0].why)
        return present
    by_name = {name.lower(): name for name in declared}
    answers: list[Register] = []
    for name in options.name:
        known = by_name.get(name.lower()) or by_name.get(f"{name.lower()}_el1")
        if known is None:
            meant = did_you_mean(name, declared, "`regs --help` says how to name one", "_EL1")
            raise UsageError(f"{name} is not a register that is decoded here; {meant}")
        answers.append(_read(session, known))
    return answers


def _read(session: Session, name: str) -> Register:
    machine = session.machine
    return Register(name, machine.architecture.word(name, machine.register))


def _read_or_why(session: Session, name: str) -> Register:
    try:
        return _read(session, name)
    except Unavailable as missing:
        return Register(name, None, str(missing))


def view(answer: Register) -> Document:
    assert answer.word is not None, "an answer has a value"
    title = (type(answer.word).__doc__ or "").strip().splitlines()[0].split(":")[0].rstrip(".")
    head = Line([Span(answer.name, Role.HEADING), f" = {int(answer.word):#018x}  ", Span(title, Role.QUIET)])
    return Document([head, word_picture(answer.word, answer.name)])


def record(answer: Register) -> JsonObject:
    assert answer.word is not None, "an answer has a value"
    return {"name": answer.name, "value": hexadecimal(answer.word), "fields": word_record(answer.word)}


IMPLEMENTATION = Implementation(run=run, view=view, record=record)
