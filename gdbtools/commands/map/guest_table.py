"""Runs by a paravirtual guest's own numbers, as rows and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.analysis.guest_runs import GuestRun
from gdbtools.arch.model import Run
from gdbtools.commands.guest_frames import mark_text, pseudo_text
from gdbtools.render.document import Table, Text
from gdbtools.render.json import JsonObject, optional_hexadecimal
from gdbtools.systems.guest_frames import FrameMark
from gdbtools.wording import name_of, size


def guest_table(runs: Sequence[GuestRun]) -> Table:
    """Return a row for each run: where it is in the guest's memory, and in the machine's, if that is one piece."""
    levels = sorted({each for run in runs for each in run.run.attributes.rights}, reverse=True)
    headers = ["from", "to", "size", "of", "pseudo-physical", "machine", *(each.label for each in levels), "memory"]
    rows: list[Sequence[Text]] = []
    for each in runs:
        run, attributes = each.run, each.run.attributes
        place = f"{each.frame.machine:#x}" if each.places == 1 else f"{each.places} places"
        row: list[Text] = [f"{run.first:#018x}", f"{run.last:#018x}", size(run.size_bytes), size(run.leaf_bytes)]
        row += [pseudo_text(each.frame), place, *(str(attributes.rights.get(level, "")) for level in levels)]
        strange = each.frame.mark is not FrameMark.OWN
        rows.append([*row, attributes.memory, mark_text(each.frame) if strange else _state(run)])
    return Table([*headers, "is"], rows, frozenset((2, 3)), spare=("to",), coded=("memory",))


def _state(run: Run) -> str:
    attributes = run.attributes
    words = [] if attributes.accessed else ["unaccessed"]
    words += [] if attributes.dirty is None else ["dirty" if attributes.dirty else "clean"]
    return ", ".join(words)


def guest_run_record(each: GuestRun) -> JsonObject:
    """Return what a run has besides what every run has."""
    return {
        "guest_frame": optional_hexadecimal(each.frame.pseudo),
        "places": each.places,
        "mark": name_of(each.frame.mark),
        "why": each.frame.said or None,
    }
