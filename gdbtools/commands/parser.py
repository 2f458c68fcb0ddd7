"""Words to arguments: one parser for every face, made from a command's argument data."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from gdbtools.commands.model import Argument, Command, Kind
from gdbtools.errors import UsageError

Evaluate = Callable[[str], int]
"""A face's own way from an expression to an unsigned 64-bit integer; raises `UsageError`."""


class HelpWanted(Exception):
    """The user asked for `--help`; `str()` is the text."""


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises instead of exiting: inside GDB, exit would take GDB with it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        raise HelpWanted(message or "")

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002
        raise HelpWanted(self.format_help())


def number(text: str) -> int:
    """Read an unsigned 64-bit integer as C writes it; raise `UsageError` for anything else."""
    try:
        value = int(text, 0)
    except ValueError:
        raise UsageError(f"{text!r} is not a number; write it like 0x40000000 or 4096") from None
    if not 0 <= value < 1 << 64:
        raise UsageError(f"{text} does not fit 64 bits; give an address from 0 to 0xffffffffffffffff")
    return value


def usage(command: Command) -> str:
    """Give a command with its own arguments, as help and README write it."""
    return " ".join((command.name, *(_usage(argument) for argument in command.arguments)))


def _usage(argument: Argument) -> str:
    if argument.is_option:
        value = "" if argument.kind is Kind.FLAG else f" {'|'.join(argument.choices) or _metavar(argument)}"
        return f"[{argument.name}{value}]"
    name = "|".join(argument.choices) or _metavar(argument)
    return {"": name, "?": f"[{name}]", "*": f"[{name}...]", "+": f"{name}..."}[argument.many]


def _metavar(argument: Argument) -> str:
    return argument.name.lstrip("-").upper()


def parser_for(command: Command, program: str, shared: Sequence[Argument] = ()) -> Parser:
    """Give a command's parser; `shared` are the arguments that a face adds to every command."""
    parser = Parser(
        prog=f"{program} {command.name}",
        usage=f"{program} {usage(command)}" + (" [OPTIONS]" if shared else ""),
        description=command.description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for argument in (*command.arguments, *shared):
        _add(parser, argument)
    return parser


def _add(parser: Parser, argument: Argument) -> None:
    names = ["-s", argument.name] if argument.name == "--source" else [argument.name]
    if argument.kind is Kind.FLAG:
        parser.add_argument(*names, action="store_true", help=argument.help)
        return
    metavar = None if argument.choices else _metavar(argument)
    choices = argument.choices or None
    if argument.many:
        parser.add_argument(*names, nargs=argument.many, choices=choices, metavar=metavar, help=argument.help)
    else:
        parser.add_argument(*names, choices=choices, metavar=metavar, help=argument.help)


def parse(
    command: Command, words: Sequence[str], evaluate: Evaluate, program: str, shared: Sequence[Argument] = ()
) -> argparse.Namespace:
    """Parse a command's words; addresses and numbers arrive as integers.

    Raises `UsageError` for words that make no sense and `HelpWanted` for `--help`.
    """
    options = parser_for(command, program, shared).parse_args(list(words))
    for argument in (*command.arguments, *shared):
        if argument.kind in (Kind.ADDRESS, Kind.NUMBER):
            read = evaluate if argument.kind is Kind.ADDRESS else number
            name = argument.name.lstrip("-").replace("-", "_")
            given = getattr(options, name)
            if given is not None:
                setattr(options, name, [read(word) for word in given] if isinstance(given, list) else read(given))
    return options


def complete(command: Command, words: Sequence[str], word: str, shared: Sequence[Argument] = ()) -> list[str]:
    """Give what may stand for `word` after `words`: an option's values, else options and positional choices."""
    arguments = (*command.arguments, *shared)
    by_name = {argument.name: argument for argument in arguments}
    if words and words[-1] in by_name and by_name[words[-1]].kind is not Kind.FLAG:
        candidates = list(by_name[words[-1]].choices)
    else:
        candidates = [a.name for a in arguments if a.is_option and a.name not in words]
        candidates += [choice for a in arguments if not a.is_option for choice in a.choices]
    return [candidate for candidate in candidates if candidate.startswith(word)]
