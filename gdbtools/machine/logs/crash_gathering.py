"""One grammar and its lines so far: what begins a crash, what is taken from each line, and what ends it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from gdbtools.machine.logs.log_lines import LogLine
from gdbtools.systems.crash import CrashFacts, Grammar, TornLine

SILENT: Final = 200
"""After how many lines that say nothing of it a crash is over."""
MOST_TORN: Final = 16
MOST_PIECES: Final = 4
"""Over how many lines one may be wrapped."""
PATIENCE: Final = 3
"""Within how many lines a crash begins by another of its lines whose first is torn."""
Found = Mapping[str, Sequence[re.Match[str]]]


@dataclass
class Gathering:
    """What the lines of one crash have said so far, as one grammar has it."""

    grammar: Grammar
    facts: CrashFacts | None = None
    _silent: int = 0
    _is_over: bool = False
    """Whether its end has come, and only what stands behind it is waited for."""
    _before: str = ""
    """The line before, which may go on in the next."""
    _pieces: int = 1
    """Of how many lines that is put together."""
    _joint: str = " "
    """What stands between them."""
    _said_before: frozenset[tuple[str, int]] = frozenset()
    """What that line has said by itself, and where in it."""
    _torn: TornLine | None = None
    """A line with the first words of a crash, and not the rest of it."""

    @property
    def is_open(self) -> bool:
        """Whether the next line may be of a crash, whatever it says."""
        return self.facts is not None or self._torn is not None

    def close(self) -> CrashFacts | None:
        """Return the crash that has been gathered, if one has, and forget it."""
        over, self.facts, self._silent, self._is_over = self.facts, None, 0, False
        return over

    def take(self, number: int, line: LogLine) -> CrashFacts | None:
        """Look at a line; return the crash that is over by it, if one is."""
        if not self.is_open and not self._has_sign(line.text):
            return None
        found, text, at = self._matches(self._looked_for, line.text), line.text, number
        if not found and self.facts is None and self._torn is not None and (found := self._spanning(line, {})):
            text, at = f"{self._before}{self._joint}{line.text}", self._torn.line
        before = self.facts
        over = self._begun(found, at, text)
        if self.facts is None:
            self._look_out(number, line, found)
            return over
        if self.facts is not before:
            # The other patterns have not been asked of this line yet.
            found = self._matches(self.grammar.lines, text)
            if self._torn is not None and self._torn.line != at:
                self._add_torn(self._torn)
            self._torn = None
        elif across := self._spanning(line, found):
            self.facts.torn[:] = [each for each in self.facts.torn if not self._before.startswith(each.text)]
            self._go_on(across)
        self._keep(found, number, line)
        return (over or self.close()) if self._ends(line.text) else over

    def _has_sign(self, text: str) -> bool:
        return any(sign in text for sign in self.grammar.signs)

    def _look_out(self, number: int, line: LogLine, found: Found) -> None:
        """Keep a line with a sign that begins nothing: it may be torn, or go on in the next."""
        if self._has_sign(line.text):
            self._torn = TornLine(number, line.text)
        elif self._torn is not None and number - self._torn.line > PATIENCE:
            self._torn = None
        self._remember(line, found)

    def _ends(self, text: str) -> bool:
        if self._silent > SILENT:
            return True
        if self.grammar.ends.search(text):
            ended, self._is_over = self._is_over, True
            return ended or not self.grammar.after
        return False

    def _begun(self, found: Found, number: int, text: str) -> CrashFacts | None:
        """Begin a crash where a line is a first one; return the one that is over by that."""
        begins = next((name for chain in self.grammar.begins for name in chain if name in found), None)
        if begins is None or not (self.facts is None or self._is_over or self._again(begins, text, found)):
            return None
        over = self.close()
        self.facts = CrashFacts(number, text)
        return over

    def _keep(self, found: Found, number: int, line: LogLine) -> None:
        assert self.facts is not None, "kept of a crash"
        self._silent = 0 if found else self._silent + 1
        for name, matches in found.items():
            for match in matches:
                self.facts.add(name, tuple(group or "" for group in match.groups()))
        torn = None if self._is_over else self.grammar.torn
        if torn is not None and torn.search(line.text):
            self._add_torn(TornLine(number, line.text))
        self._remember(line, found)

    def _go_on(self, across: Found) -> None:
        """Keep what a line says together with the one before it; what that has said goes on, and is not said again."""
        assert self.facts is not None, "kept of a crash"
        for name, matches in across.items():
            for match in matches:
                groups = tuple(group or "" for group in match.groups())
                if (name, match.start()) in self._said_before:
                    self.facts.found[name][-1] = groups
                else:
                    self.facts.add(name, groups)
        self._said_before |= {(name, each.start()) for name, matches in across.items() for each in matches}
        self._silent = 0

    def _add_torn(self, torn: TornLine) -> None:
        if self.facts is not None and len(self.facts.torn) < MOST_TORN:
            self.facts.torn.append(torn)

    def _remember(self, line: LogLine, found: Found) -> None:
        self._pieces = self._pieces + 1 if not (line.is_record or found) and self._before else 1
        if 1 < self._pieces <= MOST_PIECES:
            self._before += f"{self._joint}{line.text}"
            return
        self._pieces, self._joint = 1, " "
        starts = {(name, each.start()) for name, matches in found.items() for each in matches}
        self._before, self._said_before = line.text, frozenset(starts)

    def _spanning(self, line: LogLine, own: Found) -> Found:
        """Return what a line says together with the one before it, where it may be the rest of that.

        `own` is what it says alone, which nothing may take from it.
        """
        if line.is_record or not self._before:
            return {}
        cut = len(self._before)
        free = min((each.start() for matches in own.values() for each in matches), default=len(line.text))
        for joint in (" ", ""):
            across = {
                name: kept
                for name, matches in self._matches(self._looked_for, f"{self._before}{joint}{line.text}").items()
                if (
                    kept := [
                        each
                        for each in matches
                        if each.start() < cut < each.end() <= cut + len(joint) + free
                        and ((name, each.start()) not in self._said_before or (joint and each.end() > cut + len(joint)))
                    ]
                )
            }
            if across:
                self._joint = joint
                return across
        return {}

    @staticmethod
    def _matches(wanted: Mapping[str, re.Pattern[str]], text: str) -> Found:
        asked = ((name, [*pattern.finditer(text)]) for name, pattern in wanted.items())
        return {name: matches for name, matches in asked if matches}

    @property
    def _looked_for(self) -> Mapping[str, re.Pattern[str]]:
        if self.facts is None:
            return self._firsts
        return {**self._firsts, **self.grammar.after} if self._is_over else self.grammar.lines

    @cached_property
    def _firsts(self) -> Mapping[str, re.Pattern[str]]:
        return {name: self.grammar.lines[name] for chain in self.grammar.begins for name in chain}

    def _again(self, begins: str, text: str, found: Found) -> bool:
        """Return whether a line that begins a crash begins another one: each has those of a chain once, in order."""
        assert self.facts is not None, "asked inside a crash"
        if self.grammar.says_twice and text == self.facts.title and all(found.get(name) for name in self.facts.found):
            # It has said nothing else yet.
            return False
        own = next(chain for chain in self.grammar.begins if begins in chain)
        earlier = own[: own.index(begins)]
        others = [name for chain in self.grammar.begins for name in chain if name not in earlier]
        return any(self.facts.all(name) for name in others)
