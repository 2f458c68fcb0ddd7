"""How the answers of `stage2` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gdbtools.analysis.guests.census import LeafGroup, LevelCount
from gdbtools.analysis.guests.cleaning import Bill, Cost, HowMapped
from gdbtools.analysis.guests.known import GuestOnCpu
from gdbtools.commands.evidence import attributes_record, binary
from gdbtools.commands.map.view import hole_record, hole_text
from gdbtools.commands.stage2.run import GuestMap
from gdbtools.commands.what_if import supposition_records, supposition_rows
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.wording import amount, name_of, number_of, size

_MAPPED: Final = {
    HowMapped.AS_IT_IS: "as it is now",
    HowMapped.IN_BLOCKS: "all in {} blocks",
    HowMapped.IN_PAGES: "all in {} pages",
    HowMapped.IF_POPULATED: "only what is valid now",
}


def view(answer: GuestMap) -> Document:
    found = answer.census
    blocks: list[Block] = [Line([*_headline(answer)])]
    if found.leaves:
        blocks += [_leaves(found.groups), _levels(found.levels)]
    if answer.bill is not None and answer.bill.costs[0].entries:
        title = Span("Cleaning all of its memory", Role.HEADING)
        blocks += [Line([title, ", as set/way maintenance makes a hypervisor do:"]), _costs(answer.bill)]
    return Document([*blocks, Facts([*_facts(answer)])])


def _headline(answer: GuestMap) -> Iterator[str | Span]:
    found = answer.census
    yield Span(found.regime.name, Role.HEADING)
    if not found.regime.levels:
        yield ": there are no tables"
        return
    if not found.leaves:
        yield ": nothing is mapped"
        return
    parts = [(found.bytes_of(memory=True), "memory"), (found.bytes_of(memory=False), "other addresses")]
    yield f": {' and '.join(f'{amount(of)} of {what}' for of, what in parts if of)}, "
    yield f"{number_of(found.leaves, 'leaf', 'leaves')} in {number_of(found.tables, 'table')}"
    yield f" ({amount(found.table_bytes)}). "
    own = found.count(lambda one: one.own_address)
    lead = "None leads" if not own else "All lead" if own == found.leaves else f"{own} lead"
    yield f"{lead} to their own address" if own else f"{lead} to its own address"
    soft = found.leaves - found.count(lambda one: one.reached)
    if not soft:
        yield "."
        return
    yield "; "
    yield Span(f"hardware reaches {found.leaves - soft}", Role.WARNING)
    yield f", the others are soft-invalid or lie below such a table: {soft}."


def _leaves(groups: Sequence[LeafGroup]) -> Table:
    levels = sorted({each for group in groups for each in group.attributes.rights}, reverse=True)
    soft = any(group.reached < group.leaves for group in groups)
    rows: list[Sequence[Text]] = []
    for group in groups:
        row: list[Text] = ["memory" if group.is_memory else "other", size(group.leaf_bytes), group.attributes.memory]
        row += [str(group.attributes.rights.get(each, "")) for each in levels]
        counted = [group.leaves, group.own_address, group.runs]
        counted += [group.reached, group.cleared, group.cut_off] if soft else []
        rows.append([*row, amount(group.size_bytes), *map(str, counted)])
    named = ["leads to", "a leaf", "type", *(each.label for each in levels), "maps", "leaves", "own address", "runs"]
    named += ["reached", "soft-invalid", "below one"] if soft else []
    left = {"leads to", "type", *(each.label for each in levels)}
    right = frozenset(at for at, name in enumerate(named) if name not in left)
    return Table(named, rows, right, spare=("runs",), coded=("type",))


def _levels(levels: Sequence[LevelCount]) -> Table:
    soft = any(each.soft_tables or each.soft_leaves for each in levels)
    rows: list[Sequence[Text]] = []
    for each in levels:
        counted = [each.tables, each.to_tables, each.leaves]
        counted += [each.soft_tables, each.soft_leaves] if soft else []
        rows.append([str(each.level.number), size(each.level.size_bytes), *map(str, counted), str(each.empty)])
    named = ["level", "an entry", "tables", "to tables", "leaves"]
    named += ["soft-invalid tables", "soft-invalid leaves"] if soft else []
    return Table([*named, "empty"], rows, frozenset(range(len(named) + 1)))


def _costs(found: Bill) -> Table:
    rows = [(_mapped(each), str(each.entries), amount(each.size_bytes), str(each.lines)) for each in found.costs]
    return Table(("if it is mapped", "entries", "memory", "cache lines"), rows, frozenset((1, 2, 3)))


def _mapped(each: Cost) -> str:
    return _MAPPED[each.mapped].format(size(each.leaf_bytes) if each.leaf_bytes else "")


def _facts(answer: GuestMap) -> Iterator[tuple[str, Text]]:
    found = answer.bill
    if found is not None and found.costs[0].entries:
        passed = f"{number_of(found.passed_leaves, 'leaf', 'leaves')} that lead elsewhere and "
        passed += number_of(found.passed_empty, "empty entry", "empty entries")
        yield "on the way", f"{passed}, so that a walk over all of it takes {number_of(found.steps, 'step')}"
        line = f"{found.line_bytes} bytes"
        yield (
            "cache line",
            f"{line}, taken for it: no register says" if found.line_assumed else f"{line}, the CPU's own",
        )
    yield from supposition_rows(answer.suppositions)
    for cpu in answer.cpus:
        yield from _cpu_rows(cpu)
    if found is not None and not answer.cpus:
        yield "traps", "no CPU holds this guest: what is trapped of it is in what its hypervisor keeps for it"
    if answer.seconds is not None:
        measured = f"{answer.seconds:.3f} s for reading and decoding all of its tables here"
        yield "measured", measured
    if not answer.census.memory_known and answer.census.leaves:
        yield "memory", "the source does not say where there is any: all that is not mapped as a device is taken for it"
    yield from labelled("assumed", answer.regime.assumed)
    yield from labelled("note", answer.regime.notes)
    yield from (("unreadable", hole_text(hole)) for hole in answer.census.unread)


def _cpu_rows(cpu: GuestOnCpu) -> Iterator[tuple[str, Text]]:
    name = f"CPU {cpu.cpu.number}"
    if not cpu.traps and cpu.loaded.caveat:
        yield name, cpu.loaded.caveat
    for each in cpu.traps:
        bit = Span(f"{each.register}.{each.control.field.name} = {binary(each.control)}", Role.NAME)
        yield name, [bit, f": {each.meaning}"]
        name = ""


def record(answer: GuestMap) -> JsonObject:
    found = answer.census
    result: JsonObject = {
        "regime": found.regime.name,
        "root": hexadecimal(found.regime.root),
        "first": optional_hexadecimal(found.first),
        "last": optional_hexadecimal(found.last),
        "memory": found.bytes_of(memory=True),
        "other": found.bytes_of(memory=False),
        "memory_known": found.memory_known,
        "leaves": [_group_record(each) for each in found.groups],
        "levels": [_level_record(each) for each in found.levels],
        "table_bytes": found.table_bytes,
        "bill": None if answer.bill is None else _bill_record(answer.bill),
        "cpus": [cpu_record(each) for each in answer.cpus],
        "seconds": answer.seconds,
        "assumed": list(found.regime.assumed),
        "notes": list(found.regime.notes),
        "unreadable": [hole_record(hole) for hole in found.unread],
    }
    if answer.suppositions:
        result["supposing"] = supposition_records(answer.suppositions)
    return result


def _group_record(each: LeafGroup) -> JsonObject:
    attributes = attributes_record(each.attributes)
    return {
        "level": each.level,
        "block_size": each.leaf_bytes,
        "is_memory": each.is_memory,
        **{name: attributes[name] for name in ("memory", "rights")},
        "leaves": each.leaves,
        "size": each.size_bytes,
        "runs": each.runs,
        "own_address": each.own_address,
        "reached": each.reached,
        "soft_invalid": each.cleared,
        "below_soft_invalid": each.cut_off,
    }


def _level_record(each: LevelCount) -> JsonObject:
    return {
        "level": each.level.number,
        "tables": each.tables,
        "to_tables": each.to_tables,
        "leaves": each.leaves,
        "soft_invalid_tables": each.soft_tables,
        "soft_invalid_leaves": each.soft_leaves,
        "empty": each.empty,
    }


def _bill_record(found: Bill) -> JsonObject:
    return {
        "line": found.line_bytes,
        "line_assumed": found.line_assumed,
        "passed_leaves": found.passed_leaves,
        "passed_empty": found.passed_empty,
        "steps": found.steps,
        "mapped": [
            {
                "how": name_of(each.mapped),
                "block_size": each.leaf_bytes,
                "entries": each.entries,
                "size": each.size_bytes,
                "lines": each.lines,
            }
            for each in found.costs
        ],
    }


def cpu_record(cpu: GuestOnCpu) -> JsonObject:
    """Record what a CPU holds of a guest."""
    return {
        "cpu": cpu.cpu.number,
        "identifier": cpu.loaded.identifier,
        "virtual_cpu": optional_hexadecimal(cpu.loaded.virtual_cpu),
        "runs": cpu.loaded.runs,
        "caveat": cpu.loaded.caveat or None,
        "traps": [
            {
                "register": each.register,
                "field": each.control.field.name,
                "value": each.control.value,
                "meaning": each.meaning,
            }
            for each in cpu.traps
        ],
    }
