"""`map`: everything a translation regime maps, as maximal uniform runs, every column of which can be filtered."""

from __future__ import annotations

import enum
import re
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from gdbtools import numbers
from gdbtools.addresses import PA, Input
from gdbtools.analysis.areas import Area, areas
from gdbtools.analysis.guest_runs import GuestRun
from gdbtools.analysis.mappings import CountedRead
from gdbtools.analysis.selection import Keep, OneLevel, Permission, Who, Whose, permits, touched_by
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.isolation import Isolation
from gdbtools.arch.model import Hole, Privilege, Regime, Rights, Run
from gdbtools.commands.guest_frames import guest_wanted
from gdbtools.commands.map.looking import Broken, MapRanges, Part
from gdbtools.commands.privileges import check_runs_in, privilege_asked
from gdbtools.commands.session import OfGuest, OfTask, Session
from gdbtools.commands.spaces import KERNEL, PV, asked_ranges, limit_text
from gdbtools.commands.what_if import Supposition, WhatIf, suppose
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.model import Machine, expected_by
from gdbtools.systems.guest_frames import GuestFrames
from gdbtools.units import PAGE_BYTES
from gdbtools.wording import number_of

MOST_RUNS = 20_000
"""How many runs are listed where nobody says: more than real tables have, and what a list may cost that has no end."""


class Listing(enum.Enum):
    """What is listed, a row each."""

    FITTING = enum.auto()
    """Runs, or areas on a screen that the runs are too many for."""
    RUNS = enum.auto()
    AREAS = enum.auto()


Asked = tuple[str, Machine, Regime]
"""A range to look at: its space, the machine as it is in that, and how it is translated."""


@dataclass(frozen=True)
class Map:
    """What a regime maps, range by range, and contiguous runs that are broken.

    `mapped_bytes` is how much there is in `runs`, after the filters; `unwanted` says that there should be nothing.
    `leaves` and `tables` are how many were looked at.  What a reduced space and the kernel's own have both is in the
    part of the kernel's alone.
    """

    parts: tuple[Part, ...]
    architecture: Architecture
    broken: tuple[Broken, ...]
    suppositions: tuple[Supposition, ...]
    leaves: int
    tables: int
    isolation: Isolation | None = None
    unwanted: bool = False
    listing: Listing = Listing.FITTING
    rest: tuple[int, int] | None = None
    """What was not listed because of --limit, (first, size in bytes); None: nothing."""
    guest: GuestFrames | None = None
    """Whose numbers are listed beside the machine's, where that was asked for."""

    @property
    def guest_runs(self) -> Sequence[GuestRun]:
        return [run for part in self.parts for run in part.guest_runs]

    @cached_property
    def runs(self) -> Sequence[Run]:
        return [run for part in self.parts for run in part.runs]

    @cached_property
    def areas(self) -> Sequence[Area]:
        """The runs, merged where they agree in their attributes."""
        return [area for part in self.parts for area in areas(part.runs)]

    @property
    def holes(self) -> Sequence[Hole]:
        return [hole for part in self.parts for hole in part.holes]

    @property
    def regimes(self) -> Sequence[Regime]:
        return [part.regime for part in self.parts]

    @property
    def mapped_bytes(self) -> int:
        """How much is mapped for hardware: what is soft-invalid is not."""
        return sum(run.size_bytes for run in self.runs if not run.kind.soft_invalid)

    @property
    def is_unseen(self) -> bool:
        """Return whether nothing that fits was found, but not everything could be looked at: that is no "nothing"."""
        return not self.runs and bool(self.unreadable)

    @property
    def unreadable(self) -> Sequence[Hole]:
        """The tables that nobody could read; one that stage 2 refuses maps nothing for hardware either."""
        return [hole for hole in self.holes if hole.refusal is None]


@dataclass(frozen=True, kw_only=True)
class Options(WhatIf, OfGuest, OfTask):
    """What may be asked of `map`, as `declared` has it."""

    range: tuple[Input, int] | None = None
    regime: str | None = None
    root: int | None = None
    space: str | None = None
    perm: str | None = None
    privilege: str | None = None
    el0: bool = False
    el1: bool = False
    type: str | None = None
    unaccessed: bool = False
    dirty: bool = False
    size: str | None = None
    physical: tuple[PA, int] | None = None
    areas: bool = False
    runs: bool = False
    limit: int | None = None
    expect_none: bool = False


