"""`esr`: a syndrome, decoded."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import Syndrome
from gdbtools.commands.evidence import fault_name, fault_record, word_record, word_rows
from gdbtools.commands.model import Argument, Command, Kind, Session
from gdbtools.render.document import Block, Document, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal, name_of


@dataclass(frozen=True)
class Decoded:
    """A syndrome and the architecture that decoded it."""

    syndrome: Syndrome
    architecture: Architecture


def run(session: Session, options: Namespace) -> Sequence[Decoded]:
    machine = session.machine
    if options.value is not None:
        return (Decoded(machine.architecture.decode_syndrome(options.value), machine.architecture),)
    return (Decoded(machine.exception().syndrome, machine.architecture),)


def sentence(syndrome: Syndrome) -> list[str | Span]:
    """Say a syndrome in one line: its class, and the fault with what was wanted."""
    said: list[str | Span] = [Span(syndrome.name, Role.HEADING)]
    if syndrome.fault is not None and syndrome.access_kind is not None:
        said += [": ", Span(fault_name(syndrome.fault), Role.BAD), f", {syndrome.access_kind.label}"]
    return said


def view(answer: Decoded) -> Document:
    syndrome = answer.syndrome
    blocks: list[Block] = [Line([f"{int(syndrome.word):#x}: ", *sentence(syndrome)])]
    rows: list[Sequence[Text]] = word_rows(syndrome.word)
    blocks.append(Table(("bits", "field", "value", "meaning"), rows, frozenset((2,))))
    return Document(blocks)


def syndrome_record(syndrome: Syndrome, architecture: Architecture) -> JsonObject:
    """Record a syndrome: the value, its fields, and what follows from them."""
    fault = syndrome.fault
    return {
        "value": hexadecimal(syndrome.word),
        "class": syndrome.name,
        "fault": None if fault is None else {**fault_record(fault, architecture), "s1ptw": syndrome.s1ptw},
        "access": None if syndrome.access_kind is None else name_of(syndrome.access_kind),
        "far_valid": syndrome.address_valid,
        "fields": word_record(syndrome.word),
    }


COMMAND = Command(
    name="esr",
    summary="Decode an exception syndrome",
    description="Decode a syndrome value, field by field; without a value, the one this CPU holds.",
    arguments=(Argument("value", "the syndrome (default: the current one)", Kind.ADDRESS, many="?"),),
    sourceless=lambda options: options.value is not None,
    run=run,
    view=view,
    record=lambda answer: syndrome_record(answer.syndrome, answer.architecture),
)
