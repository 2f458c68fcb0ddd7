"""How walks, faults and fields are shown and recorded: shared by every command that has evidence to give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from gdbtools.analysis.faults.belonging import Belonging
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Attributes,
    Decider,
    Fault,
    FaultKind,
    Mapped,
    Refusal,
    Step,
    Walk,
)
from gdbtools.bits import FieldValue, Word
from gdbtools.render.document import Block, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import name_of, size

_ADDRESSES = ("NextTable", "OutputAddress")
_UNSAID = ("TYPE", "IGNORED", "IGNORED_LOW")
ASSUMED: Final = "assumed"
"""What rows are called that say what nobody has read."""


def fault_name(fault: Fault) -> str:
    """Return a fault as sentences have it: `access flag fault, level 3`."""
    named = fault.kind.label.endswith("abort") or fault.kind is FaultKind.UNSUPPORTED_ATOMIC_ACCESS
    name = fault.kind.label if named else f"{fault.kind.label} fault"
    stage = f"stage {fault.stage} " if fault.stage != 1 else ""
    level = f", level {fault.level}" if fault.level is not None else ""
    walk = " of a stage 1 table walk" if fault.s1ptw else ""
    return f"{stage}{name}{walk}{level}"


def fault_called(
    fault: Fault, architecture: Architecture, kind: AccessKind | None = None, walk: Walk | None = None
) -> str:
    """Return a fault, of a kind of access where one is meant, as the architecture's manual calls it."""
    return architecture.called(fault, kind, walk) or fault_name(fault)


def soft_text(fault: Fault) -> str:
    """Return that leaves are soft-invalid, and where hardware stops on its way to them."""
    return f"soft-invalid at {'the table walk, ' if fault.s1ptw else ''}level {fault.level}"


def access_name(access: Access) -> str:
    unprivileged = "unprivileged " if access.unprivileged else ""
    return f"{access.privilege.label} {unprivileged}{access.kind.label}"


def field_value(value: FieldValue) -> str:
    """Return `AP=0b10`: binary for the small, hexadecimal for the large."""
    return f"{value.field.name}={binary(value)}"


def binary(value: FieldValue) -> str:
    width = value.field.width
    if width == 1:
        return str(value.value)
    return f"{value.value:#0{width + 2}b}" if width <= 6 and value.field.scale == 1 else f"{value.value:#x}"


def control_text(register: str, control: FieldValue) -> list[str | Span]:
    """Return a register's bit and its value."""
    bit = Span(f"{control.field.name} {control.field.position}", Role.NAME)
    return [bit, f" = {binary(control)} in {register}"]


def decider_text(decider: Decider) -> list[str | Span]:
    """Return the deciding bit and where it lives."""
    holder = decider.holder if decider.pa is None else f"the level {decider.level} descriptor at PA {decider.pa:#x}"
    return control_text(holder, FieldValue(decider.field, decider.value))


def reason_text(refusal: Refusal) -> list[str | Span]:
    return [f"{refusal.decider.cause.sentence}: ", *decider_text(refusal.decider)]


def word_text(word: Word) -> str:
    """Return the fields of a descriptor that say something: where it leads, what is set, always the access flag."""
    leads = [f"-> {each.value:#x}" for each in word.decoded() if each.field.name in _ADDRESSES]
    return " ".join([*leads, fields_text(word)]).strip()


def fields_text(word: Word) -> str:
    """Return the fields of a descriptor that say something, but for where it leads."""
    said = [
        field_value(each)
        for each in word.decoded()
        if each.field.name not in _ADDRESSES
        and (each.field.name == "AF" or (each.value and each.field.name not in _UNSAID))
    ]
    if word.reserved:
        said.append(f"(reserved bits set: {word.reserved:#x})")
    return " ".join(said)


def steps_table(walk: Walk) -> Table:
    """Show every descriptor on the way; with a second stage, where it was to the first."""
    below = walk.regime.below
    two = below is not None
    rows: list[Sequence[Text]] = []
    for step in walk.steps:
        role = Role.PLAIN if step.entry.cause is None else Role.BAD
        row: list[Text] = [str(step.level.number), str(step.index)]
        row += [f"{step.via.input:#x}" if step.via else ""] if two else []
        row += [f"{step.pa:#x}", step.entry.word.padded]
        rows.append((*row, Span(step.entry.kind.label, role), word_text(step.entry.word)))
    if walk.fetch is not None:
        refused = Span(f"not fetched: {walk.fetch.via.regime.stage_label} refuses", Role.BAD)
        place = (str(walk.fetch.level.number), str(walk.fetch.index), f"{walk.fetch.via.input:#x}")
        rows.append((*place, "", "", "", refused))
    columns = ["level", "index", *([f"at {below.input_label}"] if below else []), "at PA", "descriptor", "kind", "says"]
    return Table(columns, rows, frozenset((0, 1)))


