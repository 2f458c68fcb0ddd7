"""Crashes in a text of any size: read as a stream, its lines given to each grammar.

A text without any grammar's signs is looked at by the megabyte; only where there is one are lines looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from gdbtools.errors import UsageError
from gdbtools.machine.dumps import magic
from gdbtools.machine.dumps.files import open_file
from gdbtools.machine.logs import bundle, log_lines
from gdbtools.machine.logs.bundle import BundleParts
from gdbtools.machine.logs.crash_gathering import Gathering
from gdbtools.machine.logs.log_lines import LogLine
from gdbtools.systems import crash_grammars, exception_logs
from gdbtools.systems.crash import Crash, CrashFacts, Grammar
from gdbtools.systems.qemu.exceptions import ExceptionLog

NEAR: Final = 8
"""Within how many lines of its first words a crash that is read takes the place of one that is only named."""
QUIET: Final = 200
"""For how many lines behind a crash its own words are not another one of which no more is known."""
MOST: Final = 100
"""How many crashes of one text are looked for."""
MOST_CALLERS: Final = 64
"""How many tasks and CPUs may have a crash at once."""


@dataclass
class CrashText:
    """The crashes of a text, in the order in which they end; `lines` says how many lines have been read.

    Where the log says which task or CPU a line is of, the crash of each is its own, however their lines are mixed.
    `exceptions` are what an emulator logged of them, an architecture each; a loop of those is the last crash.
    """

    file: BinaryIO
    lines: int = 0
    parts: BundleParts = field(default_factory=BundleParts)
    """What a report has beside the log, as far as it has been read."""
    exceptions: Sequence[ExceptionLog] = field(
        default_factory=lambda: [ExceptionLog(each) for each in exception_logs()]
    )
    _quiet_until: int = 0
    """The last line in which the words of a last resort are those of a crash before it."""
    _held: bytes = b""
    """A line of a mail that goes on in the next."""
    _cut: tuple[int, LogLine] | None = None
    """A line that another one was written into, and that may go on, and its number."""
    _caller: str = ""
    """Whose the last line was."""
    _gathering: dict[str, Sequence[Gathering]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Crash]:
        for block in log_lines.blocks(self.file):
            yield from self._of_block(block)
        if self._held:
            yield from self._of_line(b"\n")
        if self._cut is not None:
            yield from self._given(*self._cut)
        for group in [*self._gathering.values()]:
            for each in group:
                yield from _made(each.grammar, each.close())
        for log in self.exceptions:
            loop = log.end()
            if loop is not None:
                yield log.grammar.crash(loop)

    def _of_block(self, block: bytes) -> Iterator[Crash]:
        for log in self.exceptions:
            log.take(block, self.lines + 1)
        next_signs = dict.fromkeys(self._signs, -1)
        at = 0
        while at < len(block):
            if not self._is_inside:
                self._forget_callers()
                start = _line_with(next_signs, block, at)
                self.lines += _lines_in(block, at, start)
                at = start
            end = block.find(b"\n", at) + 1 or len(block)
            if at < end:
                yield from self._of_line(block[at:end])
            self.lines += _lines_in(block, at, end)
            at = end

    def _of_line(self, raw: bytes) -> Iterator[Crash]:
        if self._held:
            raw, self._held = log_lines.joined(self._held, raw), b""
        if log_lines.goes_on(raw):
            self._held = raw
            return
        number, pieces = self.lines + 1, [*log_lines.lines_of(raw)]
        if self._cut is not None and pieces:
            (at, cut), self._cut = self._cut, None
            if pieces[0].is_record:
                yield from self._given(at, cut)
            else:
                rest = pieces[0]
                pieces[0], number = replace(cut, text=cut.text + rest.indent + rest.text, is_cut=rest.is_cut), at
        for each in pieces:
            if each.is_cut and self._cut is None:
                self._cut = number, each
            else:
                yield from self._given(number, each)

    def _given(self, number: int, line: LogLine) -> Iterator[Crash]:
        if line.is_record:
            self._caller = line.caller
        self.parts.take(number, line.text)
        for each in self._gathering_of(self._caller):
            yield from self._taken(each, number, line)

    def _forget_callers(self) -> None:
        if len(self._gathering) > 1:
            self._gathering.clear()

    @property
    def _is_inside(self) -> bool:
        """Whether the next line is looked at, whatever it says."""
        opened = any(each.is_open for group in self._gathering.values() for each in group)
        return opened or bool(self._held) or self._cut is not None

    def _gathering_of(self, caller: str) -> Sequence[Gathering]:
        """Return what gathers the lines of one task or CPU; beyond the most there may be, those of all others."""
        known = self._gathering.get(caller)
        if known is None:
            caller = caller if len(self._gathering) < MOST_CALLERS else ""
            known = self._gathering.setdefault(caller, [Gathering(each) for each in self._grammars])
        return known

    def _taken(self, gathering: Gathering, number: int, line: LogLine) -> Iterator[Crash]:
        """Yield the crash that is over by a line; a last resort has none while there is another, and soon after it."""
        if not gathering.grammar.is_last_resort:
            yield from _made(gathering.grammar, gathering.take(number, line))
        elif any(
            each.facts is not None and not each.grammar.is_last_resort
            for group in self._gathering.values()
            for each in group
        ):
            self._quiet_until = number + QUIET
            over = gathering.close()
            if over is not None and number - over.line > NEAR:
                yield from _made(gathering.grammar, over)
        elif number > self._quiet_until:
            yield from _made(gathering.grammar, gathering.take(number, line))

    @cached_property
    def _grammars(self) -> Sequence[Grammar]:
        return crash_grammars()

    @cached_property
    def _signs(self) -> Sequence[bytes]:
        signs = {sign.encode() for each in self._grammars for sign in each.signs}
        # What has another in it is found by that.
        least = [each for each in signs if not any(other != each and other in each for other in signs)]
        return [*least, *log_lines.SPELLED, *bundle.SIGNS]


def _line_with(next_signs: dict[bytes, int], block: bytes, at: int) -> int:
    """Return where the next line with a sign begins, or the block's end; `next_signs` keeps where each is next."""
    for sign, place in next_signs.items():
        if place < at:
            found = block.find(sign, at)
            next_signs[sign] = len(block) if found < 0 else found
    first = min(next_signs.values(), default=len(block))
    return len(block) if first == len(block) else max(at, block.rfind(b"\n", at, first) + 1)


def _lines_in(block: bytes, at: int, end: int) -> int:
    """Return how many lines end there; the last of a text may have no end of its own."""
    return block.count(b"\n", at, end) + (at < end == len(block) and not block.endswith(b"\n"))


def _made(grammar: Grammar, facts: CrashFacts | None) -> Iterator[Crash]:
    made = None if facts is None else grammar.crash(facts)
    if made is not None and facts is not None:
        yield replace(made, torn=tuple(facts.torn))


def crashes_of(text: CrashText) -> Sequence[Crash]:
    """Return the first crashes of a text, in the order of their lines; no more is read than `MOST` take."""
    crashes = sorted(islice(text, MOST), key=lambda crash: crash.line)
    return [text.parts.added_to(each) for each in crashes]


def open_text(path: Path) -> BinaryIO:
    """Open a text for reading; raises `UsageError` for a dump, and what else is none."""
    file = open_file(path)
    what = magic.not_text(file.read(magic.LOOKED_AT), str(path))
    if what:
        file.close()
        raise UsageError(f"{path} is {what}")
    file.seek(0)
    return file
