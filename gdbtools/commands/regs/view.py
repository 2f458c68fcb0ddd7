"""How the answers of `regs` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.bits import FieldValue
from gdbtools.commands.evidence import binary, word_record
from gdbtools.commands.pictures import word_picture
from gdbtools.commands.regs.run import Register
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal


def documents(answers: Sequence[Register]) -> Sequence[Document]:
    """Show an overview as one table, anything else one by one."""
    if not any(each.brief is not None for each in answers):
        return [view(each) for each in answers]
    chosen = sorted((each for each in answers if each.place is not None), key=lambda each: each.place or 0)
    rows = [_row(each) for each in chosen]
    hidden = len(answers) - len(rows)
    more = f" and {hidden} more" if hidden else ""
    last = Line([Span(f"`regs NAME` explains every field of one, `regs --all` of these{more}.", Role.QUIET)])
    return [Document([Table(("register", "value", "says"), rows), last])]


def _row(each: Register) -> Sequence[Text]:
    assert each.word is not None, "an answer has a value"
    return (Span(each.name, Role.HEADING), each.word.padded, each.brief or "")


def view(answer: Register) -> Document:
    assert answer.word is not None, "an answer has a value"
    if answer.one is not None:
        return Document([_field_line(answer.name, answer.one)])
    title = (type(answer.word).__doc__ or "").strip().splitlines()[0].split(":")[0].rstrip(".")
    head = Line([Span(answer.name, Role.HEADING), f" = {answer.word.padded}  ", Span(title, Role.QUIET)])
    blocks: list[Block] = [head]
    if answer.notes:
        blocks.append(Facts([("note", note) for note in answer.notes]))
    return Document([*blocks, word_picture(answer.word, answer.name)])


def _field_line(name: str, each: FieldValue) -> Line:
    meaning = f"{each.field.doc}: {each.meaning}" if each.meaning else each.field.doc
    bit = Span(f"{name}.{each.field.name} {each.field.position}", Role.HEADING)
    return Line([bit, f" = {binary(each)}  ", Span(meaning, Role.QUIET)])


def record(answer: Register) -> JsonObject:
    assert answer.word is not None, "an answer has a value"
    fields = word_record(answer.word)
    if answer.one is not None:
        fields = {answer.one.field.name: fields[answer.one.field.name]}
    return {"name": answer.name, "value": hexadecimal(answer.word), "fields": fields}
