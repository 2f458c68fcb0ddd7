"""What a walk, a word and a regime's mappings look like, with what stands for each picture in text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from gdbtools.arch.model import Decider, FaultKind, Hole, Mapped, Privilege, Refusal, Regime, Rights, Run, Step, Walk
from gdbtools.bits import FieldValue, Word
from gdbtools.commands.evidence import binary, evidence, fault_name, soft_text, steps_table, word_table
from gdbtools.render.document import Block, Picture, Role
from gdbtools.render.drawing import AddressMap, Band, Box, Ladder, Lane, Rung, Strip, Tone
from gdbtools.wording import size

_NEVER_QUIET: Final = ("AF", "NextTable", "OutputAddress")
_ALWAYS_QUIET: Final = ("TYPE", "IGNORED", "IGNORED_LOW")
_TONES: Final = {
    (False, False, False): Tone.NONE,
    (True, False, False): Tone.READ,
    (True, True, False): Tone.WRITE,
    (True, False, True): Tone.EXECUTE,
    (True, True, True): Tone.WRITE_EXECUTE,
    (False, True, True): Tone.WRITE_EXECUTE,
    (False, False, True): Tone.EXECUTE_ONLY,
    (False, True, False): Tone.WRITE_ONLY,
}
_NOTHING: Final = Rights(False, False, False)


def illustrated(walk: Walk, refused: Refusal | None = None) -> list[Block]:
    """Show a whole walk with a picture of each stage; `refused` is what refuses the access, if it was asked about."""
    refusal = refused or walk.refused
    decider = refusal.decider if refusal else None
    return evidence(walk, lambda stage: Picture(partial(ladder, stage, decider), [steps_table(stage)]))


def word_picture(word: Word, title: str) -> Picture:
    """Show a word by its fields, drawn and as a table."""
    return Picture(lambda: Strip(title, boxes(word)), [word_table(word)])


def boxes(word: Word, decider: Decider | None = None) -> list[Box]:
    """Cut a word into its fields, most significant bit first; bits that no field claims are boxes without a name.

    A field of several segments has a box for each, the value in the first.
    """
    found: list[Box] = []
    for each in word.decoded():
        value = binary(each)
        for high, low in each.field.spans:
            found.append(_box(each, high, low, value, decider))
            value = "…"
    found.sort(key=lambda box: -box.high)
    return [*_with_gaps(word, found)]


def _box(each: FieldValue, high: int, low: int, value: str, decider: Decider | None) -> Box:
    field = each.field
    meaning = f"{field.doc}: {each.meaning}" if each.meaning else field.doc
    if decider is not None and field.mask & decider.field.mask:
        return Box(high, low, field.name, value, f"{meaning}; this decides", Role.BAD)
    said = each.applicable and (field.name in _NEVER_QUIET or (each.value and field.name not in _ALWAYS_QUIET))
    return Box(high, low, field.name, value, meaning, quiet=not said)


def _with_gaps(word: Word, found: Iterable[Box]) -> Iterator[Box]:
    at = word.width - 1
    for box in found:
        if box.high < at:
            yield _unclaimed(word, at, box.high + 1)
        yield box
        at = box.low - 1
    if at >= 0:
        yield _unclaimed(word, at, 0)


def _unclaimed(word: Word, high: int, low: int) -> Box:
    value = word >> low & (1 << high - low + 1) - 1
    if value:
        return Box(high, low, "reserved", f"{value:#x}", "no field claims these bits, and some are set", Role.WARNING)
    return Box(high, low, "RES0", "0", "no field claims these bits", quiet=True)


def ladder(walk: Walk, decider: Decider | None = None) -> Ladder:
    """Draw one stage of a walk: how its input is cut into indices, each descriptor, and what comes of it."""
    rungs = [_rung(step, decider) for step in walk.steps]
    if walk.fetch is not None:
        level = walk.fetch.level
        below = walk.fetch.via.regime
        at = f"{below.input_label} {walk.fetch.via.input:#x}"
        says = f"not fetched: {below.stage_label} refuses"
        rungs.append(Rung(f"level {level.number}", walk.fetch.index, level.entries, at, "", says, (), Role.BAD))
    strip = Strip(f"{walk.regime.input_label} {walk.input:#x}", [*_indices(walk, len(rungs))])
    output, ending = _ending(walk, len(rungs))
    return Ladder(strip, rungs, output, ending)


def _indices(walk: Walk, used: int) -> Iterator[Box]:
    levels, value = walk.regime.levels, walk.input
    if not levels:
        yield Box(63, 0, "address", f"{value:#x}")
        return
    top = levels[0].high + 1
    if top < 64:
        yield Box(
            63, top, "range", f"{value >> top:#x}", "above the indices: what chooses the range, and a tag", quiet=True
        )
    low = walk.leaf.level.low if walk.leaf else 0
    for number, level in enumerate(levels):
        if level.low < low:
            break
        name = f"level {level.number}"
        if number < used:
            yield Box(level.high, level.low, name, str(level.index(value)), "index of its table", tint=number)
        else:
            yield Box(level.high, level.low, name, str(level.index(value)), "the walk did not get here", quiet=True)
    low = low or levels[-1].low
    yield Box(low - 1, 0, "offset", f"{value & (1 << low) - 1:#x}", "within the block or page")


def _rung(step: Step, decider: Decider | None) -> Rung:
    decides = decider if decider is not None and decider.pa == step.pa else None
    at = f"PA {step.pa:#x}"
    if step.via is not None:
        at = f"{step.via.regime.input_label} {step.via.input:#x}, {at}"
    word, kind = step.entry.word, step.entry.kind
    says = f"{kind.label} -> {step.entry.address:#x}" if kind.is_leaf or step.entry.cause is None else kind.label
    role = Role.BAD if decides is not None or step.entry.cause is not None else Role.PLAIN
    level = step.level
    return Rung(
        f"level {level.number}",
        step.index,
        level.entries,
        at,
        word.padded,
        says,
        boxes(word, decides),
        role,
    )


def _ending(walk: Walk, used: int) -> tuple[Strip | None, str]:
    """Return where one stage leads, with the address put together, or why it leads nowhere."""
    if walk.refusal is not None:
        return None, fault_name(walk.refusal.fault)
    mapped = walk.destination
    assert isinstance(mapped, Mapped), "what nothing refuses leads somewhere"
    name = f"{walk.regime.below.input_label if walk.regime.below else 'PA'} {mapped.address:#x}"
    if walk.leaf is None:
        return None, name
    low = walk.leaf.level.low
    base = mapped.address >> low << low
    high = max(walk.regime.output_last.bit_length() - 1, low)
    parts = [
        Box(high, low, walk.leaf.entry.kind.label, f"{base:#x}", "from the last descriptor", tint=used - 1),
        Box(low - 1, 0, "offset", f"{mapped.address - base:#x}", "as in the input"),
    ]
    return Strip(name, parts), name


def address_map(regime: Regime, found: Sequence[Run | Hole]) -> AddressMap:
    """Draw what a range maps: a lane for each level of privilege; what has not been accessed is shaded."""
    levels = sorted({el for each in found if isinstance(each, Run) for el in each.attributes.rights}, reverse=True)
    bands = [*_joined(_band(each, levels) for each in found)]
    lanes = [each.label for each in levels] or [""]
    return AddressMap(regime.name, regime.first, regime.last, lanes, bands, "shaded: access flag clear")


def _band(each: Run | Hole, levels: Sequence[Privilege]) -> Band:
    if isinstance(each, Hole):
        lanes = [Lane(Tone.UNKNOWN, "?")] * max(len(levels), 1)
        return Band(each.first, each.size_bytes, lanes, False, f"the table at PA {each.pa:#x}: {each.why}")
    given = each.attributes
    rights = [given.rights.get(el, _NOTHING) for el in levels]
    named = " ".join(f"{each.label} {allowed}" for each, allowed in zip(levels, rights, strict=True))
    faults = each.fault is not None and (each.fault.kind is not FaultKind.ACCESS_FLAG or each.kind.soft_invalid)
    lanes = [Lane(Tone.FAULT if faults else tone_of(allowed), str(allowed)) for allowed in rights]
    state = "" if given.accessed else ", unaccessed"
    if each.fault is not None and faults:
        state += f", {soft_text(each.fault) if each.kind.soft_invalid else fault_name(each.fault)}"
    return Band(each.first, each.size_bytes, lanes, not given.accessed, f"{named}, {given.memory}{state}")


def tone_of(rights: Rights) -> Tone:
    return Tone.SHADOW_STACK if rights.shadow_stack else _TONES[rights.read, rights.write, rights.execute]


def _joined(bands: Iterable[Band]) -> Iterator[Band]:
    """Join neighbours that look the same, wherever they lead, and say of each where it is."""
    held: Band | None = None
    for band in bands:
        if held is not None and held.first + held.size_bytes == band.first and _looks(held) == _looks(band):
            held = replace(held, size_bytes=held.size_bytes + band.size_bytes)
            continue
        if held is not None:
            yield _titled(held)
        held = band
    if held is not None:
        yield _titled(held)


def _looks(band: Band) -> object:
    return [*band.lanes], band.shaded, band.title


def _titled(band: Band) -> Band:
    last = band.first + band.size_bytes - 1
    return replace(band, title=f"{band.first:#x} to {last:#x}, {size(band.size_bytes)}: {band.title}")
