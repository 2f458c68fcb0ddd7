"""What is wrong with a command's words, in our own words: argparse's name neither the value nor what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gdbtools.spelling import nearest

_MISSING: Final = re.compile(r"the following arguments are required: (?P<names>.+)", re.DOTALL)
_EXTRA: Final = re.compile(r"unrecognized arguments: (?P<words>.+)", re.DOTALL)
_CHOICE: Final = re.compile(
    r"argument (?P<name>[^:]+): invalid choice: (?P<word>'.*'|\".*\") \(choose from .*\)", re.DOTALL
)
_VALUE: Final = re.compile(r"argument (?P<name>[^:]+): expected (?:one|at least one) argument")
_NO_VALUE: Final = re.compile(r"argument (?P<name>[^:]+): ignored explicit argument (?P<word>.+)", re.DOTALL)
SOURCE: Final = "--source"


@dataclass(frozen=True)
class Known:
    """What a program knows: its options, and the choices of what has some."""

    options: Sequence[str]
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    listed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of what has too many for a line: what one of them is, and the command that lists them."""


def complaint(message: str, known: Known, otherwise: str) -> str:
    """Return what argparse complains of: what is there or was meant, and what says more; `otherwise` where all does."""
    found = _CHOICE.fullmatch(message) or _VALUE.fullmatch(message)
    what, lists = known.listed.get(_short(found["name"]), ("", "")) if found else ("", "")
    if found and lists:
        otherwise = f"`{lists}` lists them"
    said = _said(message, known, what)
    return f"{said}{'' if said.endswith('?') else ';'} {otherwise}"


def _said(message: str, known: Known, what: str) -> str:
    """Return what is wrong, as one clause; `what` is a choice of what has too many of them for a line."""
    if found := _MISSING.fullmatch(message):
        return f"{_listed(found['names'].split(', '), 'and')} {'is' if ', ' not in found['names'] else 'are'} missing"
    if found := _EXTRA.fullmatch(message):
        return _extra(found["words"].split(), known)
    if found := _CHOICE.fullmatch(message):
        name, word = _short(found["name"]), found["word"][1:-1]
        choices = known.choices.get(name, ())
        if what:
            return f"no {what} {word!r}{_meant(word, choices)}"
        return f"{name} is {_listed(choices, 'or')}, not {word!r}{_meant(word, choices)}"
    if found := _VALUE.fullmatch(message):
        name = _short(found["name"])
        choices = () if what else known.choices.get(name, ())
        return f"{name} needs a value" + (f": {_listed(choices, 'or')}" if choices else "")
    if found := _NO_VALUE.fullmatch(message):
        return f"{_short(found['name'])} takes no value"
    return message


def _extra(words: Sequence[str], known: Known) -> str:
    word = words[0]
    if word.startswith("-"):
        return f"there is no option {word.partition('=')[0]}{_meant(word.partition('=')[0], known.options)}"
    if SOURCE in known.options and is_file(word):
        return f"{word} is one word too many; a file to look at is given by -s: -s {word}"
    return f"{word!r} is one word too many"


def is_file(word: str) -> bool:
    """Return whether a word names a file, with `@BASE` or without."""
    try:
        return Path(word.rpartition("@")[0] or word).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _short(name: str) -> str:
    """Return the long name of `-s/--source`."""
    return name.rpartition("/")[2]


def _meant(word: str, names: Sequence[str]) -> str:
    near = nearest(word, names)
    return f"; did you mean {near}?" if near else ""


def _listed(names: Sequence[str], last: str) -> str:
    return f" {last} ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])
