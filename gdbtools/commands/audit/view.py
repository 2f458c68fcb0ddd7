"""How the answers of `audit` look, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.analysis.audit.findings import Checked, Finding, Rule, Severity
from gdbtools.bits import FieldValue
from gdbtools.commands.audit.baseline import KnownFinding, WrittenBaseline
from gdbtools.commands.audit.forms import github, sarif
from gdbtools.commands.audit.next_command import next_command
from gdbtools.commands.audit.run import Audit, RuleList
from gdbtools.commands.evidence import control_text
from gdbtools.commands.guest_frames import guest_record, guest_rows
from gdbtools.commands.map.view import hole_record, hole_text
from gdbtools.commands.spaces import kernel_rows, limit_rows
from gdbtools.render.document import Block, Document, Facts, Line, Role, Span, Table, Text, labelled
from gdbtools.render.json import JsonObject, hexadecimal, optional_hexadecimal
from gdbtools.units import PAGE_BYTES
from gdbtools.wording import amount, name_of, number_of, size

MOST = 10
"""Of findings of one rule that are shown; the count and JSON have all."""


def view(answer: Audit | RuleList) -> Document:
    if isinstance(answer, RuleList):
        return _rule_list(answer)
    blocks: list[Block] = [Line([*_headline(answer), "."])]
    for checked in answer.checked:
        found = answer.new(checked.findings)
        for each in found[:MOST]:
            blocks += _finding_blocks(each)
        if len(found) > MOST:
            blocks.append(Line(f"and {len(found) - MOST} more of {checked.rule.name}; --json has all"))
    rows = [_rule_row(answer, each) for each in answer.checked if not each.unasked]
    if answer.counts and rows:
        columns = ["rule", "asked of", "findings", *(["known"] if answer.baseline is not None else [])]
        blocks.append(Table(columns, rows, frozenset((2, 3))))
    if answer.pages and answer.read_only:
        blocks.append(Line([Span("Of the linear map ought to be read-only", Role.HEADING), ":"]))
        blocks.append(_pages(answer))
    return Document([*blocks, Facts(_rows(answer))])


def _rule_list(answer: RuleList) -> Document:
    blocks: list[Block] = []
    for each in answer.rules:
        role = Role.BAD if each.severity is Severity.ERROR else Role.WARNING
        name, how = Span(each.name, Role.HEADING), Span(name_of(each.severity), role)
        blocks.append(Line([name, ", ", how, f": {each.summary}"]))
        blocks.append(Facts([("asked of", each.of), ("source", each.source)]))
    return Document(blocks)


def _headline(answer: Audit) -> list[str | Span]:
    looked = f"{number_of(answer.leaves, 'leaf', 'leaves')} in {number_of(answer.tables, 'table')}"
    looked += f" of {number_of(answer.roots, 'root')}"
    count, known = len(answer.findings), len(answer.known)
    new = "" if answer.baseline is None else "new "
    more = f"; {known} more known by the baseline" if known else ""
    if not count:
        seen = ", as far as the tables could be read" if answer.unreadable else ""
        return [Span(f"No {new}finding", Role.GOOD), f"{seen}: {looked}{more}"]
    return [Span(number_of(count, f"{new}finding"), Role.BAD), f" in {looked}{more}"]


def _finding_blocks(each: Finding) -> list[Block]:
    role = Role.BAD if each.rule.severity is Severity.ERROR else Role.WARNING
    head: list[str | Span] = [Span(f"{each.rule.severity.name.lower()}, {each.rule.name}", role), f": {each.said}"]
    rows: list[tuple[str, Text]] = []
    if each.entry is not None and each.range is not None:
        more = f", {size(each.size_bytes)}" if each.size_bytes > PAGE_BYTES else ""
        place = f"{each.range.regime.input_label} {each.first:#x}{more}"
        rows.append(("at", f"{place}, of the root at PA {each.range.regime.root:#x}"))
        leads = "" if each.output is None else f", leads to PA {each.output:#x}"
        entry = each.entry
        rows.append(("descriptor", f"PA {entry.pa:#x}: {entry.word.padded}, level {entry.level}{leads}"))
        rows += labelled("decides", [control_text("descriptor", value) for value in entry.deciding])
    rows += labelled("evidence", each.evidence)
    following = next_command(each)
    rows += [("next", Span(following, Role.COMMAND))] if following else []
    return [Line(head), Facts(rows)]


def _rules_text(answer: Audit) -> list[str | Span]:
    """Return in a line how many rules were asked, and how many are broken."""
    asked, broken = len(answer.asked), sum(bool(answer.new(each.findings)) for each in answer.checked)
    none = "none is broken anew" if answer.known else "none is broken"
    said = f"{broken} of {asked} broken" if broken else f"of {asked} {none}"
    return [f"{said}; ", Span("--counts", Role.COMMAND), " shows of how much each was asked"]


def _rule_row(answer: Audit, each: Checked) -> Sequence[Text]:
    count = len(answer.new(each.findings))
    found = Span(str(count), Role.BAD if count else Role.GOOD)
    known = [str(len(each.findings) - count)] if answer.baseline is not None else []
    return each.rule.name, f"{each.examined} {each.rule.of}", found, *known


def _pages(answer: Audit) -> Table:
    rows: list[Sequence[Text]] = []
    for each in answer.read_only:
        state = Span("writable", Role.BAD) if each.writable else "read-only"
        last = each.first + each.size_bytes - 1
        rows.append((f"{each.first:#x}", f"{last:#x}", size(each.size_bytes), each.why, state))
    return Table(("from", "to", "size", "is", "and is"), rows, frozenset((2,)))


def _rows(answer: Audit) -> list[tuple[str, Text]]:
    rows: list[tuple[str, Text]] = [] if answer.counts else [("rules", _rules_text(answer))]
    rows += kernel_rows(answer.isolation) or limit_rows(answer.isolation)
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
    rows += labelled("not asked", [f"{each.rule.name}: {each.unasked}" for each in answer.checked if each.unasked])
    rows += labelled("explained", [text for each in answer.checked for text in each.explained])
    rows += labelled("stale", [*map(_stale_text, answer.stale)])
    if answer.unknown_before:
        rows.append(("baseline", f"was not asked before, so that all is new: {', '.join(answer.unknown_before)}"))
    rows += [] if answer.written is None else [("written", _written_text(answer.written))]
    rows += guest_rows(answer.guest)
    return [*rows, *(("unreadable", hole_text(hole)) for hole in answer.unreadable)]


def _written_text(written: WrittenBaseline) -> str:
    kept = f", {written.kept} of them kept, of rules that were not asked now" if written.kept else ""
    return f"{written.name} has {number_of(written.count, 'finding')}{kept}"


def _stale_text(each: KnownFinding) -> str:
    return f"{each.rule} at {each.first:#x} is in the baseline, and is not found any more: {each.said}"


def record(answer: Audit | RuleList) -> JsonObject:
    if isinstance(answer, RuleList):
        return {"rules": [_rule_said(each) for each in answer.rules]}
    linear = answer.linear
    return {
        "looked_at": {"roots": answer.roots, "tables": answer.tables, "leaves": answer.leaves},
        "rules": [_rule_record(each) for each in answer.checked],
        "findings": [finding_record(each) for each in answer.findings],
        "known": [finding_record(each) for each in answer.known],
        "stale": [
            {"rule": each.rule, "first": hexadecimal(each.first), "size": each.size_bytes, "said": each.said}
            for each in answer.stale
        ],
        "baseline_lacks": list(answer.unknown_before),
        "written": None
        if answer.written is None
        else {"file": answer.written.name, "findings": answer.written.count, "kept": answer.written.kept},
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


def _rule_said(rule: Rule) -> JsonObject:
    return {
        "rule": rule.name,
        "severity": name_of(rule.severity),
        "says": rule.summary,
        "asked_of": rule.of,
        "source": rule.source,
    }


def _rule_record(each: Checked) -> JsonObject:
    return {
        **_rule_said(each.rule),
        "examined": each.examined,
        "findings": len(each.findings),
        "explained": list(each.explained),
        "unasked": each.unasked or None,
    }


def finding_record(each: Finding) -> JsonObject:
    entry = each.entry
    return {
        "rule": each.rule.name,
        "severity": name_of(each.rule.severity),
        "said": each.said,
        "first": hexadecimal(each.first),
        "size": each.size_bytes,
        "stage": None if each.range is None else each.range.regime.stage,
        "cpus": [] if each.range is None else list(each.range.cpus),
        "root": None if each.range is None else hexadecimal(each.range.regime.root),
        "descriptor_address": None if entry is None else hexadecimal(entry.pa),
        "descriptor": None if entry is None else hexadecimal(entry.word),
        "level": None if entry is None else entry.level,
        "deciding": [] if entry is None else [_deciding_record(value) for value in entry.deciding],
        "output": optional_hexadecimal(each.output),
        "evidence": list(each.evidence),
        "next": next_command(each) or None,
    }


def _deciding_record(value: FieldValue) -> JsonObject:
    return {"field": value.field.name, "bits": value.field.position, "value": hexadecimal(value.value)}


FORMS: Final = {"sarif": sarif, "github": github}
"""What writes all answers together in a form of others."""
