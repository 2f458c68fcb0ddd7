"""A crash as a system's own lines tell of it, and how a grammar of such lines is written down.

A grammar is data: what begins a crash, what each line yields, what ends it.  What the lines yield are `CrashFacts`, and
a grammar makes a `Crash` of them: registers that are stated, registers that follow, and descriptors where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from gdbtools.addresses import PA, VA, Input
from gdbtools.arch.model import Assumption, Derived, Regime
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable

MOST: Final = 64
"""How many times one crash may say one thing, before the rest of them is not kept."""
HEX: Final = 16


@dataclass(frozen=True)
class TornLine:
    """A line that is cut, or into which another one has been written, by its number."""

    line: int
    text: str


@dataclass
class CrashFacts:
    """What the lines of one crash have yielded so far: by name, what the groups of its pattern matched, in order."""

    line: int
    """The number of the first line, from 1."""
    title: str
    """The first line, without its prefixes."""
    found: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    torn: list[TornLine] = field(default_factory=list)
    """Lines that have the words of one of the grammar's, and not the rest of it."""

    def add(self, name: str, groups: tuple[str, ...]) -> None:
        """Keep what a pattern matched, unless it has been said too often."""
        said = self.found.setdefault(name, [])
        if len(said) < MOST:
            said.append(groups)

    def all(self, name: str) -> Sequence[tuple[str, ...]]:
        return self.found.get(name, ())

    def first(self, name: str) -> tuple[str, ...] | None:
        """Return the groups of the first match; None where nothing matched."""
        return next(iter(self.all(name)), None)

    def number(self, name: str, group: int = 0) -> int | None:
        """Return a group of the first match as a hexadecimal number; None where nothing matched, or is no number."""
        groups = self.first(name)
        try:
            return None if groups is None else int(groups[group], HEX)
        except ValueError:
            return None


@dataclass(frozen=True)
class Crash:
    """One crash of a text: what it states, what follows from that, and what it leaves out.

    `stated` are registers that the text has, `deduced` those that follow from it, each with its reason; `descriptors`
    are those that were printed, by where they lie as the walk of them shows.  `doubts` are what the text says against
    itself.  `wanted` are what else to ask for.  `unread` says why no more is made of it; then there is no architecture.
    """

    system: str
    line: int
    title: str
    architecture: str = ""
    stated: Mapping[str, int] = field(default_factory=dict)
    deduced: Derived = field(default_factory=lambda: Derived({}, ()))
    descriptors: Mapping[PA, int] = field(default_factory=dict)
    where: str = ""
    """Where the code was, as the text names it."""
    repeats: tuple[str, ...] = ()
    """How often it happened, and behind what, where the text has it more than once."""
    told: tuple[tuple[str, str], ...] = ()
    """What else the text says, that no register and no descriptor is: of what, and in words."""
    pc: str = ""
    """The register that has that as a number."""
    address: VA | None = None
    """What address it is of, where the text says so."""
    code: bytes = b""
    """The instruction there, and what is printed of those behind it."""
    code_before: bytes = b""
    exception: str = ""
    """What was taken, where that is nothing that tables decide: then there is no syndrome of a fault either."""
    width_register: str = ""
    """The register that has the width of physical addresses, which the same text may say elsewhere."""
    code_at: int | None = None
    """Where the system's code began in the same boot."""
    claims: tuple[str, ...] = ()
    """What the system itself says that it comes of."""
    release: str = ""
    """Which build of the system it was, as the text says."""
    slide: int | None = None
    """How far the system's code was moved from where it is linked; None where the text does not say."""
    doubts: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    unread: str = ""
    torn: tuple[TornLine, ...] = ()
    """The lines of it that could not be read, in order."""


@dataclass
class Deduction:
    """What follows from the lines of a crash so far, each with its reason, and what they have against one another."""

    values: dict[str, int] = field(default_factory=dict)
    assumed: list[Assumption] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def say(self, name: str, text: str) -> None:
        """Add what is assumed of a register."""
        self.assumed.append(Assumption(name, text))

    def assume(self, name: str, value: int, why: str) -> None:
        """Take a register for a value."""
        self.values[name] = value
        self.say(name, f"{name}={value:#x}: {why}")

    def agree(self, name: str, value: int, what: str, stated: Mapping[str, int]) -> None:
        """Hold what a text says otherwise of a register against it; where the register is not stated, it is that."""
        if name not in stated:
            self.assume(name, value, what)
        elif stated[name] != value:
            self.doubts.append(f"{what} is {value:#x}, and {name} has {stated[name]:#x}")

    @property
    def derived(self) -> Derived:
        return Derived(self.values, tuple(self.assumed))


@dataclass(frozen=True)
class Grammar:
    """What a system prints when it crashes.

    `signs` are words of which every crash has one in its first line: a text without any of them has none.  `begins`
    names the `lines` that may be the first: of each kind of crash, in the order in which one has them.  `crash` returns
    None for lines that turn out to be no crash.  One that `is_last_resort` has a crash only where no other has one; one
    that `says_twice` prints its first line on two consoles, which may be one.
    """

    signs: tuple[str, ...]
    begins: tuple[tuple[str, ...], ...]
    lines: Mapping[str, re.Pattern[str]]
    ends: re.Pattern[str]
    crash: Callable[[CrashFacts], Crash | None]
    is_last_resort: bool = False
    says_twice: bool = False
    torn: re.Pattern[str] | None = None
    """What only a line has that is cut short: the words of one of these, and behind them not what belongs there."""
    after: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    """Lines that come behind the end of a crash and are its own all the same."""


def slide(facts: CrashFacts) -> int | None:
    """Return how far the code was moved, by the line `offset`; None where there is none."""
    said = facts.first("offset")
    return None if said is None else facts.number("offset") or 0


def mixed(facts: CrashFacts) -> list[str]:
    """Return that the lines of several CPUs are mixed, where a crash has more than one by its lines `cpu`."""
    cpus = sorted({int(said[0]) for said in facts.all("cpu")})
    named = " and ".join(map(str, cpus))
    return [f"lines of CPUs {named} are mixed: which registers are whose is not shown"] if len(cpus) > 1 else []


def followed(regime: Regime, address: Input, descriptors: Sequence[int]) -> tuple[Mapping[PA, int], Sequence[int]]:
    """Return where the descriptors lie that lead to an address, given root first, and those that no walk reads.

    Each one's address follows from the one before it.
    """
    placed: dict[PA, int] = {}
    left = list(reversed(descriptors))

    def read(pa: PA, size_bytes: int) -> bytes:
        if pa not in placed:
            if not left:
                raise Unreadable(pa, size_bytes, "it was not printed")
            placed[pa] = left.pop()
        return placed[pa].to_bytes(size_bytes, regime.byte_order)

    with suppress(Unreadable):
        walk(regime, address, read)
    return placed, [*reversed(left)]


def followed_by_index(
    regime: Regime, address: Input, entries: Sequence[tuple[int, int, int]], deduced: Deduction
) -> Mapping[PA, int]:
    """Return where the entries of a printed walk lie, each with its level and index, which have to be the address's."""
    levels = {level.number: level for level in regime.levels}
    wrong = any(level not in levels or levels[level].index(address) != index for level, index, _ in entries)
    if wrong or [level for level, *_ in entries] != [*levels][: len(entries)]:
        deduced.doubts.append("the levels or indices of the walk are not those of its address")
        return {}
    placed, left = followed(regime, address, [value for *_, value in entries])
    if left:
        deduced.doubts.append("an entry is printed behind the one that ends the walk")
    return placed
