"""How the answers of `who` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.commands.evidence import word_text
from gdbtools.commands.watch.run import changes, changes_text
from gdbtools.commands.who.run import Moved, WrittenAt
from gdbtools.render.document import Document, Facts, Line, Role, Span, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import number_of


def view(answer: WrittenAt | Moved) -> Document:
    if isinstance(answer, Moved):
        head = Line(f"After {number_of(answer.position, 'instruction')} of the recording.")
        return Document([head, Facts(_frame_rows("at", answer.frames))])
    where = f"the level {answer.step.level.number} descriptor at PA {answer.step.pa:#x}"
    now: tuple[str, Text] = ("now", f"{answer.after.word.padded}  {word_text(answer.after.word)}")
    if answer.interrupted:
        head = Line([Span("Interrupted", Role.WARNING), ": nothing is known; the guest is where it was."])
        return Document([head, Facts([now])])
    change = answer.change
    if change is None:
        since = f"since the beginning of the recording, {number_of(answer.asked_at, 'instruction')} ago."
        head = Line([Span("Nothing has changed", Role.WARNING), f" {where} {since}"])
        return Document([head, Facts([now, ("stands", "where it stood")])])
    what = changes_text(answer.before, answer.after)
    ago = answer.asked_at - change.position
    head = Line([Span(what, Role.WARNING), f" in {where}, by CPU {answer.cpu}, {number_of(ago, 'instruction')} ago."])
    rows: list[tuple[str, Text]] = [
        ("before", f"{answer.before.word.padded}  {word_text(answer.before.word)}"),
        ("after", f"{answer.after.word.padded}  {word_text(answer.after.word)}"),
    ]
    rows += _frame_rows("writer", answer.frames)
    if answer.by_hardware:
        rows.append(("by", "hardware, which walked the tables for an access of that instruction"))
    elif not change.seen:
        said = "no store to an address that was watched: a device, or another address of the descriptor"
        rows.append(("by", Span(said, Role.WARNING)))
    if change.silent:
        rows.append(("then", f"{change.silent} more writes, which changed nothing"))
    stands = "before that instruction: `stepi` executes it"
    rows += [("stands", stands), ("back", Span(f"mmu who --to {answer.asked_at}", Role.COMMAND))]
    return Document([head, Facts(rows)])


def _frame_rows(name: str, frames: Sequence[str]) -> list[tuple[str, Text]]:
    return [(name if not number else "", frame) for number, frame in enumerate(frames)]


def record(answer: WrittenAt | Moved) -> JsonObject:
    if isinstance(answer, Moved):
        return {"position": answer.position, "frames": list(answer.frames)}
    change = answer.change
    return {
        "address": hexadecimal(answer.va),
        "level": answer.step.level.number,
        "descriptor_address": hexadecimal(answer.step.pa),
        "asked_at": answer.asked_at,
        "interrupted": answer.interrupted,
        "changed": change is not None,
        "position": None if change is None else change.position,
        "before": hexadecimal(answer.before.word),
        "after": hexadecimal(answer.after.word),
        "fields": [name for name, _ in changes(answer.before, answer.after)],
        "cpu": None if change is None else answer.cpu,
        "by_watched_store": None if change is None else change.seen,
        "by_hardware": None if change is None else answer.by_hardware,
        "silent_writes": None if change is None else change.silent,
        "frames": list(answer.frames),
    }
