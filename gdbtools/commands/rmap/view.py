"""How the answers of `rmap` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.analysis.reverse import SHAREABILITY
from gdbtools.arch.capabilities import Architecture
from gdbtools.commands.evidence import attributes_record, fault_name, fault_record
from gdbtools.commands.map.view import hole_record, hole_text, state_of
from gdbtools.commands.rmap.known_regimes import KnownRegime
from gdbtools.commands.rmap.run import FoundMapping, ReverseMap
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, plain, spans
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import number_of, size


def view(answer: ReverseMap) -> Document:
    blocks: list[Block] = [Line([*_headline(answer), "."])]
    if answer.mappings:
        blocks.append(_table(answer))
    rows: list[tuple[str, Text]] = [("disagree", Span(said, Role.BAD)) for said in answer.disagreements]
    rows += [("looked at", _looked_text(each)) for each in answer.looked]
    rows += [("unreadable", hole_text(hole)) for hole in answer.holes]
    return Document([*blocks, Facts(rows)])


def _headline(answer: ReverseMap) -> list[str | Span]:
    if answer.pa is None:
        assert answer.walk is not None
        why = fault_name(answer.walk.refusal.fault) if answer.walk.refusal else "the stage below refuses"
        return [f"{answer.asked:#x} leads nowhere: ", Span(why, Role.BAD)]
    via = f"{answer.asked:#x} leads to " if answer.walk is not None else ""
    if not answer.mappings:
        return [f"{via}PA {answer.pa:#x}: ", Span("nothing leads to it", Role.HEADING)]
    count = number_of(len(answer.mappings), "mapping")
    said: list[str | Span] = [f"{via}PA {answer.pa:#x}: ", Span(count, Role.HEADING)]
    return [*said, ", and ", Span("they disagree", Role.BAD)] if answer.disagreements else said


def _table(answer: ReverseMap) -> Table:
    """Return a row for each mapping, with its own of all that others do not agree in."""
    shares = any(said.startswith(SHAREABILITY) for said in answer.disagreements)
    rows: list[Sequence[Text]] = []
    for each in answer.mappings:
        alias, run = each.alias, each.alias.run
        rights = ", ".join(f"{level.label} {may}" for level, may in sorted(run.attributes.rights.items(), reverse=True))
        place = f"{alias.regime.input_label} {alias.address:#x}"
        state = _state(each, shares)
        rows.append([place, size(run.leaf_bytes), rights, run.attributes.memory, state, _whose(each.looked)])
    return Table(["address", "of", "rights", "memory", "state", "through"], rows, frozenset((1,)), coded=("memory",))


def _state(each: FoundMapping, shares: bool) -> Text:
    """Return what else there is to say of a mapping, its shareability too where that is what mappings differ in."""
    run = each.alias.run
    parts: list[Text] = [run.attributes.shareability] if shares and not run.attributes.unshared else []
    parts += [state_of(run), *([Span("differs", Role.BAD)] if each.differs else [])]
    said = [part for part in parts if plain(part)]
    return [piece for at, part in enumerate(said) for piece in ([", "] if at else []) + spans(part)]


def _whose(looked: KnownRegime) -> str:
    regime = looked.regime
    if not regime.levels:
        return regime.own_name
    if not looked.cpus:
        return f"root {regime.root:#x}, in memory"
    return f"{regime.root_register} {regime.root:#x}{' (kernel)' if looked.kernels else ''}"


def _looked_text(looked: KnownRegime) -> str:
    name = looked.regime.name
    if not looked.cpus:
        return f"{name}, root {looked.regime.root:#x}: found in memory"
    numbers = ", ".join(map(str, looked.cpus))
    return f"{name}{' (kernel)' if looked.kernels else ''}: {'CPU' if len(looked.cpus) == 1 else 'CPUs'} {numbers}"


def record(answer: ReverseMap) -> JsonObject:
    return {
        "input": hexadecimal(answer.asked),
        "physical": optional_hexadecimal(answer.pa),
        "mappings": [_mapping_record(each, answer.architecture) for each in answer.mappings],
        "disagreements": list(answer.disagreements),
        "looked_at": [_looked_record(each) for each in answer.looked],
        "unreadable": [hole_record(hole) for hole in answer.holes],
    }


def _mapping_record(each: FoundMapping, architecture: Architecture) -> JsonObject:
    run = each.alias.run
    return {
        **_looked_record(each.looked),
        "address": hexadecimal(each.alias.address),
        "ipa": optional_hexadecimal(None if run.ipa is None else run.ipa + (each.alias.address - run.first)),
        "block_size": run.leaf_bytes,
        "repeats": not run.stride_bytes,
        "level": run.kind.level,
        "soft_invalid": run.kind.soft_invalid,
        "fault": None if run.fault is None else fault_record(run.fault, architecture),
        "differs": each.differs,
        "attributes": attributes_record(run.attributes),
    }


def _looked_record(looked: KnownRegime) -> JsonObject:
    return {
        "regime": looked.regime.name,
        "stage": looked.regime.stage,
        "root": hexadecimal(looked.regime.root),
        "cpus": list(looked.cpus),
    }
