"""Areas as rows and as JSON: neighbours that agree in their attributes, wherever they lead."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.analysis.areas import Area
from gdbtools.arch.model import FaultKind
from gdbtools.commands.evidence import attributes_record, fault_name, soft_text
from gdbtools.render.document import Role, Span, Table, Text
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import amount, size


def area_table(listed: Sequence[Area], between: str = "IPA") -> Table:
    """Return a row for each area; of one in several pieces, how many places they lead to.

    `between` is what addresses between two stages are called.
    """
    levels = sorted({el for area in listed for el in area.run.attributes.rights}, reverse=True)
    two = any(area.run.ipa is not None for area in listed)
    headers = ["from", "to", "size", "of", *([between] if two else []), "PA", *(each.label for each in levels)]
    rows: list[Sequence[Text]] = []
    for area in listed:
        run = area.run
        row: list[Text] = [f"{area.first:#018x}", f"{area.last:#018x}", size(area.size_bytes), _sizes(area)]
        row += ["" if run.ipa is None else f"{run.ipa:#x}"] if two else []
        row.append(_place(area))
        row += [str(run.attributes.rights.get(el, "")) for el in levels]
        rows.append([*row, run.attributes.memory, _state(area)])
    return Table([*headers, "memory", "state"], rows, frozenset((2, 3)), spare=("to",), coded=("memory",))


def _sizes(area: Area) -> str:
    return " ".join(size(leaf) for leaf in sorted(area.leaves, reverse=True))


def _place(area: Area) -> str:
    output = "-" if area.run.output is None else f"{area.run.output:#x}"
    return output if area.places == 1 else f"{area.places} places"


def _state(area: Area) -> Text:
    """Return of an area what `map` says of a run; of what only some of it is, how much."""
    attributes, fault = area.run.attributes, area.run.fault
    words = [attributes.shareability] if attributes.unshared else []
    for what, part in (("unaccessed", area.unaccessed_bytes), ("dirty", area.dirty_bytes)):
        if part:
            words.append(what if part == area.size_bytes else f"{amount(part)} {what}")
    words += [] if attributes.is_global else ["nG"]
    words += ["guarded"] if attributes.guarded else []
    words += ["all one page"] if area.repeats else []
    if fault is not None and fault.kind is not FaultKind.ACCESS_FLAG:
        said = soft_text(fault) if area.run.kind.soft_invalid else fault_name(fault)
        return [", ".join([*words, ""]), Span(said, Role.BAD)]
    return ", ".join(words)


def area_record(area: Area) -> JsonObject:
    """Return an area as JSON has it."""
    run = area.run
    attributes = attributes_record(run.attributes)
    shared = ("memory", "shareability", "rights", "global", "guarded", "non_secure")
    return {
        "first": hexadecimal(area.first),
        "last": hexadecimal(area.last),
        "size": area.size_bytes,
        "leaves": {str(leaf): count for leaf, count in sorted(area.leaves.items())},
        "ipa": optional_hexadecimal(run.ipa),
        "output": optional_hexadecimal(run.output),
        "places": area.places,
        "repeats": area.repeats,
        "unaccessed": area.unaccessed_bytes,
        "dirty": area.dirty_bytes,
        "attributes": {name: attributes[name] for name in shared},
    }
