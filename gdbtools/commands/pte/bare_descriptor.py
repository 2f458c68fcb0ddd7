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
    width: str = ""
    """How long its descriptors are taken to be and why, where the architecture has two formats."""


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


@dataclass(frozen=True)
class Asked:
    """What the words say of a value: None where they leave it open."""

    granule: str | None
    bits: str | None
    stage: str | None
    regime_name: str | None
    level_number: int | None


def decode(machine: Machine, value: int, asked: Asked) -> Bare:
    """Decode a value as a descriptor of a regime, at one level or at each; raises `UsageError` if there is none.

    The registers of a source say what the regime is, unless the words say more than its name.
    """
    architecture, level_number = machine.architecture, asked.level_number
    its_own = machine.cpus and asked.granule is None and asked.bits is None and asked.stage is None
    own = in_force(machine, asked.regime_name) if its_own else None
    regime, width = (own, "") if own is not None else _bare(architecture, value, asked)
    bits = 8 * regime.entry_bytes
    if value >> bits:
        wider = None if own is None else architecture.wider_regime(asked.regime_name or architecture.bare_regimes[0])
        other = "" if wider is None else f", or --bits {8 * wider.entry_bytes}"
        raise UsageError(
            f"{value:#x} does not fit the {bits}-bit descriptors of {regime.own_name}; "
            f"give a value from 0 to {(1 << bits) - 1:#x}{other}"
        )
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
    return Bare(value, regime, architecture, tuple(readings), own is not None, width)


def _bare(architecture: Architecture, value: int, asked: Asked) -> tuple[Regime, str]:
    """Return the regime that a value is decoded in without registers, and why its descriptors are as long as they are.

    The latter is empty where there is one format.
    """
    first, second = architecture.bare_regimes
    is_second = asked.stage == "2"
    if is_second:
        if not second:
            raise UsageError(f"no stage 2 of {architecture.identity.title} is decoded here; leave --stage out")
        if asked.regime_name not in (None, second, f"secure-{second}"):
            raise UsageError(f"--stage 2 and --regime {asked.regime_name} exclude each other; give one of them")
    name = asked.regime_name or (second if is_second else first)
    regime = architecture.bare_regime(asked.granule or "4k", name, asked.level_number)
    wider = architecture.wider_regime(name)
    bits = 8 * regime.entry_bytes
    if asked.bits not in (None, str(bits)) and (wider is None or int(asked.bits) < bits):
        at = "" if wider is None else f" at level {asked.level_number}"
        raise UsageError(f"descriptors of {architecture.identity.title} have {bits} bits{at}; leave --bits out")
    if wider is None:
        return regime, ""
    wide = 8 * wider.entry_bytes
    if asked.bits is not None:
        return (wider if asked.bits == str(wide) else regime), f"{asked.bits}-bit descriptors"
    if value >> bits:
        return wider, f"{wide}-bit descriptors, as the value does not fit {bits}"
    return regime, f"{bits}-bit descriptors" + (f" (--bits {wide}: the long ones)" if bits < wide else "")


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
    pages = f"{size(answer.regime.levels[-1].size_bytes)} {answer.regime.called_pages}"
    if answer.by_registers:
        told = f"{answer.regime.own_name}, {pages}: the registers have that in force"
        facts: list[tuple[str, Text]] = [("read as", told)]
        facts += labelled("assumed", answer.regime.assumed)
        blocks.append(Facts(facts))
        return Document(blocks)
    width = f"{answer.width}, " if answer.width else ""
    said = f"{width}{pages}; memory types, output size and hardware's updates are not known without registers"
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
