"""How the answers of `audit` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.analysis.audit.findings import Checked, Finding, Severity
from gdbtools.commands.audit.run import Audit
from gdbtools.commands.guest_frames import guest_record, guest_rows
from gdbtools.commands.map.view import hole_record, hole_text
from gdbtools.commands.spaces import kernel_rows, limit_rows
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.render.scale import amount
from gdbtools.wording import name_of, number_of, size

MOST = 40
"""Of findings of one rule that are shown; the count and JSON have all."""


def view(answer: Audit) -> Document:
    blocks: list[Block] = [Line([*_headline(answer), "."])]
    for checked in answer.checked:
        for each in checked.findings[:MOST]:
            blocks += _finding_blocks(each)
        if len(checked.findings) > MOST:
            blocks.append(Line(f"and {len(checked.findings) - MOST} more of {checked.rule.name}; --json has all"))
    if answer.checked:
        columns = ("rule", "asked of", "findings")
        blocks.append(Table(columns, [_rule_row(each) for each in answer.checked], frozenset((2,))))
    if answer.pages and answer.read_only:
        blocks.append(Line([Span("Of the linear map ought to be read-only", Role.HEADING), ":"]))
        blocks.append(_pages(answer))
    return Document([*blocks, Facts(_rows(answer))])


def _headline(answer: Audit) -> list[str | Span]:
    looked = f"{number_of(answer.leaves, 'leaf', 'leaves')} in {number_of(answer.tables, 'table')}"
    looked += f" of {number_of(answer.roots, 'root')}"
    count = len(answer.findings)
    if not count:
        seen = ", as far as the tables could be read" if answer.unreadable else ""
        return [Span("No finding", Role.GOOD), f"{seen}: {looked}"]
    return [Span(number_of(count, "finding"), Role.BAD), f" in {looked}"]


def _finding_blocks(each: Finding) -> list[Block]:
    role = Role.BAD if each.rule.severity is Severity.ERROR else Role.WARNING
    head: list[str | Span] = [Span(f"{each.rule.severity.name.lower()}, {each.rule.name}", role), f": {each.said}"]
    rows: list[tuple[str, Text]] = []
    if each.descriptor_pa is not None:
        more = f", {size(each.size_bytes)}" if each.size_bytes > 4096 else ""
        rows.append(("at", f"VA {each.first:#x}{more}, of the root at PA {each.root:#x}"))
        rows.append(("descriptor", f"PA {each.descriptor_pa:#x}, leads to PA {each.output or 0:#x}"))
    rows += labelled("evidence", each.evidence)
    closer = _closer(each)
    rows += [("closer", Span(closer, Role.COMMAND))] if closer else []
    return [Line(head), Facts(rows)]


def _closer(each: Finding) -> str:
    """Return the command that shows a finding's walk."""
    leads = "".join(f" --with {name}={value:#x}" for name, value in each.registers.items())
    return "" if each.descriptor_pa is None else f"walk {each.first:#x}{leads}"


def _rule_row(each: Checked) -> Sequence[Text]:
    count = len(each.findings)
    found = Span(str(count), Role.BAD if count else Role.GOOD)
    return each.rule.name, f"{each.examined} {each.rule.of}", found


def _pages(answer: Audit) -> Table:
    rows: list[Sequence[Text]] = []
    for each in answer.read_only:
        state = Span("writable", Role.BAD) if each.writable else "read-only"
        last = each.first + each.size_bytes - 1
        rows.append((f"{each.first:#x}", f"{last:#x}", size(each.size_bytes), each.why, state))
    return Table(("from", "to", "size", "is", "and is"), rows, frozenset((2,)))


def _rows(answer: Audit) -> list[tuple[str, Text]]:
    rows = kernel_rows(answer.isolation) or limit_rows(answer.isolation)
    linear = answer.linear
    if linear is not None:
        whose = " by pseudo-physical frames" if answer.guest is not None else ""
        rows.append(("linear map", f"base {linear.base:#x}, {amount(linear.size_bytes)} mapped{whose}"))
        rows += [("", f"{first:#x} to {first + length - 1:#x}") for first, length in linear.extents[:8]]
        rows += [("", f"and {len(linear.extents) - 8} more parts")] if len(linear.extents) > 8 else []
    if answer.guest is not None and linear is not None:
        page = 1 << answer.guest.page_bits
        pages = sum(each.size_bytes for each in answer.read_only) // page
        writable = sum(each.size_bytes for each in answer.read_only if each.writable) // page
        wrong = Span(f"{writable} are writable", Role.BAD) if writable else Span("all are")
        rows.append(("", [f"{number_of(pages, 'page')} of it ought to be read-only: ", wrong]))
        if not answer.pages:
            rows.append(("", [Span("--pages", Role.COMMAND), " lists them"]))
    for each in answer.checked:
        rows += labelled("explained", each.explained)
    rows += guest_rows(answer.guest)
    return [*rows, *(("unreadable", hole_text(hole)) for hole in answer.unreadable)]


def record(answer: Audit) -> JsonObject:
    linear = answer.linear
    return {
        "looked_at": {"roots": answer.roots, "tables": answer.tables, "leaves": answer.leaves},
        "rules": [_rule_record(each) for each in answer.checked],
        "findings": [_finding_record(each) for each in answer.findings],
        "linear_map": None
        if linear is None
        else {
            "base": hexadecimal(linear.base),
            "mapped": linear.size_bytes,
            "extents": [{"first": hexadecimal(first), "size": length} for first, length in linear.extents],
            "ought_to_be_read_only": [
                {"first": hexadecimal(each.first), "size": each.size_bytes, "is": each.why, "writable": each.writable}
                for each in answer.read_only
            ],
        },
        "guest_frames": None if answer.guest is None else guest_record(answer.guest),
        "unreadable": [hole_record(hole) for hole in answer.unreadable],
    }


def _rule_record(each: Checked) -> JsonObject:
    return {
        "rule": each.rule.name,
        "severity": name_of(each.rule.severity),
        "says": each.rule.summary,
        "examined": each.examined,
        "findings": len(each.findings),
        "explained": list(each.explained),
    }


def _finding_record(each: Finding) -> JsonObject:
    return {
        "rule": each.rule.name,
        "severity": name_of(each.rule.severity),
        "said": each.said,
        "first": hexadecimal(each.first),
        "size": each.size_bytes,
        "root": hexadecimal(each.root),
        "descriptor_address": optional_hexadecimal(each.descriptor_pa),
        "output": optional_hexadecimal(each.output),
        "evidence": list(each.evidence),
        "closer": _closer(each) or None,
    }
