"""How the answers of `diff` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.analysis.comparison.compared_attributes import Aspect
from gdbtools.analysis.comparison.difference import MappingChange, Portion, Uncompared
from gdbtools.arch.capabilities import Architecture
from gdbtools.commands.diff.difference_of_state import regime_record, regime_rows, register_record, register_table
from gdbtools.commands.diff.difference_text import SIGNS, change_text
from gdbtools.commands.diff.run import Difference, Looked
from gdbtools.commands.evidence import attributes_record, fault_record
from gdbtools.commands.spaces import isolation_record, space_rows
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, spans
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import name_of, size


def view(answer: Difference) -> Document:
    changes = [change for change in answer.changes if not change.is_use]
    use = [change for change in answer.changes if change.is_use]
    blocks: list[Block] = [Line(_headline(answer, len(changes), len(use)))]
    if answer.left_out:
        said = f"{answer.left_out} more changes are left out, from above {answer.changes[-1].last:#x} on."
        blocks.append(Line(Span(said, Role.WARNING)))
    if changes:
        blocks.append(_table(changes, answer.page_bytes))
    if use:
        blocks += [Line("Only the access flag or the dirty state:"), _table(use, answer.page_bytes)]
    if answer.registers.differing:
        blocks.append(register_table(answer.registers.differing))
    return Document([*blocks, Facts([*_rows(answer)])])


def _headline(answer: Difference, changes: int, use: int) -> list[str | Span]:
    registers = len(answer.registers.differing)
    compared = answer.registers.same + registers
    if answer.is_blind:
        rest = f", for want of tables; {_counted(registers, 'register')} {'differ' if registers > 1 else 'differs'}."
        return [Span("No mappings could be compared", Role.WARNING), rest]
    if not answer.is_different:
        of = " as far as it can be read" if answer.uncompared else ""
        said = f": {answer.leaves} leaves" + (f" and {compared} registers" if compared else "") + f" are the same{of}."
        return [Span("No difference", Role.GOOD), said]
    verb = "differ" if registers > 1 else "differs"
    rest = f"; {_counted(registers, 'register')} {verb}."
    alone = [pair for pair in answer.pairs if pair.before is None or pair.after is None]
    if len(alone) == len(answer.pairs):
        return [Span("Other regimes", Role.HEADING), f": there are no mappings to compare{rest}"]
    said = "the first " if answer.left_out else ""
    said += f"{_counted(changes, 'change')} in the mappings" if changes or not use else ""
    if use:
        said += ", and " if said else ""
        said += f"{_counted(use, 'change')} by use alone"
    said += " of what both have" if alone else ""
    return [Span(said[0].upper() + said[1:], Role.HEADING), rest]


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'s' if count > 1 else ''}"


def _table(changes: Sequence[MappingChange], page_bytes: int) -> Table:
    rows: list[Sequence[Text]] = [
        (SIGNS[each.kind], f"{each.first:#018x}", size(each.last + 1 - each.first), change_text(each, page_bytes))
        for each in changes
    ]
    return Table(("", "from", "size", "what became of it"), rows, frozenset((2,)))


def _rows(answer: Difference) -> list[tuple[str, Text]]:
    cpus = answer.before.cpu, answer.after.cpu
    before, after = (
        f"{side.name}, CPU {side.cpu}" if any(cpus) else side.name for side in (answer.before, answer.after)
    )
    rows: list[tuple[str, Text]] = [("before", before), ("after", after), *regime_rows(answer.pairs)]
    for which, missing in (("before", answer.registers.only_before), ("after", answer.registers.only_after)):
        if missing:
            rows.append(("registers", f"only {which}: {', '.join(missing)}"))
    for which, side in (("before", answer.before), ("after", answer.after)):
        rows += [(label, [f"{which}: ", *spans(said)]) for label, said in space_rows(side.isolation, side.space)]
    if answer.ignored:
        rows.append(("ignored", ", ".join(answer.ignored)))
    rows += [("unreadable", _uncompared_text(each)) for each in answer.uncompared]
    return rows


def _uncompared_text(each: Uncompared) -> Span:
    sides = [(name, hole) for name, hole in (("before", each.before), ("after", each.after)) if hole is not None]
    why = "; ".join(f"{name}, the table at PA {hole.pa:#x}: {hole.why}" for name, hole in sides)
    return Span(f"{each.first:#x} to {each.first + each.size_bytes - 1:#x} not compared: {why}", Role.WARNING)


def record(answer: Difference) -> JsonObject:
    return {
        "before": _looked_record(answer.before),
        "after": _looked_record(answer.after),
        "equal": not answer.is_different,
        "ignored": list(answer.ignored),
        "regimes": [regime_record(pair) for pair in answer.pairs],
        "registers": {
            "same": answer.registers.same,
            "differing": [register_record(each) for each in answer.registers.differing],
            "only_before": list(answer.registers.only_before),
            "only_after": list(answer.registers.only_after),
        },
        "changes": [_change_record(each, answer.architecture) for each in answer.changes],
        "changes_left_out": answer.left_out,
        "uncompared": [
            {
                "first": hexadecimal(each.first),
                "size": each.size_bytes,
                "before": each.before.why if each.before else None,
                "after": each.after.why if each.after else None,
            }
            for each in answer.uncompared
        ],
    }


def _looked_record(side: Looked) -> JsonObject:
    isolation = isolation_record(side.isolation)
    return {"source": side.name, "cpu": side.cpu, "space": side.space, "isolation": isolation}


def _change_record(change: MappingChange, architecture: Architecture) -> JsonObject:
    return {
        "kind": name_of(change.kind),
        "first": hexadecimal(change.first),
        "last": hexadecimal(change.last),
        "size": change.size_bytes,
        "aspects": [aspect.value for aspect in Aspect if aspect in change.aspects],
        "before": [_portion_record(each, architecture) for each in change.before],
        "after": [_portion_record(each, architecture) for each in change.after],
    }


def _portion_record(portion: Portion, architecture: Architecture) -> JsonObject:
    run = portion.run
    record: JsonObject = {"first": hexadecimal(portion.first), "size": portion.size_bytes, "mapped": run is not None}
    record["aspects"] = [aspect.value for aspect in Aspect if aspect in portion.aspects]
    if run is None:
        return record
    record |= {"places": portion.places, "block_size": run.leaf_bytes, "output": optional_hexadecimal(run.output)}
    record |= {"ipa": hexadecimal(run.ipa)} if run.ipa is not None else {}
    record |= {"soft_invalid": True} if run.kind.soft_invalid else {}
    record["fault"] = None if run.fault is None else fault_record(run.fault, architecture)
    return record | {"attributes": attributes_record(run.attributes)}