def run(session: Session, options: Options) -> Sequence[Map]:
    limit = MOST_RUNS if options.limit is None else options.limit
    if options.limit == 0:
        raise UsageError("--limit 0 lists nothing; give at least 1")
    listing = _listing(options)
    supposed = suppose(session.machine, options, options.regime, options.space, options.root)
    keep = _filters(options, supposed.machine.architecture)
    counted = CountedRead(supposed.machine.memory.read, expected_by(supposed.machine.memory))
    guest = guest_wanted(supposed.spaces.machine) if options.space == PV else None
    looked = MapRanges(counted, options.range, options.physical, keep, limit, guest)
    ranges = _of_range(asked_ranges(supposed.spaces, options.space, options.regime), options.range)
    asked = privilege_asked(supposed.machine.architecture, options.privilege)
    if asked is not None and not any(asked in _levels(supposed.machine, regime) for _, _, regime in ranges):
        check_runs_in(supposed.machine.architecture, asked, ranges[0][2])
    parts = _once([looked.at(space, regime) for space, _, regime in ranges])
    found = Map(
        tuple(parts),
        supposed.machine.architecture,
        tuple(looked.broken.values()),
        supposed.suppositions,
        looked.leaves,
        len(counted.tables),
        supposed.spaces.isolation,
        options.expect_none,
        listing,
        guest=guest,
    )
    unseen = _unseen(found, options)
    if found.is_unseen and not found.leaves:
        raise Unavailable(f"nothing can be said of what is mapped: {unseen}")
    if unseen and found.unwanted and not found.runs and not found.broken:
        raise Unavailable(f"nothing that fits in the {looked_text(found)}, but not all could be seen: {unseen}")
    return (_limited(found, limit, options.range),)


def _levels(machine: Machine, regime: Regime) -> Sequence[Privilege]:
    return machine.architecture.privileges_of(regime)


def _of_range(ranges: Sequence[Asked], wanted: tuple[int, int] | None) -> Sequence[Asked]:
    """Return the halves that have some of the addresses that are wanted; all, where none has."""
    if wanted is None:
        return ranges
    first, last = wanted[0], sum(wanted) - 1
    return [each for each in ranges if each[2].first <= last and first <= each[2].last] or ranges


def _listing(options: Options) -> Listing:
    if options.areas and options.runs:
        raise UsageError("--areas and --runs exclude each other; leave both out to have what fits the screen")
    return Listing.AREAS if options.areas else Listing.RUNS if options.runs else Listing.FITTING


def _limited(found: Map, limit: int, wanted: tuple[int, int] | None) -> Map:
    """Leave out what lies behind the first so many runs, in order of address, of all parts."""
    firsts = sorted(run.first for run in found.runs)
    # At least one, where several parts have runs that begin at the same address.
    cuts = [each for each in firsts[limit:] if each > firsts[0]][:1]
    cuts += [part.left_at for part in found.parts if part.left_at is not None]
    if not cuts:
        return found
    cut = min(cuts)
    parts = [
        replace(
            part,
            runs=tuple(run for run in part.runs if run.first < cut),
            guest_runs=tuple(each for each in part.guest_runs if each.run.first < cut),
        )
        for part in found.parts
    ]
    end = sum(wanted) if wanted is not None else max(part.regime.last for part in found.parts) + 1
    return replace(found, parts=tuple(parts), rest=(cut, end - cut))


def _once(parts: Sequence[Part]) -> list[Part]:
    """Leave out of a reduced space what the kernel's own maps in the same way."""
    kernels = [run for part in parts if part.space == KERNEL for run in part.runs]
    firsts = [run.first for run in kernels]

    def in_kernels(run: Run) -> bool:
        at = bisect(firsts, run.first)
        return at > 0 and _same(run, kernels[at - 1])

    return [
        part if part.space == KERNEL else replace(part, runs=tuple(run for run in part.runs if not in_kernels(run)))
        for part in parts
    ]


def _same(run: Run, other: Run) -> bool:
    """Return whether all of a run is in another, which leads to the same places with the same attributes."""
    if not (other.first <= run.first and run.last <= other.last):
        return False
    if run.output is None or other.output is None:
        return False
    if (run.stride_bytes, run.leaf_bytes) != (other.stride_bytes, other.leaf_bytes):
        return False
    return other.output + other.offset_of(run.first) == run.output and other.kind == run.kind


