"""How the answers of `watch` look, and what is recorded of them."""

from __future__ import annotations

from gdbtools.commands.evidence import word_text
from gdbtools.commands.spaces import space_rows
from gdbtools.commands.watch.run import Watched
from gdbtools.render.document import Document, Facts, Line, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal


def view(answer: Watched) -> Document:
    step = answer.step
    does = "stopping" if answer.stops else "going on"
    what = f"the level {step.level.number} descriptor of {answer.va:#x}, at PA {step.pa:#x}"
    said = f"Watching {what}; {does} at each change:"
    rows = [(str(number), f"{va:#x}") for number, va in answer.places]
    now: list[tuple[str, Text]] = [("now", f"{step.entry.word.padded}  {word_text(step.entry.word)}")]
    facts = Facts([*now, *space_rows(answer.isolation, answer.space)])
    return Document([Line(said), Table(("number", "watched at"), rows, frozenset((0,))), facts])


def record(answer: Watched) -> JsonObject:
    return {
        "address": hexadecimal(answer.va),
        "level": answer.step.level.number,
        "descriptor_address": hexadecimal(answer.step.pa),
        "descriptor": hexadecimal(answer.step.entry.word),
        "watchpoints": [{"number": number, "address": hexadecimal(va)} for number, va in answer.places],
        "stops": answer.stops,
        "space": answer.space,
    }
