"""Rules of who may do what: nothing is both written and executed, and no user is in the kernel's half."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from gdbtools.analysis.audit.evidence import Holds
from gdbtools.analysis.audit.findings import Checked, Finding, RootedRun, Rule
from gdbtools.analysis.audit.joined import joined, same_places
from gdbtools.analysis.audit.rules import (
    EXECUTABLE_ALIAS,
    EXECUTABLE_LINEAR_MAP,
    USER_ACCESSIBLE_KERNEL,
    USER_EXECUTABLE_ALIAS,
    USER_WRITABLE_EXECUTABLE,
    WRITABLE_EXECUTABLE,
)
from gdbtools.analysis.audit.surveyed import UPPER, Surveyed
from gdbtools.analysis.physical_segments import shared
from gdbtools.arch.model import Attributes, Privilege
from gdbtools.wording import size

Answer = TypeVar("Answer")


def writable_executable(found: Surveyed) -> Checked:
    return _both(found, WRITABLE_EXECUTABLE, False)


def user_writable_executable(found: Surveyed) -> Checked:
    return _both(found, USER_WRITABLE_EXECUTABLE, True)


def _both(found: Surveyed, rule: Rule, of_user: bool) -> Checked:
    asked = [each for each in found.mapped if any(level.is_user is of_user for level in each.run.attributes.rights)]
    both = _of_kind(partial(_writing_and_executing, of_user=of_user))
    broken = [(each, who) for each in asked if (who := both(each))]

    def holds(attributes: Attributes) -> bool:
        return bool(_writing_and_executing(attributes, of_user))

    said = "{who} may write and execute {size}"
    return Checked(rule, _leaves(asked), tuple(_stretches(found, rule, broken, said, holds)))


def _writing_and_executing(attributes: Attributes, of_user: bool) -> tuple[Privilege, ...]:
    rights = attributes.rights
    return tuple(
        level for level in sorted(rights) if level.is_user is of_user and rights[level].write and rights[level].execute
    )


def _of_kind(asks: Callable[[Attributes], Answer]) -> Callable[[RootedRun], Answer]:
    """Return what asks of a run, once for each kind of leaf: a million runs are of a few kinds."""
    known: dict[int, Answer] = {}

    def asked(each: RootedRun) -> Answer:
        kind = each.run.kind
        if id(kind) not in known:
            known[id(kind)] = asks(kind.attributes)
        return known[id(kind)]

    return asked


def _leaves(found: Iterable[RootedRun]) -> int:
    return sum(each.run.leaves for each in found)


def _stretches(
    found: Surveyed, rule: Rule, broken: Sequence[tuple[RootedRun, tuple[Privilege, ...]]], said: str, holds: Holds
) -> Iterator[Finding]:
    """Yield a finding for each stretch of an address space without a gap that the same levels may do this to."""
    for first, size_bytes, who in joined(broken):
        words = said.format(who=" and ".join(level.label for level in who), size=size(size_bytes))
        yield found.evidence.finding(rule, words, first, first.run.first, size_bytes, holds=holds)


def executable_alias(found: Surveyed) -> Checked:
    return _aliases(found, EXECUTABLE_ALIAS, False)


def user_executable_alias(found: Surveyed) -> Checked:
    return _aliases(found, USER_EXECUTABLE_ALIAS, True)


def _aliases(found: Surveyed, rule: Rule, of_user: bool) -> Checked:
    """Look for memory that is executed by one address and written by another; what one address does is another rule."""
    executing, both, writing = (
        _of_kind(partial(asks, of_user=of_user)) for asks in (_executing, _writing_and_executing, _writing)
    )
    executed = [each for each in found.in_force if executing(each) and not both(each)]
    written = [each for each in found.in_force if writing(each)]
    findings: list[Finding] = []
    for first, size_bytes, of, by in same_places(shared(executed, written)):
        levels = " and ".join(level.label for level in _executing(of.run.attributes, of_user))
        said = f"{levels} may execute {size(size_bytes)} that may be written by another address"
        other = found.evidence.also(by, by.address_of(first))
        place = of.address_of(first), size_bytes

        def holds(attributes: Attributes) -> bool:
            return bool(_executing(attributes, of_user))

        findings.append(found.evidence.finding(rule, said, of, *place, (other,), holds))
    return Checked(rule, _leaves(executed), tuple(findings))


def _executing(attributes: Attributes, of_user: bool) -> tuple[Privilege, ...]:
    rights = attributes.rights
    return tuple(level for level in sorted(rights) if level.is_user is of_user and rights[level].execute)


def _writing(attributes: Attributes, of_user: bool) -> bool:
    """Return whether a user may write; or, where a privileged level is asked about, anybody."""
    return any(rights.write for level, rights in attributes.rights.items() if level.is_user or not of_user)


def user_accessible_kernel(found: Surveyed) -> Checked:
    asked = [each for each in found.mapped if each.run.first >= UPPER]
    broken = [(each, who) for each in asked if (who := _users(each.run.attributes))]

    def holds(attributes: Attributes) -> bool:
        return bool(_users(attributes))

    said = "{who} may access {size} of the kernel's half"
    return Checked(
        USER_ACCESSIBLE_KERNEL,
        _leaves(asked),
        tuple(_stretches(found, USER_ACCESSIBLE_KERNEL, broken, said, holds)),
        unasked="" if asked else "nothing is mapped in an upper half",
    )


def _users(attributes: Attributes) -> tuple[Privilege, ...]:
    rights = attributes.rights
    return tuple(
        level
        for level in sorted(rights)
        if level.is_user and (rights[level].read or rights[level].write or rights[level].execute)
    )


def executable_linear_map(found: Surveyed) -> Checked:
    """A kernel that runs in its linear map has no other place for its code: then there is nothing to ask."""
    linear = found.linear
    if linear is None or linear.base < UPPER:
        return Checked(EXECUTABLE_LINEAR_MAP, 0, (), unasked="there is no linear map in an upper half")
    if linear.base in found.kernel_at:
        return Checked(EXECUTABLE_LINEAR_MAP, 0, (), unasked="the kernel itself runs in its linear map")
    asked = [each for each in found.mapped if linear.has(each.run.first)]
    broken = [(each, who) for each in asked if (who := _executing(each.run.attributes, False))]

    def holds(attributes: Attributes) -> bool:
        return bool(_executing(attributes, False))

    said = "{who} may execute {size} of the linear map"
    rule = EXECUTABLE_LINEAR_MAP
    return Checked(rule, _leaves(asked), tuple(_stretches(found, rule, broken, said, holds)))
