"""Words to arguments: one parser for every face, made from a command's argument data."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NoReturn

from gdbtools.commands.complaints import Known, complaint
from gdbtools.commands.model import Argument, Command, Kind
from gdbtools.commands.reading import ArgumentReader, Evaluate, level, seconds
from gdbtools.errors import UsageError
from gdbtools.numbers import number


class HelpWanted(Exception):
    """The user asked for `--help`; `str()` is the text."""


_NOTHING = re.compile(r"(--[\w-]+=|-\w)--")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Fills again what has a line wider than the terminal, by paragraphs; what is laid out by hand stays as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(_filled(paragraph, width, indent) for paragraph in text.split("\n\n"))


def _filled(paragraph: str, width: int, indent: str) -> str:
    lines = [indent + line for line in paragraph.splitlines()]
    by_hand = any(line.startswith(" ") for line in paragraph.splitlines())
    if by_hand or max(map(len, lines), default=0) <= width:
        return "\n".join(lines)
    return textwrap.fill(
        paragraph,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises instead of exiting: inside GDB, exit would take GDB with it."""

    listed: Mapping[str, tuple[str, str]] = MappingProxyType({})
    """Of arguments with too many choices for a line: what one of them is, and the command that lists them."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        # argparse takes such a value for the end of the options, and returns a list with nothing in it.
        for word in args or ():
            if _NOTHING.fullmatch(word):
                self.error(f"{word!r} gives no value")
        # What is asked and how may come in any order: `pte ADDRESS --dry-run AF=1`.
        return super().parse_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        choices = {(each.option_strings or [each.dest])[-1]: [*each.choices] for each in self._actions if each.choices}
        known = Known([name for each in self._actions for name in each.option_strings], choices, self.listed)
        raise UsageError(complaint(message, known, f"see `{self.prog} --help`"))

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        raise HelpWanted(message or "")

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002
        raise HelpWanted(self.format_help())


MANY_OPTIONS = 2
"""From how many options on a summary says only that there are some."""


def summary_usage(command: Command) -> str:
    """Return a command with its own arguments on one line, as README writes it."""
    options = [argument for argument in command.arguments if argument.is_option]
    if len(options) < MANY_OPTIONS:
        return " ".join((command.name, *(_usage(argument) for argument in command.arguments)))
    named = (_usage(argument) for argument in command.arguments if not argument.is_option)
    return " ".join((command.name, *named, "[OPTIONS]"))


def _wrapped_usage(command: Command, program: str, others: bool) -> str:
    words = [*(_usage(argument) for argument in command.arguments), *(["[OPTIONS]"] if others else [])]
    head = f"{program} {command.name} "
    return textwrap.fill(
        head + " ".join(word.replace(" ", "\0") for word in words),
        72,
        subsequent_indent=" " * len("usage: "),
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\0", " ")


def _usage(argument: Argument) -> str:
    if argument.is_option:
        value = "" if argument.kind is Kind.FLAG else f" {_value(argument)}"
        return f"[{argument.name}{value}]" + ("..." if argument.many else "")
    name = _value(argument)
    return {"": name, "?": f"[{name}]", "*": f"[{name}...]", "+": f"{name}..."}[argument.many]


def _choices(argument: Argument) -> str:
    """Return the choices as help has them: by whose they are, where they are of several."""
    whose = [f"{name} {', '.join(choices)}" for name, choices in argument.groups]
    return "; ".join(whose) or ", ".join(argument.choices)


def _value(argument: Argument) -> str:
    """Return what stands for a value: its choices, unless they are too many for a line and so have a name."""
    return _metavar(argument) if argument.metavar else "|".join(argument.choices) or _metavar(argument)


_METAVARS = {
    Kind.RANGE: "RANGE",
    Kind.LEVEL: "LEVEL",
    Kind.REGISTER_CHANGE: "REGISTER.FIELD=VALUE",
    Kind.DESCRIPTOR_CHANGE: "ADDRESS.FIELD=VALUE",
    Kind.FIELD_CHANGE: "FIELD=VALUE",
    Kind.SCOPE: "ADDRESS|asid=N|all",
}


SHORT = {"--source": "-s", "--output": "-o"}
"""The options that have a letter of their own."""


def _metavar(argument: Argument) -> str:
    if argument.metavar:
        return argument.metavar
    if argument.kind in _METAVARS:
        return _METAVARS[argument.kind]
    return argument.name.lstrip("-").upper()


def parser_for(command: Command, program: str, shared: Sequence[Argument] = (), columns: int | None = None) -> Parser:
    """Return a command's parser; `shared` are the arguments that a face adds to every command.

    Its help is for a screen of so many `columns`; None: as wide as the terminal is, else 80.
    """
    width = None if columns is None else columns - 2
    parser = Parser(
        prog=f"{program} {command.name}",
        usage=_wrapped_usage(command, program, bool(shared)),
        description=command.description,
        formatter_class=partial(HelpFormatter, width=width),
        allow_abbrev=False,
    )
    for argument in _all(command, shared):
        add(parser, argument)
    return parser


def _all(command: Command, shared: Sequence[Argument]) -> Sequence[Argument]:
    """Return a command's arguments and those that a face adds; of one that both have, the command's own."""
    own = {argument.name for argument in command.arguments}
    return *command.arguments, *(each for each in shared if each.name not in own)


def add(parser: Parser, argument: Argument, read: Callable[[str], Any] = str) -> None:
    """Add an argument to a parser; `read` is what reads the value of an option, where nothing does so later."""
    names = [SHORT[argument.name], argument.name] if argument.name in SHORT else [argument.name]
    if argument.kind is Kind.FLAG:
        parser.add_argument(*names, action="store_true", help=argument.help)
        return
    choices = argument.choices or None
    metavar = None if choices and not argument.metavar else _metavar(argument)
    said = f"{argument.help}: {_choices(argument)}" if choices and metavar else argument.help
    if argument.listed_by:
        said = f"{argument.help}; {argument.listed_by} lists them"
        listed = argument.metavar.lower(), f"{parser.prog} {argument.listed_by}"
        parser.listed = {**parser.listed, argument.name: listed}
    if argument.many and argument.is_option:
        parser.add_argument(*names, action="append", default=[], choices=choices, metavar=metavar, help=said)
    elif argument.many == "*":
        parser.add_argument(*names, nargs="*", default=[], choices=choices, metavar=metavar, help=said)
    elif argument.many:
        parser.add_argument(*names, nargs=argument.many, choices=choices, metavar=metavar, help=said)
    else:
        parser.add_argument(*names, type=read, choices=choices, metavar=metavar, help=said)


@dataclass(frozen=True)
class Words:
    """The words of a command, by argument: `given` has them as they were written, under `Argument.key`."""

    command: Command
    shared: Sequence[Argument]
    given: Mapping[str, Any]

    @property
    def writes(self) -> tuple[tuple[str, str], ...]:
        """The files that are to be written: what asks for each, and its name."""
        return (*self._named("writes"), *([("-o", self.output)] if self.output else ()))

    @property
    def output(self) -> str | None:
        """The file that the answer goes to; None: it is shown, which `-o -` asks for as well."""
        output = self.given.get("output")
        return None if output == "-" else output

    @property
    def reads(self) -> tuple[str, ...]:
        """The files that are to be read besides the source that is asked."""
        return tuple(name for _, name in self._named("reads"))

    def _named(self, how: str) -> Sequence[tuple[str, str]]:
        wanted = [each for each in self.command.arguments if getattr(each, how) and self.given.get(each.key)]
        return [(each.name if each.is_option else each.name.upper(), self.given[each.key]) for each in wanted]


def parse(command: Command, words: Sequence[str], program: str, shared: Sequence[Argument] = ()) -> Words:
    """Sort a command's words by its arguments and the `shared` ones, without reading any of them.

    Raises `UsageError` for words that make no sense and `HelpWanted` for `--help`.
    """
    given = vars(parser_for(command, program, shared).parse_args(joined(command, words)))
    return Words(command, shared, given | {argument.key: None for argument in command.withheld})


def read(words: Words, evaluate: Evaluate) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Read the words: addresses and numbers become integers, by `evaluate` where they are expressions.

    Returns the values by `Argument.key`, and in words how numbers were read that could have meant another.  Raises
    `UsageError` for what cannot be read.
    """
    reader = ArgumentReader(evaluate)
    readers: dict[Kind, Callable[[str], object]] = {
        Kind.ADDRESS: reader.address,
        Kind.WORD: reader.word,
        Kind.NUMBER: number,
        Kind.LEVEL: level,
        Kind.SECONDS: seconds,
        Kind.RANGE: reader.range,
        Kind.REGISTER_CHANGE: reader.register_change,
        Kind.DESCRIPTOR_CHANGE: reader.descriptor_change,
        Kind.FIELD_CHANGE: reader.field_change,
        Kind.SCOPE: reader.scope,
    }
    values = dict(words.given)
    for argument in _all(words.command, words.shared):
        make = readers.get(_kind_of(argument, words))
        given = values[argument.key]
        if make is not None and given is not None:
            values[argument.key] = [make(word) for word in given] if isinstance(given, list) else make(given)
    return values, tuple(dict.fromkeys(reader.said))


