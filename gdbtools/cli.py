"""`gdbtools COMMAND ...`: the offline face, and the launcher."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import BinaryIO

from gdbtools import __version__
from gdbtools.arch import ARCHITECTURES
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query, query_of, respond
from gdbtools.commands.arguments import OUTPUT, RECORD
from gdbtools.commands.complaints import is_file
from gdbtools.commands.expressions import Expressions
from gdbtools.commands.model import Argument, Command, Kind
from gdbtools.commands.own_help import own
from gdbtools.commands.parser import HelpFormatter, HelpWanted, Parser, Words, parse
from gdbtools.commands.reading import Evaluate
from gdbtools.commands.session import Open, Session
from gdbtools.commands.sources import SOURCE_OPTIONS, Sources, sources
from gdbtools.errors import ANSWERED, INTERRUPTED, MISSING, NOT_READ, USAGE, GdbtoolsError, Unavailable, UsageError
from gdbtools.machine.layers import no_source, unsaid
from gdbtools.machine.model import Machine
from gdbtools.machine.naming import named, symbol_values
from gdbtools.machine.symbols import Symbols
from gdbtools.numbers import number
from gdbtools.places import gdbinit
from gdbtools.printable import in_a_line
from gdbtools.render.text import DEFAULT_WIDTH, PIPE_WIDTH, wants_colour
from gdbtools.repl import PROMPTS
from gdbtools.spelling import nearest

SHARED = (
    Argument(
        "--source",
        "a dump (ELF, kdump, LiME, a capture), raw images as PATH@BASE, each with its own -s, or qmp:PATH, a QEMU",
        Kind.TEXT,
        many="*",
    ),
    *SOURCE_OPTIONS,
    Argument("--elf", "an ELF file whose symbols may be used as addresses, and name them in answers", Kind.TEXT),
    *OUTPUT,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status; bad input is one line on stderr."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if sys.stdout is None:
        sys.stdout = _Closed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal's encoding may not have every character that an answer has.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _printed(words)
    except GdbtoolsError as error:
        print("gdbtools:", in_a_line(str(error)), file=sys.stderr)
        return error.status
    except OSError as error:
        # Of standard output: what is read or written by name is an error of ours.
        return _not_written(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _printed(words: Sequence[str]) -> int:
    try:
        status = _main(words)
    except HelpWanted as help_text:
        print(str(help_text), end="")
        status = ANSWERED
    sys.stdout.flush()
    return status


class _Closed(io.StringIO):
    """Standard output where there is none."""

    def write(self, text: str) -> int:  # noqa: ARG002
        raise OSError(errno.EBADF, "standard output is closed")


def _not_written(error: OSError) -> int:
    """Return what it ends with that nobody takes what is printed: the disk is full, or the reader has gone."""
    with contextlib.suppress(OSError, ValueError):
        # What is left of it is not tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        # `| head` has what it wanted.
        return NOT_READ
    with contextlib.suppress(OSError, ValueError):
        print("gdbtools: the answer could not be written:", in_a_line(error.strerror or str(error)), file=sys.stderr)
    return MISSING


def _main(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return ANSWERED if words else USAGE
    name, rest = words[0], words[1:]
    if name in ("--version", "-V"):
        print(f"gdbtools {__version__}")
        return ANSWERED
    if name == "gdbinit":
        Parser(prog="gdbtools gdbinit", description=_GDBINIT, formatter_class=HelpFormatter).parse_args(rest)
        print(gdbinit())
        return ANSWERED
    if name == "bundle":
        Parser(prog="gdbtools bundle", description=_BUNDLE, formatter_class=HelpFormatter).parse_args(rest)
        from gdbtools.machine.logs import bundle  # only this needs it

        print(bundle.TEXT, end="")
        return ANSWERED
    if name == "demo":
        from gdbtools.repl.demo import demo  # the launcher's face: only this command needs it

        return demo(rest)
    if name in PROMPTS:
        from gdbtools.repl.start import start  # the same

        return start(name, rest, gdbinit())
    if name == "completion":
        from gdbtools import shells  # the same

        print(shells.completion(rest, SHARED, ("gdbinit", "bundle", "demo", "help")))
        return ANSWERED
    if name == "batch":
        from gdbtools.batch import batch  # the same

        return batch(rest, main)
    if name == "mcp":
        from gdbtools.mcp import server  # the same

        return server.serve(rest, _offline, gdbinit())
    if name not in COMMANDS:
        raise UsageError(_no_command(name))
    return _answer(COMMANDS[name], rest, name)


def _no_command(name: str) -> str:
    if is_file(name):
        return f"{name} is a file; say what to ask of it: gdbtools fault -s {name}"
    listed = "`gdbtools --help` lists them"
    meant = nearest(name, (*COMMANDS.spellings, *PROMPTS, "batch", "gdbinit", "bundle", "demo", "mcp", "help"))
    return f"there is no command {name!r}; {f'did you mean {meant}? ' if meant else ''}{listed}"


def _answer(command: Command, arguments: Sequence[str], called: str) -> int:
    # What needs a guest has no source; given one all the same, that is what is to be said.
    shared = OUTPUT if command.live_only and {"-h", "--help"} & set(arguments) else SHARED
    words = parse(_as_told(command, arguments, called), arguments, "gdbtools", shared)
    if command.live_only:
        raise Unavailable(
            f"`{command.name}` needs a live guest: gdbtools attach, or in GDB source {gdbinit()} and mmu {command.name}"
        )
    _refuse_files(words)
    numbers = {name: words.given[name] for name in ("cpu", "record")}
    wanted = sources({**words.given, **{name: word and number(word) for name, word in numbers.items()}})
    with contextlib.ExitStack() as held:
        symbols = Symbols(None if wanted.elf is None else Path(wanted.elf))
        # Opened when it is first asked: by `$pc` among the words, else when they have been read.
        opening = cache(lambda: held.enter_context(_machine(words, wanted, symbols, called)))
        asked = query_of(words, _evaluator(symbols, opening))
        if not wanted.names and not asked.sourceless:
            raise _no_source(command)
        session = Session(opening(), called=" -s ".join(wanted.names) or "SOURCE", open=_opener(wanted))
        session.source_words = wanted.words
        session.elf = symbols.elf
        session.standard_input = _standard_input
        try:
            response = respond(asked, session)
        except GdbtoolsError as error:
            error.args = (_as_typed_here(str(error), session.called),)
            raise
    if asked.output is not None:
        response.write()
        return response.status
    size = shutil.get_terminal_size((DEFAULT_WIDTH, 24))
    is_terminal = sys.stdout.isatty()
    height = size.lines if is_terminal else None
    # Who says how wide it is means it; else a row of a table is a line, for whatever reads it.
    table_width = None if is_terminal or os.environ.get("COLUMNS") else PIPE_WIDTH
    print(response.text(wants_colour(is_terminal), size.columns, "utf-8", is_terminal, height, table_width), end="")
    sys.stdout.flush()
    return response.status


def _as_typed_here(text: str, called: str) -> str:
    """Return what is said of commands inside GDB as they are typed here: of a source, where they look at one."""

    def typed(found: re.Match[str]) -> str:
        command = COMMANDS.get(found[1])
        if command is None or command.live_only or command.changes_guest:
            return found[0]
        return f"`gdbtools {found[1]}{found[2]} -s {called}`"

    return re.sub(r"`mmu ([a-z-]+)([^`]*)`", typed, text)


def _as_told(command: Command, arguments: Sequence[str], called: str) -> Command:
    """Return a command for its help: with the words of the architecture that its name, --arch or a source says."""
    if not {"-h", "--help"} & set(arguments):
        return command
    found = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    found.add_argument("--arch")
    found.add_argument("-s", "--source", action="append")
    told, _ = found.parse_known_args([*arguments])
    with contextlib.suppress(GdbtoolsError, argparse.ArgumentError):
        if told.arch is None and told.source and not told.source[0].startswith("qmp:"):
            from gdbtools.machine.sources import open_source  # not before there is a source

            return own(command, open_source(told.source).architecture)
        name = told.arch or ARCHITECTURES.of_syndrome(called)
        return own(command, ARCHITECTURES[ARCHITECTURES.chosen(name)])
    return command


def _refuse_files(words: Words) -> None:
    """Refuse a file where an address belongs: it is meant to be looked at."""
    for argument in words.command.arguments:
        if argument.kind in (Kind.ADDRESS, Kind.RANGE, Kind.WORD, Kind.REGISTER) and not argument.is_option:
            given = words.given[argument.key]
            for word in given if isinstance(given, list) else [given]:
                if word is not None and is_file(word):
                    raise UsageError(f"{word} is a file, where {argument.name} belongs; to look at it: -s {word}")


def _no_source(command: Command) -> UsageError:
    return UsageError(f"say what to look at: gdbtools {command.name} -s DUMP; `gdbtools {command.name} --help`")


@contextlib.contextmanager
def _machine(words: Words, wanted: Sources, symbols: Symbols, called: str) -> Iterator[Machine]:
    command = words.command
    if wanted.names:
        from gdbtools.machine.sources import opened  # not before there is a source

        with opened(wanted.names, **wanted.choice) as machine:
            ARCHITECTURES.check_called(called, machine.architecture)
            yield named(machine, symbols)
        return
    if not command.may_be_sourceless:
        raise _no_source(command)
    _refuse_choices(command, wanted)
    registers = [each.key for each in command.arguments if each.kind is Kind.REGISTER]
    names = [re.split("[=:.]", word)[0].strip() for key in registers for word in words.given[key] or ()]
    # What an architecture calls it says whose a value is.  Without any such word it is taken for what is decoded first,
    # as the answer says, unless its command has a name of each architecture's own.
    told = wanted.choice["architecture"] or ARCHITECTURES.of_syndrome(called)
    given = wanted.choice["registers"]
    if given is not None:
        from gdbtools.machine.sources import registers_alone  # not before there are any

        yield replace(registers_alone(given, told), files=(given, *symbols.files))
        return
    asked = command.decodes and (told or names or command.aliases)
    machine = no_source(ARCHITECTURES[ARCHITECTURES.chosen(told, names) if asked else next(iter(ARCHITECTURES))])
    if command.decodes and not asked:
        machine = replace(machine, assumed=(unsaid(machine.architecture),))
    yield replace(machine, files=symbols.files)


def _refuse_choices(command: Command, wanted: Sources) -> None:
    """Refuse options that say something of a source where there is none, or where a text says it itself.

    A command that neither decodes nor reads a text opens sources of its own by them.
    """
    choice = wanted.choice
    given: dict[str, object] = {"--cpu": choice["cpu"], "--stop": choice["stop"] or None}
    if not any(each.name == RECORD.name for each in command.arguments):
        given[RECORD.name] = choice["record"]
    if command.of_text:
        given |= {
            "--arch": choice["architecture"],
            "--registers": choice["registers"],
            "--dirty-convention": choice["dirty"],
        }
    option = next((name for name, value in given.items() if value is not None), None)
    if option is not None and command.of_text:
        raise UsageError(f"{option} is not for `{command.name}`, whose log says itself what it is of; leave it out")
    if option is not None and command.decodes:
        raise UsageError(
            f"{option} is about a source, and `{command.name}` has none here; name one (-s), or leave it out"
        )


@contextlib.contextmanager
def _offline(wanted: Sources, acts: bool) -> Iterator[Callable[[str, Sequence[str]], Sequence[str]]]:
    """Yield what answers a command's words with lines of JSON, from these sources; one that `acts` if that is so."""
    from gdbtools.machine.sources import opened  # the same

    symbols = Symbols(None if wanted.elf is None else Path(wanted.elf))
    with opened(wanted.names, **wanted.choice) as machine:
        evaluate = _evaluator(symbols, lambda: machine)

        def ask(name: str, words: Sequence[str]) -> Sequence[str]:
            ARCHITECTURES.check_called(name, machine.architecture)
            command = COMMANDS[name] if acts else COMMANDS[name].looking()
            if command is None:
                raise UsageError(f"`{name}` does more than look, and that is not allowed here")
            session = Session(named(machine, symbols), open=_opener(wanted))
            return respond(query(command, words, evaluate, "gdbtools"), session).lines()

        yield ask


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("standard input is a terminal; name a file, or pipe the text to this")
    return sys.stdin.buffer