def attribute_rows(walk: Walk) -> list[tuple[str, Text]]:
    """Show what the whole path grants."""
    return [] if walk.attributes is None else attributes_rows(walk.attributes)


def attributes_rows(attributes: Attributes) -> list[tuple[str, Text]]:
    """Show what a path, or a leaf by itself, grants."""
    rights: list[str] = [f"{each.label} {allowed}" for each, allowed in sorted(attributes.rights.items(), reverse=True)]
    state = ["accessed" if attributes.accessed else "not accessed"]
    if attributes.dirty is not None:
        state.append("dirty" if attributes.dirty else "clean")
    state.append("global" if attributes.is_global else "not global")
    state += ["contiguous"] if attributes.contiguous else []
    state += ["guarded"] if attributes.guarded else []
    return [
        ("rights", "  ".join(rights)),
        ("memory", ", ".join(filter(None, (attributes.memory, attributes.shareability)))),
        ("state", ", ".join(state)),
    ]


def regime_text(walk: Walk) -> str:
    regime = walk.regime
    if not regime.levels:
        return regime.name
    pages = f"{size(regime.levels[-1].size_bytes)} {regime.called_pages}"
    return f"{regime.name}: {pages}, {len(regime.levels)} levels from {regime.levels[0].number}"


def evidence(walk: Walk, show: Callable[[Walk], Block] = steps_table) -> list[Block]:
    """Show a whole walk: the steps of each stage, in the way of `show`, the regime, what it grants."""
    rows: list[tuple[str, Text]] = [("regime", regime_text(walk)), *attribute_rows(walk)]
    rows += labelled(ASSUMED, walk.regime.assumed)
    rows += [("note", note) for note in walk.regime.notes]
    return [*_stages(walk, show), Facts(rows)]


def _stages(walk: Walk, show: Callable[[Walk], Block]) -> list[Block]:
    blocks: list[Block] = [show(walk)] if walk.steps or walk.fetch else []
    blocks += _kept(walk)
    second = walk.below
    if second is not None:
        what = "the fetch of the next descriptor" if walk.fetch else "the output"
        stage, address = _capitalized(second.regime.stage_label), second.regime.input_label
        blocks += [Line(f"{stage} of {what}, {address} {second.input:#x}:"), show(second), *_kept(second)]
    fetched = [step for step in walk.steps if step.via is not None and step.via.leaf is not None]
    if fetched and walk.regime.below is not None:
        stage = _capitalized(walk.regime.below.stage_label)
        blocks += [Line(f"{stage} of each descriptor fetch, by its last step:"), _fetches(fetched)]
    return blocks


def _capitalized(label: str) -> str:
    return label[:1].upper() + label[1:]


def _kept(walk: Walk) -> list[Block]:
    """Show what lies below the soft-invalid entry in which one stage ends."""
    if not walk.steps or walk.steps[-1].entry.kept is None:
        return []
    if walk.kept is None:
        return [Line("What lies below it cannot be read.")]
    below = walk.kept.steps[len(walk.steps) :]
    line = Line(f"Were it valid, {_outcome_text(walk.kept)}{':' if below else '.'}")
    return [line, steps_table(replace(walk.kept, steps=below))] if below else [line]


def _outcome_text(walk: Walk) -> str:
    if walk.refused is not None:
        return f"{walk.input:#x}: {fault_name(walk.refused.fault)}"
    mapped = walk.outcome
    assert isinstance(mapped, Mapped), "what nothing refuses leads somewhere"
    return f"{walk.input:#x} -> {mapped.address:#x} ({size(mapped.size_bytes)})"


def _fetches(steps: Sequence[Step]) -> Table:
    rows: list[Sequence[Text]] = []
    for step in steps:
        via = step.via
        assert via is not None
        assert via.leaf is not None
        leaf = via.leaf
        row = (f"{step.level.number}", f"{leaf.level.number}", f"{leaf.pa:#x}", leaf.entry.word.padded)
        rows.append((*row, word_text(leaf.entry.word)))
    return Table(("for level", "level", "at PA", "descriptor", "says"), rows, frozenset((0, 1)))


