"""Findings as systems of continuous integration read them: SARIF, and the messages of a GitHub workflow.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; GitHub, "Workflow commands".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from gdbtools import __version__
from gdbtools.analysis.audit.findings import Finding, Rule
from gdbtools.commands.audit.baseline import known_of
from gdbtools.commands.audit.next_command import next_command, typed
from gdbtools.commands.audit.run import Audit, RuleList
from gdbtools.render.json import JsonObject
from gdbtools.render.workflow import message
from gdbtools.wording import name_of

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION: Final = "2.1.0"
HOME: Final = "https://pypi.org/project/gdbtools/"
FINGERPRINT: Final = "gdbtools/v1"


def sarif(answers: Sequence[Audit | RuleList]) -> str:
    """Return a SARIF log with a run for each answer."""
    log = {"$schema": SCHEMA, "version": VERSION, "runs": [_run(each) for each in answers]}
    return json.dumps(log, indent=2) + "\n"


def _run(answer: Audit | RuleList) -> JsonObject:
    rules = [each.rule for each in answer.checked] if isinstance(answer, Audit) else answer.rules
    program = {"name": "gdbtools", "version": __version__, "informationUri": HOME}
    driver = {**program, "rules": [_rule(each) for each in rules]}
    results = [*_results(answer, rules)] if isinstance(answer, Audit) else []
    return {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}


def _rule(rule: Rule) -> JsonObject:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": f"{rule.summary}. Source: {rule.source}"},
        "defaultConfiguration": {"level": name_of(rule.severity)},
    }


def _results(answer: Audit, rules: Sequence[Rule]) -> Iterator[JsonObject]:
    old = set(map(id, answer.known))
    for each in answer.all_findings:
        entry = each.entry
        lines = [each.said, *each.evidence]
        if entry is not None:
            decides = ", ".join(f"{value.field.name} {value.field.position}" for value in entry.deciding)
            by = f", decided by {decides}" if decides else ""
            lines.append(f"descriptor {entry.word.padded} at PA {entry.pa:#x}{by}")
        if following := next_command(each):
            lines.append(f"next: {typed(following, answer.source_words)}")
        known = id(each) in old
        yield {
            "ruleId": each.rule.name,
            "ruleIndex": rules.index(each.rule),
            "level": name_of(each.rule.severity),
            "message": {"text": "\n".join(lines)},
            "locations": [_location(answer, each)],
            "partialFingerprints": {FINGERPRINT: ":".join(map(str, known_of(each).key))},
            **({} if answer.baseline is None else {"baselineState": "unchanged" if known else "new"}),
            **({"suppressions": [{"kind": "external", "justification": "in the baseline"}]} if known else {}),
        }


def _location(answer: Audit, each: Finding) -> JsonObject:
    """Return where a finding is: the address range as a logical place, and in the first file that was read."""
    label = "table" if each.range is None else f"{each.range.regime.input_label} {each.first:#x}"
    logical = {"name": label, "fullyQualifiedName": f"{known_of(each).space or 'memory'}: {label}", "kind": "memory"}
    uri = answer.sources[0] if answer.sources else "guest"
    physical = {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}
    return {"physicalLocation": physical, "logicalLocations": [logical]}


def github(answers: Sequence[Audit | RuleList]) -> str:
    """Return a message of a GitHub workflow for each new finding."""
    lines = []
    for answer in (each for each in answers if isinstance(each, Audit)):
        for each in answer.findings:
            following = next_command(each)
            text = f"{each.said}; next: {typed(following, answer.source_words)}" if following else each.said
            lines.append(message(name_of(each.rule.severity), text, {"title": each.rule.name}))
    return "".join(lines)