def _opener(wanted: Sources) -> Open:
    """Open a second source as the first is: with `--registers`, unless it has its own, and with `--cpu`."""
    choice = wanted.choice

    def open_other(name: str, registers: str | None) -> Machine:
        from gdbtools.machine.sources import open_source  # the same

        chosen = choice["registers"] if registers is None else registers
        architecture, record = choice["architecture"], choice["record"]
        return open_source(name, chosen, choice["cpu"], choice["dirty"], architecture, record=record)

    return open_other


def _evaluator(symbols: Symbols, opening: Callable[[], Machine]) -> Evaluate:
    """Read an address: a register, or a symbol of the ELF file that `--elf` names, with an offset if need be."""
    values = symbol_values(symbols, opening)
    return Expressions(values, symbols.whence, lambda name: opening().value_of(name)).evaluate


_OF_THIS_PROGRAM = {
    "batch": "Ask one question of many dumps: a line of JSON each, by as many processes as there are CPUs",
    "gdbinit": 'Print the file to source inside GDB: gdb -x "$(gdbtools gdbinit)"',
    "bundle": "Print a line of shell: what to ask of whoever reports a crash",
    "mcp": "Serve the commands to an assistant (Model Context Protocol)",
    "demo": "Watch an access-flag fault be explained and repaired in a real guest",
    "completion": "Print what a shell needs to complete all this: bash, zsh, fish or tcsh",
}


