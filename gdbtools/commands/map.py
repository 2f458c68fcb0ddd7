"""`map`: everything a translation regime maps, as maximal uniform runs, every column of which can be filtered."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gdbtools.analysis.contiguity import Contiguity, contiguity
from gdbtools.analysis.mappings import mappings_of
from gdbtools.analysis.selection import Keep, Permission, Who, onto, permits, touched_by, within
from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import Hole, Read, Regime, Rights, Run
from gdbtools.arch.walk import walk
from gdbtools.commands.evidence import attributes_record, fault_name, fault_record, size
from gdbtools.commands.model import Implementation
from gdbtools.commands.pictures import address_map
from gdbtools.commands.session import Session
from gdbtools.commands.what_if import (
    Supposition,
    suppose,
    supposition_records,
    supposition_rows,
)
from gdbtools.errors import UsageError
from gdbtools.render.document import Block, Document, Facts, Line, Picture, Role, Span, Table, Text
from gdbtools.render.drawing import AddressMap
from gdbtools.render.json import JsonObject, hexadecimal, name_of, optional_hexadecimal
from gdbtools.render.scale import amount as amount

_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40}


@dataclass(frozen=True)
class Broken:
    """A contiguous run that is not one, and where an address of it is."""

    run: Contiguity
    address: int


@dataclass(frozen=True)
class Map:
    """What one regime maps: runs in order of address, tables that could not be read, contiguous runs that are broken.

    `mapped_bytes` is how much there is in `runs`, after the filters; `unwanted` says that there should be nothing.
    """

    regimes: tuple[Regime, ...]
    architecture: Architecture
    runs: tuple[Run, ...]
    holes: tuple[Hole, ...]
    broken: tuple[Broken, ...]
    suppositions: tuple[Supposition, ...]
    unwanted: bool = False

    @property
    def mapped_bytes(self) -> int:
        return sum(run.size_bytes for run in self.runs)


def run(session: Session, options: Namespace) -> Sequence[Map]:
    supposed = suppose(session.machine, options, options.regime)
    machine = supposed.machine
    read = machine.memory.read
    keep = _filters(options)
    regimes = machine.architecture.regimes(machine.register, options.regime)
    runs: list[Run] = []
    holes: list[Hole] = []
    broken: dict[int, Broken] = {}
    for regime in regimes:
        for each in within(mappings_of(regime, read, options.range), options.range):
            if isinstance(each, Hole):
                holes.append(each)
                continue
            for found in _broken(regime, each, read):
                broken.setdefault(found.run.first, found)
            for part in onto(each, options.physical):
                if all(wanted(part) for wanted in keep):
                    runs.append(part)
    return (
        Map(
            regimes,
            machine.architecture,
            tuple(runs),
            tuple(holes),
            tuple(broken.values()),
            supposed.suppositions,
            options.expect_none,
        ),
    )


def _filters(options: Namespace) -> list[Keep]:
    """Give the tests that a run has to pass, one for each option that was given."""
    if options.el0 and options.el1:
        raise UsageError("--el0 and --el1 exclude each other; leave both out to ask about either")
    who = Who.USER if options.el0 else Who.PRIVILEGED if options.el1 else Who.ANYBODY
    keep: list[Keep] = []
    if options.perm is not None:
        keep.append(permits(_permission(options.perm), who))
    elif who is not Who.ANYBODY:
        keep.append(touched_by(who))
    if options.type is not None:
        wanted = options.type.lower()
        keep.append(lambda run: wanted in run.attributes.memory.lower())
    if options.unaccessed:
        keep.append(lambda run: not run.attributes.accessed)
    if options.dirty:
        keep.append(lambda run: bool(run.attributes.dirty))
    if options.size is not None:
        leaf = _size(options.size)
        keep.append(lambda run: run.leaf_bytes == leaf)
    return keep


def _permission(text: str) -> Permission:
    """Read `wx` as "at least these", and a form with dashes, `r-x`, as exactly these."""
    letters = text.lower()
    named = letters.replace("-", "")
    if not re.fullmatch(r"[rwx]{1,3}|[r-][w-][x-]", letters) or len(set(named)) < len(named):
        raise UsageError(f"{text!r} are no permissions; write some of r, w, x, like wx, or all three places, like r-x")
    wanted = Rights("r" in letters, "w" in letters, "x" in letters)
    return Permission(wanted, exact="-" in letters)


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([kmgt])i?b?", text.lower())
    if found is None:
        raise UsageError(f"{text!r} is no size; write it like 4k, 64k, 2m or 1g")
    return int(found[1]) << _UNITS[found[2]]


def _broken(regime: Regime, run: Run, read: Read) -> Iterator[Broken]:
    """Check the ends of a run that says it is contiguous: between them it is, or it would be no run."""
    if not run.attributes.contiguous:
        return
    level = next((each for each in regime.levels if each.number == run.kind.level), None)
    group = regime.contiguous_entries(level) * level.size_bytes if level else 1
    aligned = run.ipa if run.ipa is not None else run.output
    if not (run.first % group or run.size_bytes % group or (aligned or 0) % group):
        return
    for address in dict.fromkeys((run.first, run.last & -run.leaf_bytes)):
        checked = contiguity(walk(regime, address, read), read)
        if checked is not None and checked.breach is not None:
            yield Broken(checked, address)


def view(answer: Map) -> Document:
    leaves = sum(run.size_bytes // run.leaf_bytes for run in answer.runs)
    unwanted = answer.unwanted and bool(answer.runs)
    head: list[str | Span] = [Span(f"{len(answer.runs)} runs", Role.BAD if unwanted else Role.HEADING)]
    head.append(f" of {leaves} leaves, {amount(answer.mapped_bytes)}" if leaves else ": nothing that fits is mapped")
    head += [", where none is expected"] if unwanted else []
    rows: list[tuple[str, Text]] = [*supposition_rows(answer.suppositions)]
    rows += [("regime", regime.name) for regime in answer.regimes]
    rows += [("assumed", text) for text in dict.fromkeys(t for regime in answer.regimes for t in regime.assumed)]
    rows += [("note", text) for text in dict.fromkeys(t for regime in answer.regimes for t in regime.notes)]
    rows += [("unreadable", hole_text(hole)) for hole in answer.holes]
    rows += [("broken", _broken_text(each)) for each in answer.broken]
    blocks: list[Block] = [Line([*head, "."])]
    if answer.runs:
        blocks += [Picture(_drawn(regime, answer), ()) for regime in answer.regimes]
        blocks.append(_table(answer))
    return Document([*blocks, Facts(rows)])


def _drawn(regime: Regime, answer: Map) -> AddressMap:
    """Draw what of the answer is of one regime, in order of address."""
    everything: list[Run | Hole] = [*answer.runs, *answer.holes]
    found = [each for each in everything if regime.first <= each.first <= regime.last]
    return address_map(regime, sorted(found, key=lambda each: each.first))


def _table(answer: Map) -> Table:
    levels = sorted({el for run in answer.runs for el in run.attributes.rights}, reverse=True)
    two = any(run.ipa is not None for run in answer.runs)
    headers = ["from", "to", "size", "of", *(["IPA"] if two else []), "PA", *(f"EL{el}" for el in levels)]
    rows = []
    for run in answer.runs:
        attributes = run.attributes
        row: list[Text] = [f"{run.first:#018x}", f"{run.last:#018x}", size(run.size_bytes), size(run.leaf_bytes)]
        row += ["" if run.ipa is None else f"{run.ipa:#x}"] if two else []
        row.append("-" if run.output is None else f"{run.output:#x}")
        row += [str(attributes.rights.get(el, "")) for el in levels]
        rows.append([*row, attributes.memory, _state(run)])
    return Table([*headers, "memory", "state"], rows, frozenset((2, 3)), spare=("to",), coded=("memory",))


def _state(run: Run) -> Text:
    attributes = run.attributes
    words: list[str] = []
    words += (
        [attributes.shareability] if "Normal" in attributes.memory and "Inner" not in attributes.shareability else []
    )
    words += [] if attributes.accessed else ["unaccessed"]
    words += [] if attributes.dirty is None else ["dirty" if attributes.dirty else "clean"]
    words += [] if attributes.is_global else ["nG"]
    words += ["contiguous"] if attributes.contiguous else []
    words += ["guarded"] if attributes.guarded else []
    words += [] if run.stride_bytes else ["all one page"]
    text = " ".join(words)
    if run.fault is not None and attributes.accessed:
        return [text, Span(f"{' ' if text else ''}{fault_name(run.fault)}", Role.BAD)]
    return text


def hole_text(hole: Hole) -> Span:
    """Say which table could not be read."""
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
        "runs": [_run_record(run, answer.architecture) for run in answer.runs],
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


def _run_record(run: Run, architecture: Architecture) -> JsonObject:
    record: JsonObject = {"first": hexadecimal(run.first), "last": hexadecimal(run.last), "size": run.size_bytes}
    record |= {"ipa": hexadecimal(run.ipa)} if run.ipa is not None else {}
    return record | {
        "output": optional_hexadecimal(run.output),
        "block_size": run.leaf_bytes,
        "repeats": not run.stride_bytes,
        "level": run.kind.level,
        "descriptor_address": hexadecimal(run.descriptor_pa),
        "fault": None if run.fault is None else fault_record(run.fault, architecture),
        "attributes": attributes_record(run.attributes),
    }


IMPLEMENTATION = Implementation(
    run=run,
    view=view,
    record=record,
    finding=lambda answer: bool(answer.broken) or (answer.unwanted and bool(answer.runs)),
)