def _kind_of(argument: Argument, words: Words) -> Kind:
    """Return how an argument is read: one that stands alone may be something else."""
    others = [each.key for each in words.command.arguments if not each.is_option and each is not argument]
    alone = argument.alone is not None and not any(words.given[key] for key in others)
    return argument.alone if alone and argument.alone is not None else argument.kind


def joined(command: Command, words: Sequence[str]) -> list[str]:
    """Write `--perm --x` as `--perm=--x`: argparse takes whatever begins with a dash for an option."""
    dashes = {argument.name for argument in command.arguments if argument.dashes}
    found: list[str] = []
    for word in words:
        if found and found[-1] in dashes:
            found[-1] = f"{found[-1]}={word}"
        else:
            found.append(word)
    return found


def complete(command: Command, words: Sequence[str], word: str, shared: Sequence[Argument] = ()) -> list[str]:
    """Return what may stand for `word` after `words`: an option's values, else options and positional choices."""
    arguments = (*command.arguments, *shared)
    by_name = {argument.name: argument for argument in arguments}
    if words and words[-1] in by_name and by_name[words[-1]].kind is not Kind.FLAG:
        candidates = list(by_name[words[-1]].choices)
    else:
        candidates = [a.name for a in arguments if a.is_option and a.name not in words]
        candidates += [choice for a in arguments if not a.is_option for choice in a.choices]
    return [candidate for candidate in candidates if candidate.startswith(word)]
