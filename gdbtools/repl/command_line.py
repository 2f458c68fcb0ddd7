"""A line that was typed: whose it is, ours, GDB's or the prompt's own, and where its answer is to go."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from gdbtools.commands import COMMANDS
from gdbtools.commands.model import Command
from gdbtools.errors import UsageError

PREFIX = "mmu"
"""What a command of ours begins with inside GDB; here it may be left out."""
GDB = "gdb"
"""What makes a line GDB's own, where a command of ours has the name."""
OWN: Mapping[str, str] = {
    "help": "Explain a command, or list them",
    "cpu": "Look at another CPU: cpu 1",
    "reconnect": "Attach again, with a new GDB and a new QEMU where they are gone",
    "quit": "Leave",
}
"""The prompt's own words, each with what it does."""
_ALIASES = {"exit": "quit", "q": "quit", "h": "help", "?": "help"}
SHADOWED = frozenset({"catch", "trace", "watch"})
"""Commands of ours that GDB also has, meaning something else."""
_STEPS = ("next", "nexti", "step", "stepi")
STEPS = frozenset({*_STEPS, "n", "ni", "s", "si"})
_GOES = frozenset({"advance", "c", "continue", "fg", "fin", "finish", "j", "jump", "signal", "u", "until"})
_BACK = frozenset({"rc", "rn", "rni", "rs", "rsi", *(f"reverse-{each}" for each in ("continue", "finish", *_STEPS))})
RUNS = STEPS | _GOES | _BACK
"""GDB's commands that run the guest and take `&`."""
REPEATED: Mapping[str, str] = {
    **dict.fromkeys(STEPS | _GOES | {"down", "up"}, ""),
    "x": "x",
    "l": "l",
    "list": "list",
}
"""What an empty line repeats, as in GDB: the line itself, or this word, which goes on from there."""
_OPENS = frozenset({"commands", "define", "document", "if", "py", "python", "while"})
"""GDB's commands that go on to a line `end`; `python CODE` is whole by itself."""
_WHOLE = frozenset({"py", "python"})
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|[^\s"\']+')

_PREFIXED = re.compile(rf"\b{PREFIX} (?=(?:{'|'.join(COMMANDS.spellings)})\b)")


@dataclass(frozen=True)
class Outlet:
    """Where an answer goes instead of the screen: `|` and a shell's words, or `>` or `>>` and a file's name."""

    how: str
    where: str

    @property
    def path(self) -> str:
        """The name of the file, which may stand between quotes."""
        return self.where.strip("'\"")


@dataclass(frozen=True)
class Question:
    """A command of ours, with its words."""

    command: Command
    words: tuple[str, ...]
    outlet: Outlet | None = None


@dataclass(frozen=True)
class Own:
    """A word of the prompt's own."""

    name: str
    words: tuple[str, ...]
    outlet: Outlet | None = None


@dataclass(frozen=True)
class ForGdb:
    """A line, or several up to an `end`, that goes to GDB as it is."""

    text: str

    @property
    def runs(self) -> bool:
        """Whether it runs the guest, and may be told to do so behind the prompt."""
        return first_word(self.text) in RUNS


Request = Question | Own | ForGdb


def read(text: str) -> Request | None:
    """Return what a line asks for; None for an empty line or a comment, `UsageError` for quotes that do not close."""
    line = text.strip()
    if not line or line.startswith("#"):
        return None
    name, rest = _split(line)
    if name == GDB and rest:
        return ForGdb(rest)
    if name == PREFIX and _split(rest)[0] in COMMANDS:
        name, rest = _split(rest)
    if name in COMMANDS:
        words, outlet = _with_outlet(rest)
        return Question(COMMANDS[name], _words(words), outlet)
    name = _ALIASES.get(name, name)
    if name == "help":
        asked, outlet = _with_outlet(rest)
        if asked and asked.split()[0] not in (*COMMANDS.spellings, *OWN, PREFIX):
            return ForGdb(line)
        return Own(name, tuple(asked.split()), outlet)
    if name in OWN:
        return Own(name, tuple(rest.split()))
    return ForGdb(line)


def as_typed_here(text: str) -> str:
    """Return what is said of our commands as they are typed at the prompt: `walk` where GDB has `mmu walk`."""
    return _PREFIXED.sub("", text) if PREFIX in text else text


def first_word(text: str) -> str:
    """Return the name of a command of GDB's: `x` of `x/4i $pc`, `continue` of `continue&`."""
    found = re.match(r"[\w-]+", text.strip())
    return found.group() if found else ""


def behind(text: str) -> str:
    """Write a command that runs the guest so that GDB does not wait for it."""
    line = text.rstrip()
    return line if line.endswith("&") else f"{line} &"


def repeated(text: str) -> str:
    """Return what an empty line means after `text`: nothing, unless it is of the kind that GDB repeats."""
    line = text.strip()
    again = REPEATED.get(first_word(line))
    return line if again == "" else again or ""


def open_blocks(text: str) -> int:
    """Count the blocks of GDB's that a text begins and does not end."""
    depth = 0
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "end":
            depth = max(depth - 1, 0)
        elif words[0] in _OPENS and not (words[0] in _WHOLE and len(words) > 1):
            depth += 1
    return depth


def _split(line: str) -> tuple[str, str]:
    name, _, rest = line.partition(" ")
    return name, rest.strip()


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{str(error).lower()}; an expression with spaces goes between quotes") from None


def _with_outlet(text: str) -> tuple[str, Outlet | None]:
    """Cut a line at the first word, outside quotes, that begins with `|` or `>`."""
    for token in _TOKEN.finditer(text):
        how = next((each for each in (">>", ">", "|") if token.group().startswith(each)), "")
        if how and (not token.start() or text[token.start() - 1].isspace()):
            where = text[token.start() + len(how) :].strip()
            if not where:
                raise UsageError(f"{how} leads nowhere; write `{how} {'grep rw' if how == '|' else 'FILE'}` after it")
            return text[: token.start()], Outlet(how, where)
    return text, None
