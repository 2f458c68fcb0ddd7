"""How walks, faults and fields are shown and recorded: shared by every command that has evidence to give."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.arch.architecture import Architecture
from gdbtools.arch.model import Access, Attributes, Cause, Decider, Fault, Mapped, Refusal, Step, Walk
from gdbtools.bits import FieldValue, Word
from gdbtools.render.document import Facts, Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal, name_of, optional_hexadecimal

WHY = {
    Cause.INVALID_ENTRY: "the descriptor is not valid",
    Cause.RESERVED_ENTRY: "the descriptor's type is reserved at the last level",
    Cause.BLOCK_NOT_ALLOWED: "a block is not allowed at this level with this granule",
    Cause.OUTSIDE_RANGE: "the address lies outside the range that TnSZ gives this half",
    Cause.RANGE_DISABLED: "walks of this half are disabled",
    Cause.RANGE_SIZE: "TnSZ is outside what this CPU supports",
    Cause.ADDRESS_TOO_LARGE: "the address is beyond the physical address size",
    Cause.OUTPUT_TOO_LARGE: "the output address is beyond the physical address size",
    Cause.TABLE_TOO_LARGE: "the next table's address is beyond the physical address size",
    Cause.ROOT_TOO_LARGE: "the root table's address is beyond the physical address size",
    Cause.NOT_ACCESSED: "the access flag is clear",
    Cause.PRIVILEGED_ONLY: "EL0 has no access",
    Cause.READ_ONLY: "nobody may write",
    Cause.EXECUTE_NEVER: "execution is denied",
    Cause.WRITABLE_BY_USER: "EL0 may write it, so EL1 must not execute it",
    Cause.WRITE_IMPLIES_EXECUTE_NEVER: "it is writable, and what is writable must not be executed",
    Cause.PRIVILEGED_ACCESS_NEVER: "EL0 may access it, and Privileged Access Never is on",
}
_ADDRESSES = ("NextTable", "OutputAddress")
_UNSAID = ("TYPE", "IGNORED", "IGNORED_LOW")
_UNITS = ((1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))


def size(size_bytes: int) -> str:
    """Give a size in the largest unit that divides it."""
    for unit, name in _UNITS:
        if size_bytes >= unit and size_bytes % unit == 0:
            return f"{size_bytes // unit}{name}"
    return f"{size_bytes} bytes"


def fault_name(fault: Fault) -> str:
    """Give a fault as sentences have it: `access flag fault, level 3`."""
    name = fault.kind.label if fault.kind.label.endswith("abort") else f"{fault.kind.label} fault"
    stage = f"stage {fault.stage} " if fault.stage != 1 else ""
    return f"{stage}{name}, level {fault.level}" if fault.level is not None else f"{stage}{name}"


def access_name(access: Access) -> str:
    return f"EL{access.el} {access.kind.label}"


def field_value(value: FieldValue) -> str:
    """Give `AP=0b10`: binary for the small, hexadecimal for the large."""
    return f"{value.field.name}={binary(value)}"


def binary(value: FieldValue) -> str:
    width = value.field.width
    if width == 1:
        return str(value.value)
    return f"{value.value:#0{width + 2}b}" if width <= 6 and value.field.scale == 1 else f"{value.value:#x}"


def decider_text(decider: Decider) -> list[str | Span]:
    """Give the deciding bit and where it lives."""
    bit = Span(f"{decider.field.name} {decider.field.position}", Role.NAME)
    value = binary(FieldValue(decider.field, decider.value))
    if decider.pa is None:
        return [bit, f" = {value} in {decider.holder}"]
    return [bit, f" = {value} in the level {decider.level} descriptor at PA {decider.pa:#x}"]


def reason_text(refusal: Refusal) -> list[str | Span]:
    return [f"{WHY[refusal.decider.cause]}: ", *decider_text(refusal.decider)]


def word_text(word: Word) -> str:
    """Give the fields of a descriptor that say something: where it leads, what is set, always the access flag."""
    leads, said = [], []
    for each in word.decoded():
        name = each.field.name
        if name in _ADDRESSES:
            leads.append(f"-> {each.value:#x}")
        elif name == "AF" or (each.value and name not in _UNSAID):
            said.append(field_value(each))
    if word.reserved:
        said.append(f"(reserved bits set: {word.reserved:#x})")
    return " ".join(leads + said)


def steps_table(walk: Walk) -> Table:
    """Show every descriptor on the way."""
    rows: list[Sequence[Text]] = []
    for step in walk.steps:
        role = Role.PLAIN if step.entry.cause is None else Role.BAD
        rows.append(
            (
                str(step.level.number),
                str(step.index),
                f"{step.pa:#x}",
                f"{int(step.entry.word):#018x}",
                Span(step.entry.kind.label, role),
                word_text(step.entry.word),
            )
        )
    return Table(("level", "index", "at PA", "descriptor", "kind", "says"), rows, frozenset((0, 1)))


def attribute_rows(walk: Walk) -> list[tuple[str, Text]]:
    """Show what the whole path grants."""
    attributes = walk.attributes
    if attributes is None:
        return []
    rights: list[str] = [f"EL{el} {allowed}" for el, allowed in sorted(attributes.rights.items(), reverse=True)]
    state = ["accessed" if attributes.accessed else "not accessed"]
    if attributes.dirty is not None:
        state.append("dirty" if attributes.dirty else "clean")
    state.append("global" if attributes.is_global else "not global")
    state += ["contiguous"] if attributes.contiguous else []
    return [
        ("rights", "  ".join(rights)),
        ("memory", f"{attributes.memory}, {attributes.shareability}"),
        ("state", ", ".join(state)),
    ]


def regime_text(walk: Walk) -> str:
    regime = walk.regime
    if not regime.levels:
        return regime.name
    granule = size(regime.levels[-1].size_bytes)
    return f"{regime.name}: {granule} granule, {len(regime.levels)} levels from {regime.levels[0].number}"


def evidence(walk: Walk) -> list[Table | Facts]:
    """Show a whole walk: the regime, the steps, what they grant."""
    rows: list[tuple[str, Text]] = [("regime", regime_text(walk)), *attribute_rows(walk)]
    rows += [("assumed", ", ".join(walk.regime.assumed))] if walk.regime.assumed else []
    return [*([steps_table(walk)] if walk.steps else []), Facts(rows)]


def walk_record(walk: Walk, architecture: Architecture, refusal: Refusal | None = None) -> JsonObject:
    """Record a walk; `refusal` is the permission check's, where the question was "may I"."""
    refused = refusal or walk.refusal
    outcome = refused.fault if refused else walk.outcome
    record: JsonObject = {"input": hexadecimal(walk.input), "regime": walk.regime.name}
    record["assumed"] = list(walk.regime.assumed)
    record["outcome"] = "mapped" if isinstance(outcome, Mapped) else "fault"
    if walk.refusal is None and (destination := walk.destination) is not None:
        record |= {"output": hexadecimal(destination.address), "block_size": destination.size_bytes}
    if refused:
        record["fault"] = refusal_record(refused, architecture)
    record["steps"] = [step_record(step) for step in walk.steps]
    attributes = walk.attributes
    record["attributes"] = None if attributes is None else attributes_record(attributes)
    return record


