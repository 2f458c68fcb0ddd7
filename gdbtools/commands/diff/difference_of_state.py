"""How differences between registers, and between the regimes that they make, are shown and recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gdbtools.analysis.comparison.regime_difference import RegimeAspect, RegimePair
from gdbtools.analysis.comparison.register_difference import FieldDifference, RegisterDifference
from gdbtools.arch.model import Regime
from gdbtools.bits import FieldValue, Word
from gdbtools.commands.evidence import binary
from gdbtools.render.document import Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal
from gdbtools.wording import name_of, size


def register_table(differing: Iterable[RegisterDifference]) -> Table:
    """Show each register that differs, and below it the fields that do."""
    rows: list[Sequence[Text]] = []
    for each in differing:
        rows.append((Span(each.name, Role.HEADING), f"{int(each.before):#x}", f"{int(each.after):#x}", ""))
        rows += [_field_row(field) for field in each.fields if _says_more(field)]
        if each.reserved:
            was, now = (f"{word.reserved:#x}" for word in (each.before, each.after))
            rows.append((Span(".reserved", Role.WARNING), was, now, "bits that no field claims"))
    return Table(("register", "before", "after", ""), rows, frozenset((1, 2)))


def _says_more(difference: FieldDifference) -> bool:
    """Return whether a field tells more than the whole register, or than that another layout has it."""
    sides = [side for side in (difference.before, difference.after) if side is not None]
    return any(side.value for side in sides) and sides[0].field.width < Word.width


def _field_row(difference: FieldDifference) -> Sequence[Text]:
    was, now = difference.before, difference.after
    there = now or was
    assert there is not None, "a field that differs is on one side at least"
    field, meanings = there.field, [side.meaning for side in (was, now) if side is not None and side.meaning]
    said = f"{field.doc}: {' -> '.join(meanings)}" if meanings else field.doc
    values = ("-" if side is None else binary(side) for side in (was, now))
    return ([Span(f".{field.name}", Role.NAME), Span(f" {field.position}", Role.QUIET)], *values, said)


def register_record(difference: RegisterDifference) -> JsonObject:
    return {
        "name": difference.name,
        "before": hexadecimal(difference.before),
        "after": hexadecimal(difference.after),
        "fields": [_field_record(each) for each in difference.fields],
    }


def _field_record(difference: FieldDifference) -> JsonObject:
    def value(side: FieldValue | None) -> str | None:
        return None if side is None else hexadecimal(side.value)

    there = difference.after or difference.before
    assert there is not None, "a field that differs is on one side at least"
    names = {"name": there.field.name, "bits": there.field.position}
    return {**names, "before": value(difference.before), "after": value(difference.after)}


_DIFFERS: Final[Mapping[RegimeAspect, str]] = {
    RegimeAspect.ROOT: "the root is at",
    RegimeAspect.RANGE: "it translates",
    RegimeAspect.GRANULE: "the granule is",
    RegimeAspect.LEVELS: "the number of levels is",
    RegimeAspect.OUTPUT_SIZE: "output addresses have",
    RegimeAspect.STAGE_2: "it goes through",
    RegimeAspect.STAGE_2_ROOT: "the root of stage 2 is at",
}


def _is(aspect: RegimeAspect, regime: Regime) -> str:
    if aspect is RegimeAspect.ROOT:
        return f"{regime.root:#x}"
    if aspect is RegimeAspect.RANGE:
        return f"{regime.first:#x} to {regime.last:#x}"
    if aspect is RegimeAspect.GRANULE:
        return size(regime.levels[-1].size_bytes) if regime.levels else "none: the MMU is off"
    if aspect is RegimeAspect.LEVELS:
        return str(len(regime.levels))
    if aspect is RegimeAspect.OUTPUT_SIZE:
        return f"{regime.output_last.bit_length()} bits"
    if regime.below is None:
        return "no stage 2"
    return regime.below.name if aspect is RegimeAspect.STAGE_2 else f"{regime.below.root:#x}"


def regime_rows(pairs: Iterable[RegimePair]) -> list[tuple[str, Text]]:
    """Return which ranges were compared and in what they differ, and which have no counterpart."""
    rows: list[tuple[str, Text]] = []
    for pair in pairs:
        if pair.before is None or pair.after is None:
            which = "after" if pair.before is None else "before"
            rows.append(("regime", Span(f"{pair.name}: only {which}; nothing to compare it with", Role.WARNING)))
            continue
        name = pair.name if RegimeAspect.STAGE_2 in pair.aspects else pair.before.name
        differing = [
            f"{_DIFFERS[aspect]} {_is(aspect, pair.before)} before, {_is(aspect, pair.after)} after"
            for aspect in RegimeAspect
            if aspect in pair.aspects
        ]
        rows.append(("regime", [name, Span(f": {'; '.join(differing)}", Role.WARNING)] if differing else name))
    return rows


def regime_record(pair: RegimePair) -> JsonObject:
    return {
        "before": pair.before.name if pair.before else None,
        "after": pair.after.name if pair.after else None,
        "differing": [name_of(aspect) for aspect in RegimeAspect if aspect in pair.aspects],
    }
