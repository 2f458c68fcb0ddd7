"""Rules that hold for every system: no memory is both written and executed by the same level of privilege."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gdbtools.analysis.audit.findings import Checked, Finding, RootedRun, Rule, Severity
from gdbtools.arch.model import Privilege, Run
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


def check(rule: Rule, found: Sequence[RootedRun]) -> Checked:
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


def _joined(rule: Rule, broken: Iterable[tuple[RootedRun, tuple[Privilege, ...]]]) -> Iterator[Finding]:
    """Yield a finding for each part of an address space without a gap; what two roots map alike is found once."""
    parts: list[tuple[RootedRun, tuple[Privilege, ...], int]] = []
    seen: set[tuple[int, int, int | None]] = set()
    for each, levels in broken:
        run, root = each.run, each.regime.root
        if (key := (run.first, run.size_bytes, run.output)) in seen:
            continue
        seen.add(key)
        if parts:
            first, who, size_bytes = parts[-1]
            if (first.regime.root, who, first.run.first + size_bytes) == (root, levels, run.first):
                parts[-1] = first, who, size_bytes + run.size_bytes
                continue
        parts.append((each, levels, run.size_bytes))
    for each, levels, size_bytes in parts:
        run = each.run
        said = f"{' and '.join(level.label for level in levels)} may write and execute {size(size_bytes)}"
        place = run.first, size_bytes, each.regime.root, run.descriptor_pa, run.output
        yield Finding(rule, said, *place, (), each.registers)
