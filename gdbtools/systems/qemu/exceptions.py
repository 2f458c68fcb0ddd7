"""Exceptions as QEMU logs them (`-d int`): counted by CPU, and the first that repeats up to the end of the log.

Exceptions that software asks for, and interrupts, repeat in every guest: they are counted, and no more.  Of the others
a round of a few that repeats to the end is a loop: what a fault leads to that its own handler takes again, or does not
mend.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gdbtools.systems.crash import Crash

LONGEST_ROUND: Final = 4
"""How many exceptions a round of a loop has at most."""
REPEATS: Final = 16
"""How often a round has to come to be a loop."""
AROUND_BYTES: Final = 1 << 12
"""What is looked at of the log before and behind an exception."""
MOST_KINDS: Final = 1 << 10
"""How many CPUs and kinds of exceptions are told apart."""


class Taken(NamedTuple):
    """An exception in some bytes of a log: where it is, on which CPU (empty: that is not logged), and what it is.

    `same` is equal for those that are the same.  `usual` are those that repeat in every guest; one that `kills` has no
    other behind it, and is a consequence of those before it.
    """

    at: int
    cpu: str
    name: str
    same: bytes
    usual: bool = False
    kills: bool = False


@dataclass
class KeptException:
    """An exception that is kept: the line that it is in, from 1, and the bytes of the log around it.

    `around` begins `before` bytes before the exception.
    """

    at: int
    taken: Taken
    line: int = 0
    around: bytes = b""
    before: int = 0

    @property
    def title(self) -> str:
        """Its first line."""
        return self.around[self.before :].split(b"\n", 1)[0].decode(errors="replace").strip()


@dataclass(frozen=True)
class Loop:
    """Exceptions that repeat up to the end: the first one of a round of so many, and how often the round comes.

    `cause` is the exception before the first round, None where there is none.  With `killed` it came once, and the CPU
    could take no more.
    """

    first: KeptException
    cause: KeptException | None
    round: int
    times: int
    killed: bool = False

    @property
    def said(self) -> str:
        if self.killed:
            return "the CPU could not take it, nor what that led to, and was reset"
        each = "" if self.round == 1 else f", each time with {self.round - 1} more"
        return f"{self.times:,} times, up to the end of the log{each}"


@dataclass(frozen=True)
class LogGrammar:
    """What QEMU logs of an architecture's exceptions, `whose` is its title; every one has the `sign` in it."""

    whose: str
    sign: bytes
    taken: Callable[[bytes], Iterator[Taken]]
    crash: Callable[[Loop], Crash]


@dataclass
class _Cpu:
    """The last exceptions of a CPU, and since when each length of a round has repeated."""

    recent: deque[KeptException] = field(default_factory=lambda: deque(maxlen=LONGEST_ROUND + 1))
    held: list[int] = field(default_factory=lambda: [0] * LONGEST_ROUND)
    firsts: list[tuple[KeptException, KeptException | None] | None] = field(
        default_factory=lambda: [None] * LONGEST_ROUND
    )
    killed: Loop | None = None

    def take(self, found: KeptException) -> None:
        recent = self.recent
        count = len(recent)
        same = found.taken.same
        for length in range(1, LONGEST_ROUND + 1):
            if length > count or recent[-length].taken.same != same:
                self.held[length - 1] = 0
            else:
                if not self.held[length - 1]:
                    self.firsts[length - 1] = (recent[-length], recent[-length - 1] if length < count else None)
                self.held[length - 1] += 1
        recent.append(found)

    def kill(self) -> None:
        """Keep what the first of the exceptions was that one could not be taken behind."""
        if self.killed is None and self.recent:
            first = self.recent[-2] if len(self.recent) > 1 and self.recent[-1].taken.kills else self.recent[-1]
            self.killed = Loop(first, None, 1, 1, killed=True)

    def loop(self) -> Loop | None:
        for length, (held, first) in enumerate(zip(self.held, self.firsts, strict=True), start=1):
            if first is not None and held >= REPEATS * length:
                return Loop(*first, length, held // length + 1)
        return self.killed

    def kept(self) -> Iterator[KeptException]:
        yield from self.recent
        for first in self.firsts:
            if first is not None:
                yield first[0]
                if first[1] is not None:
                    yield first[1]
        if self.killed is not None:
            yield self.killed.first


@dataclass
class ExceptionLog:
    """What a log has of one architecture's exceptions, block for block: how many of which, and each CPU's loop."""

    grammar: LogGrammar
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By CPU and name."""
    _cpus: dict[str, _Cpu] = field(default_factory=dict)
    _rest: bytes = b""
    _rest_line: int = 0

    def take(self, block: bytes, line: int) -> None:
        """Look at the next whole lines of a log, of which the first is that line, from 1."""
        if not self._rest and self.grammar.sign not in block:
            return
        data, first = self._rest + block, self._rest_line if self._rest else line
        self._rest = b""
        last = data.rfind(self.grammar.sign)
        last = data.rfind(b"\n", 0, last) + 1
        if len(data) - last < AROUND_BYTES:
            # What follows it belongs to it, and comes with the next block.
            self._rest = data[last:]
            self._rest_line = first + data.count(b"\n", 0, last)
            data = data[:last]
        self._look(data, first)

    def end(self) -> Loop | None:
        """Look at what is left; return the loop that began first, None where there is none."""
        data, self._rest = self._rest, b""
        self._look(data, self._rest_line)
        loops = [loop for each in self._cpus.values() if (loop := each.loop()) is not None]
        return min(loops, key=lambda loop: loop.first.line, default=None)

    def _look(self, data: bytes, line: int) -> None:
        for taken in self.grammar.taken(data):
            key = taken.cpu, taken.name
            if key in self.counted or len(self.counted) < MOST_KINDS:
                self.counted[key] += 1
            if taken.usual or (taken.cpu not in self._cpus and len(self._cpus) >= MOST_KINDS):
                continue
            cpu = self._cpus.setdefault(taken.cpu, _Cpu())
            if taken.kills and not taken.same:
                cpu.kill()
            else:
                cpu.take(KeptException(taken.at, taken))
        for cpu in self._cpus.values():
            for each in cpu.kept():
                if not each.line:
                    each.line = line + data.count(b"\n", 0, each.at)
                    start = max(0, each.at - AROUND_BYTES)
                    each.around, each.before = data[start : each.at + AROUND_BYTES], each.at - start


def numbers(found: Mapping[str, bytes | None]) -> dict[str, int]:
    """Return those of some groups that matched, as hexadecimal numbers."""
    return {name: int(digits, 16) for name, digits in found.items() if digits is not None}


def of_a_loop(loop: Loop) -> tuple[str, ...]:
    """Return what is said of a loop besides its first exception."""
    cause = loop.cause
    before = [] if cause is None else [f"line {cause.line}, right before the first: {cause.title}"]
    return (loop.said, *before)
