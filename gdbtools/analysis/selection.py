"""Which of the mappings: runs cut to ranges, and the tests that they have to pass."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gdbtools.addresses import moved
from gdbtools.arch.model import Hole, Privilege, Rights, Run

Keep = Callable[[Run], bool]


class Who(enum.Enum):
    """Whose rights are asked about."""

    ANYBODY = enum.auto()
    USER = enum.auto()
    PRIVILEGED = enum.auto()
    """The highest level of the regime, whichever that is."""

    def rights(self, run: Run) -> Sequence[Rights]:
        """Return the rights of those levels that the run's regime has."""
        rights = run.attributes.rights
        if self is Who.ANYBODY:
            return tuple(rights.values())
        asked = max(rights) if self is Who.PRIVILEGED else min(rights)
        return (rights[asked],) if self is Who.PRIVILEGED or asked.is_user else ()


@dataclass(frozen=True, slots=True)
class OneLevel:
    """The rights of one level of privilege, whichever others a regime has."""

    level: Privilege

    def rights(self, run: Run) -> Sequence[Rights]:
        """Return its rights; nothing where it does not run in the run's regime."""
        found = run.attributes.rights.get(self.level)
        return () if found is None else (found,)


class Whose(Protocol):
    """Whose rights are asked about."""

    def rights(self, run: Run, /) -> Sequence[Rights]:
        """Return the rights of those levels that the run's regime has."""
        ...


@dataclass(frozen=True, slots=True)
class Permission:
    """Rights that are wanted: at least these, or exactly these."""

    rights: Rights
    exact: bool

    def fits(self, rights: Rights) -> bool:
        pairs = (
            (self.rights.read, rights.read),
            (self.rights.write, rights.write),
            (self.rights.execute, rights.execute),
        )
        return all(wanted == has if self.exact else has or not wanted for wanted, has in pairs)


def permits(permission: Permission, who: Whose) -> Keep:
    return lambda run: any(permission.fits(rights) for rights in who.rights(run))


def touched_by(who: Whose) -> Keep:
    """Keep what they may access in any way at all."""
    return lambda run: any(rights.read or rights.write or rights.execute for rights in who.rights(run))


def within(found: Iterable[Run | Hole], wanted: tuple[int, int] | None) -> Iterator[Run | Hole]:
    """Cut what was found to a range of input addresses, (first, size in bytes), in whole leaves; None is all."""
    if wanted is None:
        yield from found
        return
    first, size_bytes = wanted
    for each in found:
        if each.first > first + size_bytes - 1:
            return
        if each.first + each.size_bytes <= first:
            continue
        if isinstance(each, Hole):
            yield each
        else:
            yield _cut(each, first - each.first, first + size_bytes - each.first)


def onto(run: Run, wanted: tuple[int, int] | None) -> Iterator[Run]:
    """Cut a run to what leads into a range of physical addresses, in whole leaves; None is all."""
    if wanted is None:
        yield run
        return
    if run.output is None:
        return
    first, size_bytes = wanted
    reach = run.size_bytes if run.stride_bytes else run.leaf_bytes
    if run.output >= first + size_bytes or run.output + reach <= first:
        return
    yield _cut(run, first - run.output, first + size_bytes - run.output) if run.stride_bytes else run


def _cut(run: Run, start: int, end: int) -> Run:
    leaf = run.leaf_bytes
    start = max(start, 0) // leaf * leaf
    end = min(-(-end // leaf) * leaf, run.size_bytes)
    if (start, end) == (0, run.size_bytes):
        return run
    led = start if run.stride_bytes else 0
    return run._replace(
        first=moved(run.first, start),
        size_bytes=end - start,
        output=None if run.output is None else moved(run.output, led),
        ipa=None if run.ipa is None else moved(run.ipa, led),
    )
