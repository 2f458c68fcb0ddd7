"""How the answers of `map` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Hole, Run
from gdbtools.commands.evidence import attributes_record, fault_name, fault_record, soft_text
from gdbtools.commands.guest_frames import guest_record, guest_rows
from gdbtools.commands.map.area_table import area_record, area_table
from gdbtools.commands.map.guest_table import guest_run_record, guest_table
from gdbtools.commands.map.looking import Broken, Part
from gdbtools.commands.map.run import Listing, Map, looked_text
from gdbtools.commands.pictures import address_map
from gdbtools.commands.spaces import KERNEL, isolation_record, kernel_rows, limit_rows
from gdbtools.commands.what_if import supposition_records, supposition_rows
from gdbtools.render.document import Block, Document, Facts, Line, Picture, Role, Span, Table, Text, labelled
from gdbtools.render.drawing import AddressMap
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import amount, name_of, number_of, size

MANY = 40
"""More runs than a screen shows."""


def view(answer: Map) -> Document:
    pictures = [Picture(partial(_drawn, part), ()) for part in answer.parts] if answer.runs else []
    if answer.guest is not None:
        return Document(_blocks(answer, pictures, by_area=False))
    if answer.listing is Listing.AREAS:
        return Document(_blocks(answer, pictures, by_area=True))
    # Where nothing merges, areas would have as many rows, and say less in each.
    short = answer.listing is Listing.FITTING and len(answer.areas) < len(answer.runs)
    merged = partial(_blocks, answer, pictures, by_area=True)
    return Document(_blocks(answer, pictures, by_area=False), short=merged if short else ())


def _blocks(answer: Map, pictures: Sequence[Picture], by_area: bool) -> Sequence[Block]:
    """Return the answer with a row for each area, or for each run."""
    rows: list[tuple[str, Text]] = []
    if answer.rest is not None:
        rows.append(("more", Span(f"from {answer.rest[0]:#x} on: ask the same of {_range(answer.rest)}", Role.WARNING)))
    rows += supposition_rows(answer.suppositions)
    rows += [("regime", part.regime.name + (" (kernel)" if part.space == KERNEL else "")) for part in answer.parts]
    rows += [("looked at", looked_text(answer))]
    rows += guest_rows(answer.guest) if answer.guest is not None else _space_rows(answer)
    rows += labelled("assumed", dict.fromkeys(text for regime in answer.regimes for text in regime.assumed))
    rows += labelled("note", dict.fromkeys(text for regime in answer.regimes for text in regime.notes))
    rows += [("unreadable", hole_text(hole)) for hole in answer.holes]
    rows += [("broken", _broken_text(each)) for each in answer.broken]
    blocks: list[Block] = [Line([*_headline(answer, by_area), "."])]
    if answer.runs:
        blocks += pictures
        if answer.guest is not None:
            blocks.append(guest_table(answer.guest_runs))
        else:
            blocks.append(area_table(answer.areas, _between(answer)) if by_area else _table(answer))
            rows += _listed_rows(answer, by_area)
    return [*blocks, Facts(rows)]


def _listed_rows(answer: Map, by_area: bool) -> list[tuple[str, Text]]:
    """Return how to see every run where areas are listed, and areas where runs are many that merge."""
    if by_area:
        return [("listed", "areas of equal attributes, wherever they lead; --runs lists every run")]
    if answer.listing is Listing.RUNS or len(answer.runs) < MANY or 2 * len(answer.areas) > len(answer.runs):
        return []
    return [("shorter", f"--areas lists these runs in {len(answer.areas)} rows, by their attributes")]


def _headline(answer: Map, by_area: bool) -> list[str | Span]:
    if answer.is_unseen:
        return [Span("Nothing that fits was found, but not everything could be read", Role.WARNING)]
    unwanted = answer.unwanted and bool(answer.runs)
    if not any(regime.levels for regime in answer.regimes):
        name = answer.regimes[0].name
        said = [", where nothing is expected"] if unwanted else []
        return [Span(f"{name[0].upper()}{name[1:]}", Role.HEADING), ": every address is its own output", *said]
    counted = f"{'' if answer.rest is None else 'The first '}{number_of(len(answer.runs), 'run', 'runs')}"
    if by_area and answer.runs:
        counted = f"{number_of(len(answer.areas), 'area')} of {counted[0].lower()}{counted[1:]}"
    head: list[str | Span] = [Span(counted, Role.BAD if unwanted else Role.HEADING)]
    head.append(f" of {leaves_text(answer.runs, amount)}" if answer.runs else ": nothing that fits is mapped")
    return [*head, *([", where none is expected"] if unwanted else [])]


def leaves_text(runs: Sequence[Run], sized: Callable[[int], str]) -> str:
    """Return how many leaves there are and how much they map; what is soft-invalid is counted apart."""
    valid, soft = (
        (sum(run.leaves for run in each), sized(sum(run.size_bytes for run in each)))
        for each in ([run for run in runs if run.kind.soft_invalid is which] for which in (False, True))
    )
    if not soft[0]:
        return f"{number_of(valid[0], 'leaf', 'leaves')}, {valid[1]}"
    if not valid[0]:
        return f"{soft[0]} soft-invalid leaves, {soft[1]}: hardware uses none of them"
    return f"{number_of(valid[0], 'leaf', 'leaves')}, {valid[1]} + {soft[0]} soft-invalid, {soft[1]}"


def _space_rows(answer: Map) -> list[tuple[str, Text]]:
    """Return where the kernel is, if the space in force is a reduced one: which root was read, or that none was."""
    asked = any(part.space == KERNEL for part in answer.parts)
    return kernel_rows(answer.isolation) if asked else limit_rows(answer.isolation)


def _drawn(part: Part) -> AddressMap:
    """Draw a range, in order of address."""
    return address_map(part.regime, sorted([*part.runs, *part.holes], key=lambda each: each.first))


def _range(extent: tuple[int, int]) -> str:
    return f"{extent[0]:#x},+{extent[1]:#x}"


def _table(answer: Map) -> Table:
    levels = sorted({el for run in answer.runs for el in run.attributes.rights}, reverse=True)
    two = any(run.ipa is not None for run in answer.runs)
    headers = ["from", "to", "size", "of", *([_between(answer)] if two else []), "PA", *(each.label for each in levels)]
    said: dict[tuple[int, bool], list[Text]] = {}
    rows = []
    for run in answer.runs:
        key = id(run.kind), bool(run.stride_bytes)
        if key not in said:
            rights = [str(run.attributes.rights.get(el, "")) for el in levels]
            said[key] = [*rights, run.attributes.memory, state_of(run)]
        ipa = ["" if run.ipa is None else f"{run.ipa:#x}"] if two else []
        output = "-" if run.output is None else f"{run.output:#x}"
        extent = f"{run.first:#018x}", f"{run.last:#018x}", size(run.size_bytes), size(run.leaf_bytes)
        rows.append([*extent, *ipa, output, *said[key]])
    return Table([*headers, "memory", "state"], rows, frozenset((2, 3)), spare=("to",), coded=("memory",))


def _between(answer: Map) -> str:
    """Return what addresses between two stages are called."""
    return next((each.below.input_label for each in answer.regimes if each.below is not None), "IPA")


def state_of(run: Run) -> Text:
    """Return what else there is to say of the leaves of a run."""
    attributes = run.attributes
    words = [attributes.shareability] if attributes.unshared else []
    words += [] if attributes.accessed else ["unaccessed"]
    words += [] if attributes.dirty is None else ["dirty" if attributes.dirty else "clean"]
    words += [] if attributes.is_global else ["nG"]
    words += ["contiguous"] if attributes.contiguous else []
    words += ["guarded"] if attributes.guarded else []
    words += [] if run.stride_bytes else ["all one page"]
    text = ", ".join(words)
    if run.kind.soft_invalid and run.fault is not None:
        return [text, Span(f"{', ' if text else ''}{soft_text(run.fault)}", Role.WARNING)]
    if run.fault is not None and attributes.accessed:
        return [text, Span(f"{', ' if text else ''}{fault_name(run.fault)}", Role.BAD)]
    return text


def hole_text(hole: Hole) -> Span:
    """Return which table could not be read."""
    where = f"{hole.first:#x} to {hole.first + hole.size_bytes - 1:#x}"
    return Span(f"{where}: the table at PA {hole.pa:#x}: {hole.why}", Role.WARNING)


def _broken_text(each: Broken) -> Span:
    said = name_of(each.run.breach) if each.run.breach else ""
    return Span(f"contiguous run of {size(each.run.size_bytes)} at {each.run.first:#x}: {said}", Role.WARNING)


def record(answer: Map) -> JsonObject:
    result: JsonObject = {
        "regimes": [regime.name for regime in answer.regimes],
        "assumed": list(dict.fromkeys(text for regime in answer.regimes for text in regime.assumed)),
        "notes": list(dict.fromkeys(text for regime in answer.regimes for text in regime.notes)),
        "mapped": answer.mapped_bytes,
        "looked_at": {"leaves": answer.leaves, "tables": answer.tables},
        "isolation": isolation_record(answer.isolation),
        "runs": [_run_record(run, part.space, answer.architecture) for part in answer.parts for run in part.runs],
        "unreadable": [hole_record(hole) for hole in answer.holes],
        "broken_contiguous_runs": [
            {
                "first": hexadecimal(each.run.first),
                "size": each.run.size_bytes,
                "breach": name_of(each.run.breach) if each.run.breach else None,
                "descriptor_address": optional_hexadecimal(each.run.pa),
            }
            for each in answer.broken
        ],
    }
    if answer.guest is not None:
        result["guest_frames"] = guest_record(answer.guest)
        records = zip(cast("list[JsonObject]", result["runs"]), answer.guest_runs, strict=True)
        result["runs"] = [{**run, **guest_run_record(each)} for run, each in records]
    if answer.listing is Listing.AREAS:
        result["areas"] = [area_record(area) for area in answer.areas]
    if answer.rest is not None:
        result["rest"] = {"first": hexadecimal(answer.rest[0]), "size": answer.rest[1], "range": _range(answer.rest)}
    if answer.suppositions:
        result["supposing"] = supposition_records(answer.suppositions)
    return result


def hole_record(hole: Hole) -> JsonObject:
    return {
        "first": hexadecimal(hole.first),
        "size": hole.size_bytes,
        "table_address": hexadecimal(hole.pa),
        "why": hole.why,
    }


def _run_record(run: Run, space: str, architecture: Architecture) -> JsonObject:
    record: JsonObject = {"first": hexadecimal(run.first), "last": hexadecimal(run.last), "size": run.size_bytes}
    record |= {"ipa": hexadecimal(run.ipa)} if run.ipa is not None else {}
    record |= {"soft_invalid": True} if run.kind.soft_invalid else {}
    return record | {
        "output": optional_hexadecimal(run.output),
        "block_size": run.leaf_bytes,
        "repeats": not run.stride_bytes,
        "level": run.kind.level,
        "descriptor_address": hexadecimal(run.descriptor_pa),
        "fault": None if run.fault is None else fault_record(run.fault, architecture),
        "attributes": attributes_record(run.attributes),
        "space": space,
    }
