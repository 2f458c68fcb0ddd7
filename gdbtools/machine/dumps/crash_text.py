"""Crashes in a text of any size: read as a stream, its prefixes taken off, its lines given to each grammar.

A text without any grammar's signs is looked at by the megabyte; only where there is one are lines looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from gdbtools.printable import without_sequences
from gdbtools.systems import crash_grammars
from gdbtools.systems.crash import Crash, CrashFacts, Grammar

BLOCK_BYTES: Final = 1 << 20
LONGEST: Final = 1 << 10
"""How many characters of a line are looked at: no line of a crash is longer."""
SILENT: Final = 200
"""After how many lines that say nothing of it a crash is over."""
_PREFIXES: Final = re.compile(
    r"(?:\s|>\s"  # what a mail quotes
    r"|<\d+>|kern\s*:\s*\w+\s*:"  # the level, as the kernel or dmesg -x writes it
    r"|\[\s*\d+\.\d+\]|\[\s*[TC]\d+\]"  # the time, the thread or the CPU
    r"|\w{3}\s+\d+ \d\d:\d\d:\d\d(?:\.\d+)? \S+ kernel:"  # syslog, and the journal
    r"|\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:?\d\d)?(?: \S+ kernel:)?"  # the journal, and what CI puts before a line
    r"|\(XEN\))*"
)


@dataclass
class _Gathering:
    """One grammar, and the crash of which its last lines were."""

    grammar: Grammar
    facts: CrashFacts | None = None
    silent: int = 0

    def take(self, number: int, line: str) -> CrashFacts | None:
        """Look at a line; return the crash that is over by it, if one is."""
        over = None
        found = {name: [*pattern.finditer(line)] for name, pattern in self._looked_for()}
        begins = next((name for chain in self.grammar.begins for name in chain if found.get(name)), None)
        if begins is not None and (self.facts is None or self._again(begins)):
            over, self.facts = self.facts, CrashFacts(number, line)
            if over is None:
                # The other patterns have not been asked of this line yet.
                found = {name: [*pattern.finditer(line)] for name, pattern in self.grammar.lines.items()}
        if self.facts is None:
            return over
        self.silent = 0 if any(found.values()) else self.silent + 1
        for name, matches in found.items():
            for match in matches:
                self.facts.add(name, tuple(group or "" for group in match.groups()))
        if self.silent > SILENT or self.grammar.ends.search(line):
            over, self.facts = self.facts, None
        return over

    def _looked_for(self) -> Iterator[tuple[str, re.Pattern[str]]]:
        firsts = [name for chain in self.grammar.begins for name in chain]
        names = firsts if self.facts is None else self.grammar.lines
        return ((name, self.grammar.lines[name]) for name in names)

    def _again(self, begins: str) -> bool:
        """Return whether a line that begins a crash begins another one: each has those of a chain once, in order."""
        assert self.facts is not None, "asked inside a crash"
        own = next(chain for chain in self.grammar.begins if begins in chain)
        earlier = own[: own.index(begins)]
        others = [name for chain in self.grammar.begins for name in chain if name not in earlier]
        return any(self.facts.all(name) for name in others)


@dataclass
class CrashText:
    """The crashes of a text, in the order in which they end; `lines` says how many lines have been read."""

    file: BinaryIO
    lines: int = 0
    _gathering: Sequence[_Gathering] = field(default_factory=lambda: [_Gathering(each) for each in crash_grammars()])

    def __iter__(self) -> Iterator[Crash]:
        rest = b""
        while read := self.file.read(BLOCK_BYTES):
            block = rest + read
            cut = block.rfind(b"\n") + 1 or (len(block) if len(block) >= BLOCK_BYTES else 0)
            rest = block[cut:]
            yield from self._of_block(block[:cut])
        yield from self._of_block(rest)
        for each in self._gathering:
            yield from _made(each, each.facts)

    def _of_block(self, block: bytes) -> Iterator[Crash]:
        inside = any(each.facts is not None for each in self._gathering)
        if not inside and not any(sign in block for sign in self._signs):
            self.lines += block.count(b"\n") + (not block.endswith(b"\n") and bool(block))
            return
        for line in block.splitlines():
            self.lines += 1
            said = clean(line)
            for each in self._gathering:
                yield from _made(each, each.take(self.lines, said))

    @property
    def _signs(self) -> Sequence[bytes]:
        return [sign.encode() for each in self._gathering for sign in each.grammar.signs]


def _made(gathering: _Gathering, facts: CrashFacts | None) -> Iterator[Crash]:
    made = None if facts is None else gathering.grammar.crash(facts)
    if made is not None:
        yield made


def clean(line: bytes) -> str:
    """Return a line as the system printed it: without colours and whatever was put before it on its way."""
    text = without_sequences(line[: LONGEST * 2].decode(errors="replace")).replace("\0", "")[:LONGEST]
    prefixes = _PREFIXES.match(text)
    return text[prefixes.end() if prefixes else 0 :].rstrip()