def walk_record(
    walk: Walk,
    architecture: Architecture,
    refusal: Refusal | None = None,
    access: Access | None = None,
    within: Walk | None = None,
) -> JsonObject:
    """Record a walk; `refusal` is the permission check's where the question was "may I", of `access`.

    `within` is the walk that it is a part of, if it is: whose access it is then, that knows.
    """
    refused = refusal or walk.refused
    record: JsonObject = {"input": hexadecimal(walk.input), "regime": walk.regime.name}
    record["assumed"] = list(walk.regime.assumed)
    record["notes"] = list(walk.regime.notes)
    record["outcome"] = "fault" if refused else "mapped"
    outcome = walk.outcome
    if walk.final is not None and walk.destination is not None:
        record["ipa"] = hexadecimal(walk.destination.address)
    if isinstance(outcome, Mapped):
        record |= {"output": hexadecimal(outcome.address), "block_size": outcome.size_bytes}
    if refused:
        record["fault"] = refusal_record(refused, architecture, access, within or walk)
    whole, stage = within or walk, walk.regime.stage
    record["steps"] = [step_record(step, whole, stage, architecture, access) for step in walk.steps]
    if walk.fetch is not None:
        record["refused_fetch"] = {
            "stage": walk.regime.stage,
            "level": walk.fetch.level.number,
            "index": walk.fetch.index,
            "ipa": hexadecimal(walk.fetch.via.input),
            "via": walk_record(walk.fetch.via, architecture, access=access, within=walk),
        }
    if walk.final is not None:
        record["final"] = walk_record(walk.final, architecture, access=access, within=walk)
    if walk.kept is not None:
        record["if_valid"] = walk_record(walk.kept, architecture, access=access)
    attributes = walk.attributes
    record["attributes"] = None if attributes is None else attributes_record(attributes)
    return record


def step_record(
    step: Step, whole: Walk | None, stage: int, architecture: Architecture, access: Access | None = None
) -> JsonObject:
    """Record a step of `whole`, or of a walk through the stage below within that."""
    record: JsonObject = {
        "stage": stage,
        "level": step.level.number,
        "index": step.index,
        "descriptor_address": hexadecimal(step.pa),
        "descriptor": hexadecimal(step.entry.word),
        "kind": step.entry.kind.label,
        "fields": word_record(step.entry.word),
    }
    if step.via is not None:
        via = walk_record(step.via, architecture, access=access, within=whole)
        record |= {"ipa": hexadecimal(step.via.input), "via": via}
    return record


def fault_record(
    fault: Fault, architecture: Architecture, access: Access | None = None, walk: Walk | None = None
) -> JsonObject:
    """Record a fault; its `status` is what hardware would report of it, for an access on a walk where that counts."""
    status, vector = architecture.status(fault, access, walk), architecture.vector(fault)
    return {
        "kind": fault.kind.label,
        "stage": fault.stage,
        "level": fault.level,
        "status": None if status is None else f"{status:#04x}",
        "s1ptw": fault.s1ptw,
        **({} if vector is None else {"vector": vector}),
    }


def refusal_record(
    refusal: Refusal, architecture: Architecture, access: Access | None = None, walk: Walk | None = None
) -> JsonObject:
    decider = refusal.decider
    deciding: JsonObject = {
        "cause": name_of(decider.cause),
        "holder": decider.holder,
        "field": decider.field.name,
        "bits": decider.field.position,
        "value": hexadecimal(decider.value),
        "descriptor_address": optional_hexadecimal(decider.pa),
        "level": decider.level,
    }
    return {**fault_record(refusal.fault, architecture, access, walk), "deciding": deciding}


def attributes_record(attributes: Attributes) -> JsonObject:
    return {
        "memory": attributes.memory,
        "shareability": attributes.shareability,
        "rights": {each.label.lower(): str(allowed) for each, allowed in sorted(attributes.rights.items())},
        "accessed": attributes.accessed,
        "dirty": attributes.dirty,
        "global": attributes.is_global,
        "contiguous": attributes.contiguous,
        "guarded": attributes.guarded,
        "non_secure": attributes.non_secure,
    }


def word_record(word: Word) -> JsonObject:
    """Record the fields of a word; one that does not apply is null."""
    return {each.field.name: hexadecimal(each.value) if each.applicable else None for each in word.decoded()}


def word_table(word: Word) -> Table:
    """Show every field that means something here on a line: bits, name, value, meaning; then bits that are nobody's."""
    rows: list[Sequence[Text]] = []
    for each in word.decoded():
        if not each.applicable and not each.value:
            continue
        said = f"{each.field.doc}: {each.meaning}" if each.meaning else each.field.doc
        role = Role.NAME if each.applicable else Role.WARNING
        rows.append((Span(each.field.position, Role.QUIET), Span(each.field.name, role), binary(each), said))
    if word.reserved:
        otherwise = f", or {word.otherwise}" if word.otherwise else ""
        note = Span(f"bits that no field claims are set{otherwise}", Role.WARNING)
        rows.append(("", "reserved", f"{word.reserved:#x}", note))
    return Table(("bits", "field", "value", "meaning"), rows, frozenset((2,)))


def belonging_record(found: Belonging) -> JsonObject:
    """Record whether an exception is the current one, and what shows that its registers are of one."""
    return {"current": found.current, "evidence": {"kind": name_of(found.evidence), "reason": found.reason or None}}


def none_taken(why: str) -> list[str | Span]:
    """Return what is said where the registers of the last exception are as reset leaves them, and `why` shows that."""
    said = f", as far as the registers say: {why}."
    return [Span("No exception has been taken since reset", Role.HEADING), said]
