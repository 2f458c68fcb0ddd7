"""Rules that hold for every system: no memory is both written and executed by the same level of privilege."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gdbtools.analysis.audit.findings import Checked, Finding, Rule, Severity
from gdbtools.arch.model import Privilege, Regime, Run
from gdbtools.wording import size

WRITABLE_EXECUTABLE: Final = Rule(
    "writable-executable",
    Severity.ERROR,
    "no privileged level may execute what it may write",
    "mappings",
)
USER_WRITABLE_EXECUTABLE: Final = Rule(
    "user-writable-executable",
    Severity.WARNING,
    "no user may execute what it may write: compilers at run time do so",
    "mappings",
)
RULES: Final = (WRITABLE_EXECUTABLE, USER_WRITABLE_EXECUTABLE)


@dataclass(frozen=True, slots=True)
class RunOf:
    """A run, the range that it is of, and the registers that lead there where that is not in force."""

    run: Run
    regime: Regime
    registers: Mapping[str, int]


def check(rule: Rule, found: Sequence[RunOf]) -> Checked:
    """Hold mappings, in order of address within each root, against a rule."""
    of_user = rule is USER_WRITABLE_EXECUTABLE
    asked = [each for each in found if any(level.is_user is of_user for level in each.run.attributes.rights)]
    broken = [(each, levels) for each in asked if (levels := _both(each.run, of_user))]
    return Checked(rule, sum(each.run.leaves for each in asked), tuple(_joined(rule, broken)))


def _both(run: Run, of_user: bool) -> tuple[Privilege, ...]:
    """Return the levels that may write and execute a run."""
    rights = run.attributes.rights
    return tuple(
        level for level in sorted(rights) if level.is_user is of_user and rights[level].write and rights[level].execute
    )


def _joined(rule: Rule, broken: Iterable[tuple[RunOf, tuple[Privilege, ...]]]) -> list[Finding]:
    """Return a finding for each part of an address space without a gap; what two roots map alike is found once."""
    joined: list[Finding] = []
    seen: set[tuple[int, int, int | None]] = set()
    for each, levels in broken:
        run, root = each.run, each.regime.root
        if (key := (run.first, run.size_bytes, run.output)) in seen:
            continue
        seen.add(key)
        who = " and ".join(level.label for level in levels)
        last = joined[-1] if joined else None
        if last and (last.root, last.evidence[0]) == (root, who) and last.first + last.size_bytes == run.first:
            joined[-1] = replace(last, size_bytes=last.size_bytes + run.size_bytes)
        else:
            at = run.descriptor_pa
            joined.append(Finding(rule, "", run.first, run.size_bytes, root, at, run.output, (who,), each.registers))
    return [_said(each) for each in joined]


def _said(each: Finding) -> Finding:
    who = each.evidence[0]
    return replace(each, said=f"{who} may write and execute {size(each.size_bytes)}", evidence=())
