"""How the answers of `undo` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.gadgets import Need
from gdbtools.commands import maintenance
from gdbtools.commands.undo.run import Undone
from gdbtools.render.document import Document, Facts, Line, Role, Span, Table, Text
from gdbtools.render.json import JsonObject
from gdbtools.repair.log import Way
from gdbtools.wording import name_of, number_of

SHOWN = 8
"""How many descriptors of one repair are listed."""


def view(answer: Undone) -> Document:
    repair = answer.repair
    did, would = ("Forgot", "Would forget") if answer.forgotten else ("Took back", "Would take back")
    done = Span(did, Role.GOOD) if answer.applied else Span(would, Role.WARNING)
    count = len(repair.changes)
    what = number_of(len(repair.controls), "control register") if repair.controls else number_of(count, "descriptor")
    kept = ", which the guest keeps" if answer.forgotten else ""
    head = Line([done, f" `{repair.what}`: {what}{kept}."])
    rows: list[Sequence[Text]] = [
        (f"{each.pa:#x}", each.after.padded, each.before.padded) for each in list(reversed(repair.changes))[:SHOWN]
    ]
    if count > SHOWN:
        rows.append(("...", "", ""))
    facts: list[tuple[str, Text]] = [] if answer.forgotten else [("TLB", _tlb_text(answer))]
    facts.append(("left", f"{answer.left} more to undo" if answer.left else "nothing more to undo"))
    headers = ("written", "before") if answer.forgotten else ("was", "is" if answer.applied else "would be")
    if repair.controls:
        return Document([head, Table(("CPU", "register", *headers, "says"), _control_rows(answer)), Facts(facts)])
    return Document([head, Table(("at PA", *headers), rows), Facts(facts)])


def _control_rows(answer: Undone) -> list[Sequence[Text]]:
    return [
        (str(each.cpu), back.register, back.before.padded, back.after.padded, maintenance.fields_text(back))
        for each in reversed(answer.repair.controls)
        for back in (each.change.inverse,)
    ]


def _tlb_text(answer: Undone) -> Text:
    if answer.repair.controls:
        return "emptied on every CPU" if answer.applied else "to be emptied on every CPU"
    if answer.repair.way is not Way.WRITE:
        how = "by break-before-make" if answer.repair.way is Way.BREAK else "invalidated after the write"
        return f"{how}, as it was made"
    if answer.need is Need.NOTHING:
        return "no maintenance is needed"
    return Span(f"may go on with the old: `{'mmu tlbi' if answer.lent_here else maintenance.OUTSIDE}`", Role.WARNING)


def record(answer: Undone) -> JsonObject:
    return {
        **maintenance.repair_record(answer.repair),
        "need": name_of(answer.need),
        "applied": answer.applied,
        "forgotten": answer.forgotten,
        "left": answer.left,
    }