def step_record(step: Step) -> JsonObject:
    return {
        "level": step.level.number,
        "index": step.index,
        "descriptor_address": hexadecimal(step.pa),
        "descriptor": hexadecimal(step.entry.word),
        "kind": step.entry.kind.label,
        "fields": word_record(step.entry.word),
    }


def fault_record(fault: Fault, architecture: Architecture) -> JsonObject:
    status = architecture.status(fault)
    return {
        "kind": fault.kind.label,
        "stage": fault.stage,
        "level": fault.level,
        "status": None if status is None else f"{status:#04x}",
    }


def refusal_record(refusal: Refusal, architecture: Architecture) -> JsonObject:
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
    return {**fault_record(refusal.fault, architecture), "deciding": deciding}


def attributes_record(attributes: Attributes) -> JsonObject:
    return {
        "memory": attributes.memory,
        "shareability": attributes.shareability,
        "rights": {f"el{el}": str(allowed) for el, allowed in sorted(attributes.rights.items())},
        "accessed": attributes.accessed,
        "dirty": attributes.dirty,
        "global": attributes.is_global,
        "contiguous": attributes.contiguous,
    }


def word_record(word: Word) -> JsonObject:
    """Record the fields of a word; one that does not apply is null."""
    return {each.field.name: hexadecimal(each.value) if each.applicable else None for each in word.decoded()}


def word_rows(word: Word) -> list[Sequence[Text]]:
    """Show every field of a word on a line: bits, name, value, what it means."""
    rows: list[Sequence[Text]] = []
    for each in word.decoded():
        said = f"{each.field.doc}: {each.meaning}" if each.meaning else each.field.doc
        role, value = (Role.NAME, binary(each)) if each.applicable else (Role.QUIET, "-")
        rows.append((Span(each.field.position, Role.QUIET), Span(each.field.name, role), value, said))
    if word.reserved:
        note = Span("bits that no field claims are set", Role.WARNING)
        rows.append(("", "reserved", f"{word.reserved:#x}", note))
    return rows