def _unseen(found: Map, options: Options) -> str:
    """Return what of the range that was asked about could not be seen; empty where all of it was."""
    if found.unreadable:
        hole, *others = found.unreadable
        more = f", and {len(others)} more" if others else ""
        return f"the table at PA {hole.pa:#x}{more}: {hole.why}"
    isolated = found.isolation
    if isolated is None or isolated.full is not None or options.space is not None:
        return ""
    first, size_bytes = options.range or (0, 1 << 64)
    hidden = first <= isolated.reduced.last and isolated.reduced.first < first + size_bytes
    return limit_text(isolated) if hidden else ""


def looked_text(found: Map) -> str:
    return f"{number_of(found.leaves, 'leaf', 'leaves')} in {number_of(found.tables, 'table', 'tables')}"


def _filters(options: Options, architecture: Architecture) -> list[Keep]:
    """Return the tests that a run has to pass, one for each option that was given."""
    if options.el0 and options.el1:
        raise UsageError("--el0 and --el1 exclude each other; leave both out to ask about either")
    who = _whose(options, architecture)
    keep: list[Keep] = []
    if options.perm is not None:
        keep.append(permits(_permission(options.perm), who))
    elif who is not Who.ANYBODY:
        keep.append(touched_by(who))
    if options.type is not None:
        wanted = _memory_type(options.type, architecture.memory_types)
        keep.append(lambda run: wanted in run.attributes.memory.lower())
    if options.unaccessed:
        keep.append(lambda run: not run.attributes.accessed)
    if options.dirty:
        keep.append(lambda run: bool(run.attributes.dirty))
    if options.size is not None:
        leaf = _size(options.size)
        keep.append(lambda run: run.leaf_bytes == leaf)
    return keep


def _whose(options: Options, architecture: Architecture) -> Whose:
    """Return whose rights are asked about: a level by its name, or one by its place among those of each regime."""
    asked = privilege_asked(architecture, options.privilege)
    if asked is None:
        return Who.USER if options.el0 else Who.PRIVILEGED if options.el1 else Who.ANYBODY
    if options.el0 or options.el1:
        raise UsageError(f"--privilege and --el{int(not options.el0)} exclude each other; leave one out")
    return OneLevel(asked)


_NO_TYPES: Final = frozenset(("unpredictable", "reserved", "mair", "as"))
"""How what is no memory type begins: what no register says, or no manual."""


def _memory_type(text: str, known: Collection[str]) -> str:
    """Return what the names of memory types are searched for; refuse what none of them has, and so no leaf ever."""
    wanted = text.lower()
    if known and not any(wanted in each.lower() for each in known):
        raise UsageError(f"no memory type has {text!r} in its name; write part of one that does, like {_likes(known)}")
    return wanted


def _likes(known: Collection[str]) -> str:
    """Return how an architecture's memory types begin, the two that most of them do, as examples."""
    count = Counter(re.split(r"[^a-z]", each.lower())[0] for each in known)
    plain = [each for each in sorted(count, key=lambda each: (-count[each], each)) if each not in _NO_TYPES]
    return " or ".join(sorted(plain[:2]))


def _permission(text: str) -> Permission:
    """Read `wx` as "at least these", and a form with dashes, `r-x`, as exactly these."""
    letters = text.lower()
    named = letters.replace("-", "")
    if not re.fullmatch(r"[rwx]{1,3}|[r-][w-][x-]", letters) or len(set(named)) < len(named):
        raise UsageError(f"{text!r} are no permissions; write some of r, w, x, like wx, or all three places, like r-x")
    wanted = Rights("r" in letters, "w" in letters, "x" in letters)
    return Permission(wanted, exact="-" in letters)


def _size(text: str) -> int:
    size_bytes = numbers.size(text)
    if size_bytes is None:
        raise UsageError(f"{text!r} is no size; write it like 4k, 64k, 2m or 1g")
    if size_bytes < PAGE_BYTES or size_bytes.bit_count() != 1:
        raise UsageError(f"{text!r} is the size of no leaf; write one that is, like 4k, 64k, 2m or 1g")
    return size_bytes


def finding(answer: Map) -> bool:
    """Return whether an answer is a finding: exit status 1."""
    return bool(answer.broken) or (answer.unwanted and bool(answer.runs))
