"""`gdbtools completion SHELL`: what a shell completes, derived from the declared arguments by shtab."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from gdbtools.arch import ARCHITECTURES
from gdbtools.batch import parser as batch_parser
from gdbtools.commands import COMMANDS
from gdbtools.commands.model import Argument, Kind
from gdbtools.commands.parser import Parser, parser_for
from gdbtools.errors import Unavailable
from gdbtools.mcp import server
from gdbtools.repl import PROMPTS
from gdbtools.repl.start import parser as prompt_parser

SHELLS = ("bash", "zsh", "fish", "tcsh")
USUAL = "bash: source <(gdbtools completion bash), in ~/.bashrc"
_FILES = frozenset({"source", "registers", "elf", "before", "after", "file", "before_registers", "after_registers"})
"""Arguments that name files, besides those that are declared so."""


def parser() -> Parser:
    """Return the parser of `gdbtools completion`."""
    made = Parser(
        prog="gdbtools completion", description="Print what a shell needs to complete gdbtools.", epilog=USUAL
    )
    made.add_argument("shell", choices=SHELLS, help="the shell to complete in")
    return made


def completion(words: Sequence[str], shared: Sequence[Argument], others: Iterable[str]) -> str:
    """Return a shell's completion; `shared` is what every command takes, `others` are words without arguments."""
    shell = parser().parse_args(words).shell
    try:
        import shtab  # only this needs it
    except ModuleNotFoundError:
        raise Unavailable("shtab is not installed; pip install shtab") from None
    return str(shtab.complete(_whole(shared, others, shtab.FILE), shell=shell))


def _whole(shared: Sequence[Argument], others: Iterable[str], file: object) -> argparse.ArgumentParser:
    """Make one parser of all there is, with the commands as its subcommands."""
    whole = argparse.ArgumentParser(prog="gdbtools")
    below = whole.add_subparsers()
    offline = {name: COMMANDS[name] for name in COMMANDS.spellings if not COMMANDS[name].live_only}
    registers = [name for each in ARCHITECTURES.values() for name in each.principal]
    for name, command in offline.items():
        made = parser_for(command, "gdbtools", shared)
        named = {each.key: each for each in (*command.arguments, *shared)}
        for action in made._actions:
            if action.dest == "arch":
                action.choices = list(ARCHITECTURES)
            argument = named.get(action.dest)
            if argument is not None and argument.kind is Kind.REGISTER:
                action.choices = list(registers)
        _add(below, name, command.summary, made, file)
    for name, said in PROMPTS.items():
        _add(below, name, said, prompt_parser(name), file)
    _add(below, "batch", "Ask one question of many dumps", batch_parser(), file)
    _add(below, "mcp", "Serve the commands to an assistant", server.parser(), file)
    _add(below, "completion", "Print what a shell needs to complete gdbtools", parser(), file)
    for name in others:
        below.add_parser(name, help="")
    return whole


def _add(
    below: argparse._SubParsersAction[argparse.ArgumentParser], name: str, said: str, made: Parser, file: object
) -> None:
    for action in made._actions:
        if action.dest in _FILES or action.metavar == "FILE":
            action.complete = file  # type: ignore[attr-defined]
    below.add_parser(name, help=said, parents=[made], add_help=False, prog=f"gdbtools {name}")
