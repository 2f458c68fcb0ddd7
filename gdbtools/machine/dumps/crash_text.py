"""Crashes in a text of any size: read as a stream, its prefixes taken off, its lines given to each grammar.

A text without any grammar's signs is looked at by the megabyte; only where there is one are lines looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from gdbtools.errors import UsageError
from gdbtools.machine.dumps import magic
from gdbtools.machine.dumps.files import open_file
from gdbtools.printable import without_sequences
from gdbtools.systems import crash_grammars, exception_logs
from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.qemu.exceptions import ExceptionLog

BLOCK_BYTES: Final = 1 << 20
LONGEST: Final = 1 << 10
"""How many characters of a line are looked at, of twice as many bytes: no line of a crash is longer."""
SILENT: Final = 200
"""After how many lines that say nothing of it a crash is over."""
NEAR: Final = 8
"""Within how many lines of its first words a crash that is read takes the place of one that is only named."""
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
        if self.facts is None and not any(sign in line for sign in self.grammar.signs):
            return None
        over = None
        found = {name: [*pattern.finditer(line)] for name, pattern in self._looked_for()}
        begins = next((name for chain in self.grammar.begins for name in chain if found.get(name)), None)
        if begins is not None and (self.facts is None or self._again(begins, line, found)):
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

    def _again(self, begins: str, line: str, found: Mapping[str, Sequence[re.Match[str]]]) -> bool:
        """Return whether a line that begins a crash begins another one: each has those of a chain once, in order."""
        assert self.facts is not None, "asked inside a crash"
        if self.grammar.says_twice and line == self.facts.title and all(found[name] for name in self.facts.found):
            # It has said nothing else yet.
            return False
        own = next(chain for chain in self.grammar.begins if begins in chain)
        earlier = own[: own.index(begins)]
        others = [name for chain in self.grammar.begins for name in chain if name not in earlier]
        return any(self.facts.all(name) for name in others)


@dataclass
class CrashText:
    """The crashes of a text, in the order in which they end; `lines` says how many lines have been read.

    `exceptions` are what an emulator logged of them, an architecture each; a loop of those is the last crash.
    """

    file: BinaryIO
    lines: int = 0
    exceptions: Sequence[ExceptionLog] = field(
        default_factory=lambda: [ExceptionLog(each) for each in exception_logs()]
    )
    _quiet_until: int = 0
    """The last line in which the words of a last resort are those of a crash before it."""
    _gathering: Sequence[_Gathering] = field(default_factory=lambda: [_Gathering(each) for each in crash_grammars()])

    def __iter__(self) -> Iterator[Crash]:
        rest = b""
        while read := self.file.read(BLOCK_BYTES):
            block = rest + read
            cut = block.rfind(b"\n") + 1
            # Of a line that has no end yet no more is kept than is looked at.
            rest = block[cut:][: LONGEST * 2]
            yield from self._of_block(block[:cut])
        yield from self._of_block(rest)
        for each in self._gathering:
            yield from _made(each.grammar, each.facts)
        for log in self.exceptions:
            loop = log.end()
            if loop is not None:
                yield log.grammar.crash(loop)

    def _of_block(self, block: bytes) -> Iterator[Crash]:
        for log in self.exceptions:
            log.take(block, self.lines + 1)
        inside = any(each.facts is not None for each in self._gathering)
        if not inside and not any(sign in block for sign in self._signs):
            self.lines += block.count(b"\n") + (not block.endswith(b"\n") and bool(block))
            return
        for line in block.splitlines(keepends=True):
            said = clean(line)
            for each in self._gathering:
                yield from self._taken(each, said)
            # What a carriage return begins again is the same line of the text.
            self.lines += line.endswith(b"\n")
        self.lines += not block.endswith(b"\n") and bool(block)

    def _taken(self, gathering: _Gathering, line: str) -> Iterator[Crash]:
        """Yield the crash that is over by a line; a last resort has none while there is another, and soon after it."""
        number = self.lines + 1
        if not gathering.grammar.is_last_resort:
            yield from _made(gathering.grammar, gathering.take(number, line))
        elif any(each.facts is not None for each in self._gathering if not each.grammar.is_last_resort):
            self._quiet_until = number + SILENT
            over, gathering.facts = gathering.facts, None
            if over is not None and number - over.line > NEAR:
                yield from _made(gathering.grammar, over)
        elif number > self._quiet_until:
            yield from _made(gathering.grammar, gathering.take(number, line))

    @property
    def _signs(self) -> Sequence[bytes]:
        return [sign.encode() for each in self._gathering for sign in each.grammar.signs]


def _made(grammar: Grammar, facts: CrashFacts | None) -> Iterator[Crash]:
    made = None if facts is None else grammar.crash(facts)
    if made is not None:
        yield made


def open_text(path: Path) -> BinaryIO:
    """Open a text for reading; raises `UsageError` for a dump, and what else is none."""
    file = open_file(path)
    what = magic.not_text(file.read(magic.LOOKED_AT), str(path))
    if what:
        file.close()
        raise UsageError(f"{path} is {what}")
    file.seek(0)
    return file


def clean(line: bytes) -> str:
    """Return a line as the system printed it: without colours and whatever was put before it on its way."""
    text = without_sequences(line[: LONGEST * 2].decode(errors="replace")).replace("\0", "")[:LONGEST]
    prefixes = _PREFIXES.match(text)
    return text[prefixes.end() if prefixes else 0 :].rstrip()