_GDBINIT = (
    "Print the path of the file that gives GDB the `mmu` commands: it comes with this\n"
    "installation. `gdbtools attach` and `gdbtools run` source it by themselves.\n\n"
    '  gdb -x "$(gdbtools gdbinit)"                      this time\n'
    '  echo "source $(gdbtools gdbinit)" >> ~/.gdbinit   every time\n'
)


_BUNDLE = (
    "Print a line of shell for whoever reports a crash of Linux: it writes the log, and what\n"
    "else is to be known of the machine, to one file that `gdbtools explain` reads.\n"
)


def overview() -> str:
    """Return the help of the program: its commands, a line each."""
    offline = [command for command in COMMANDS.values() if not command.live_only]
    inside = [command for command in COMMANDS.values() if command.live_only]
    width = max(len(name) for name in (*COMMANDS, "completion")) + 2
    columns = shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns

    def rows(listed: Iterable[tuple[str, str]]) -> list[str]:
        indent = " " * (width + 2)
        return [
            textwrap.fill(said, columns, initial_indent=f"  {name:{width}}", subsequent_indent=indent)
            for name, said in listed
        ]

    lines = ["usage: gdbtools COMMAND [-s SOURCE] [OPTIONS]", "", "What do the translation tables say?", ""]
    lines += ["on a dump (gdbtools COMMAND -s SOURCE) and live (mmu COMMAND, inside GDB):"]
    lines += rows((command.name, command.summary) for command in offline)
    lines += ["", "live only:"]
    lines += rows((command.name, command.summary) for command in inside)
    lines += ["", "at a prompt, or from a script:"]
    lines += rows(PROMPTS.items())
    lines += ["", "of this program:"]
    lines += rows(_OF_THIS_PROGRAM.items())
    lines += ["", "`gdbtools COMMAND --help` explains each; --version says which this is.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
