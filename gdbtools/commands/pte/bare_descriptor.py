"""A descriptor by its value alone: what it is at each level where it may stand, and what `walk` would say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import PA
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Attributes, EntryKind, Level, Refusal, Regime, Step
from gdbtools.bits import Word
from gdbtools.commands.evidence import (
    attributes_record,
    attributes_rows,
    fault_name,
    fields_text,
    refusal_record,
    word_record,
)
from gdbtools.commands.pictures import word_picture
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.model import Machine
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import size

ANYWHERE: Final = PA(0)
"""Where a descriptor is that nobody read: no address of it is shown."""


@dataclass(frozen=True)
class Reading:
    """What a value is at some levels: the first of `levels` was decoded, at the others it is the same."""

    step: Step
    levels: tuple[Level, ...]
    attributes: Attributes | None
    refused: Refusal | None


@dataclass(frozen=True)
class Bare:
    """A value, and what it is to a regime: that of registers, or one of which only the granule was given."""

    value: int
    regime: Regime
    architecture: Architecture
    readings: tuple[Reading, ...]
    by_registers: bool = False


def in_force(machine: Machine, name: str | None) -> Regime | None:
    """Return the regime that a machine's registers have in force, or the one of that name, of its most levels.

    None where the registers do not say, or it has no tables.
    """
    architecture, register = machine.architecture, machine.register
    try:
        longest = max(architecture.regimes(register, name), key=lambda each: len(each.levels))
        found = architecture.regime_for(register, longest.first, name)
    except Unavailable:
        return None
    return found if found.levels else None


def decode(
    machine: Machine, value: int, granule: str | None, stage: str | None, regime_name: str | None,
    level_number: int | None,
) -> Bare:  # fmt: skip
    """Decode a value as a descriptor of a regime, at one level or at each; raises `UsageError` if there is none.

    The registers of a source say what the regime is, unless the words say more than its name.
    """
    architecture = machine.architecture
    stage2 = stage == "2"
    first, second = architecture.bare_regimes
    if stage2 and regime_name not in (None, second, f"secure-{second}"):
        raise UsageError(f"--stage 2 and --regime {regime_name} exclude each other; give one of them")
    own = in_force(machine, regime_name) if machine.cpus and granule is None and stage is None else None
    name = regime_name or (second if stage2 else first)
    regime = own or architecture.bare_regime(granule or "4k", name, level_number)
    levels = [each for each in regime.levels if level_number in (None, each.number)]
    if not levels:
        known = ", ".join(str(each.number) for each in regime.levels)
        raise UsageError(f"there is no level {level_number} with this granule; there are {known}")
    readings: list[Reading] = []
    raw = value.to_bytes(regime.entry_bytes, regime.byte_order)
    for level in levels:
        step = Step(level, 0, ANYWHERE, regime.decode(raw, level))
        reading = Reading(step, (level,), regime.attributes((step,)), regime.accept(step))
        if readings and _alike(readings[-1].step, step):
            before = readings.pop()
            reading = Reading(before.step, (*before.levels, level), before.attributes, before.refused)
        readings.append(reading)
    return Bare(value, regime, architecture, tuple(readings), own is not None)


def _alike(first: Step, second: Step) -> bool:
    """Return whether two levels make the same of a value: a leaf's size is its level's own."""
    same = first.entry.kind is second.entry.kind and first.entry.cause is second.entry.cause
    return same and not first.is_leaf


def view(answer: Bare) -> Document:
    blocks: list[Block] = [
        Line(
            [
                Span(answer.readings[0].step.entry.word.padded, Role.HEADING),
                ", decoded as a descriptor; nothing was read or changed.",
            ]
        )
    ]
    if len(answer.readings) == 1:
        blocks += _blocks(answer.readings[0])
    else:
        rows = [_row(each) for each in answer.readings]
        blocks.append(Table(("level", "is", "leads to", "rights", "says"), rows))
        blocks.append(Line([Span("--level N explains every field of one of them.", Role.QUIET)]))
    granule = size(answer.regime.levels[-1].size_bytes)
    if answer.by_registers:
        told = f"{answer.regime.own_name}, {granule} granule: the registers have that in force"
        facts: list[tuple[str, Text]] = [("read as", told)]
        facts += labelled("assumed", answer.regime.assumed)
        blocks.append(Facts(facts))
        return Document(blocks)
    said = f"{granule} granule; memory types, output size and hardware's updates are not known without registers"
    blocks.append(Facts([("taken for", f"{answer.regime.regime_name}, {said}")]))
    return Document(blocks)


def _row(reading: Reading) -> Sequence[Text]:
    entry = reading.step.entry
    level = _span(reading.levels)
    if entry.kind is EntryKind.INVALID:
        assert entry.cause is not None, "an invalid entry has a cause"
        return (level, Span("invalid", Role.BAD), "", "", entry.cause.sentence)
    of = f"a {entry.kind.label} of {size(reading.step.level.size_bytes)}" if reading.step.is_leaf else "a table"
    rights = ""
    if reading.attributes is not None:
        given = sorted(reading.attributes.rights.items(), reverse=True)
        rights = "  ".join(f"{each.label} {allowed}" for each, allowed in given)
    says = fields_text(entry.word)
    if reading.refused is not None:
        said = f"{fault_name(reading.refused.fault)}: {reading.refused.decider.cause.sentence}"
        return (level, of, f"{entry.address:#x}", rights, [Span(said, Role.BAD), f"; {says}"])
    return (level, of, f"{entry.address:#x}", rights, says)


def _blocks(reading: Reading) -> list[Block]:
    entry = reading.step.entry
    name = f"At level{'s' * (len(reading.levels) > 1)} {_span(reading.levels)}: "
    if entry.kind is EntryKind.INVALID:
        assert entry.cause is not None, "an invalid entry has a cause"
        return [Line([name, Span("invalid", Role.BAD), f": {entry.cause.sentence}."]), _fields(entry.word)]
    if entry.kind is EntryKind.TABLE:
        return [
            Line([name, "a table; the next is at ", Span(f"{entry.address:#x}", Role.GOOD), "."]),
            _fields(entry.word),
        ]
    of = size(reading.step.level.size_bytes)
    head: list[str | Span] = [name, f"a {entry.kind.label} of {of} at ", Span(f"{entry.address:#x}", Role.GOOD)]
    if reading.refused is not None:
        cause = reading.refused.decider.cause.sentence
        head += [", ", Span(fault_name(reading.refused.fault), Role.BAD), f" on access: {cause}"]
    rows: list[tuple[str, Text]] = [] if reading.attributes is None else list(attributes_rows(reading.attributes))
    return [Line([*head, "."]), *([Facts(rows)] if rows else []), _fields(entry.word)]


def _fields(word: Word) -> Block:
    return word_picture(word, "the descriptor")


def _span(levels: Sequence[Level]) -> str:
    numbers = [each.number for each in levels]
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def record(answer: Bare) -> JsonObject:
    return {
        "descriptor": hexadecimal(answer.value),
        "regime": answer.regime.name,
        "readings": [_record(each, answer.architecture) for each in answer.readings],
    }


def _record(reading: Reading, architecture: Architecture) -> JsonObject:
    entry, attributes = reading.step.entry, reading.attributes
    valid = entry.kind is not EntryKind.INVALID
    return {
        "levels": [each.number for each in reading.levels],
        "kind": entry.kind.label,
        "address": hexadecimal(entry.address) if valid else None,
        "block_size": reading.step.level.size_bytes if reading.step.is_leaf else None,
        "fault": None if reading.refused is None else refusal_record(reading.refused, architecture),
        "attributes": None if attributes is None else attributes_record(attributes),
        "fields": word_record(entry.word),
    }
