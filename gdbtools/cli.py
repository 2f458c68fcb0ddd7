"""`gdbtools COMMAND ...`: the offline face, and the launcher."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from gdbtools import __version__
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import ReadRegister
from gdbtools.commands import COMMANDS
from gdbtools.commands.arguments import OUTPUT
from gdbtools.commands.expressions import Expressions
from gdbtools.commands.files import write_whole
from gdbtools.commands.model import Argument, Command, Kind
from gdbtools.commands.output import OutputForm, answered, form_of
from gdbtools.commands.parser import HelpWanted, joined, parse, parser_for
from gdbtools.commands.reading import Evaluate
from gdbtools.commands.session import Open, Session
from gdbtools.commands.sources import SOURCE_OPTIONS, source_choice
from gdbtools.errors import GdbtoolsError, Unavailable, UsageError
from gdbtools.machine.layers import no_source
from gdbtools.machine.model import Machine
from gdbtools.machine.sources import open_source, opened
from gdbtools.machine.symbols import Symbols
from gdbtools.numbers import number
from gdbtools.places import gdbinit
from gdbtools.printable import in_a_line
from gdbtools.render.text import DEFAULT_WIDTH, wants_colour
from gdbtools.repl import PROMPTS
from gdbtools.spelling import nearest

ANSWERED, FINDING, USAGE, MISSING, REFUSED = 0, 1, 2, 3, 4
"""The exit statuses that scripts rely on."""

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
        status = _main(words)
        sys.stdout.flush()
        return status
    except HelpWanted as help_text:
        print(str(help_text), end="")
        return ANSWERED
    except GdbtoolsError as error:
        print("gdbtools:", in_a_line(str(error)), file=sys.stderr)
        return error.status
    except OSError as error:
        # Of standard output: what is read or written by name is an error of ours.
        return _not_written(error)
    except KeyboardInterrupt:
        return 130


class _Closed(io.StringIO):
    """Standard output where there is none."""

    def write(self, text: str) -> int:  # noqa: ARG002
        raise OSError(errno.EBADF, "standard output is closed")


def _not_written(error: OSError) -> int:
    """Return that nobody takes what is printed: the disk is full, or the reader has gone."""
    with contextlib.suppress(OSError, ValueError):
        # What is left of it is not tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        print(gdbinit())
        return ANSWERED
    if name == "demo":
        from gdbtools.repl.demo import demo  # the launcher's face: only this command needs it

        return demo(rest)
    if name in PROMPTS:
        from gdbtools.repl.start import start  # the same

        return start(name, rest, gdbinit())
    if name == "completion":
        from gdbtools import shells  # the same

        print(shells.completion(rest, SHARED, ("gdbinit", "demo", "help")))
        return ANSWERED
    if name == "mcp":
        from gdbtools.mcp import server  # the same

        return server.serve(rest, _offline, gdbinit())
    if name not in COMMANDS:
        raise UsageError(_no_command(name))
    return _answer(COMMANDS[name], rest)


def _no_command(name: str) -> str:
    if _is_file(name):
        return f"{name} is a file; say what to ask of it: gdbtools fault -s {name}"
    listed = "`gdbtools --help` lists them"
    meant = nearest(name, (*COMMANDS, *PROMPTS, "gdbinit", "demo", "mcp", "help"))
    return f"there is no command {name!r}; {f'did you mean {meant}? ' if meant else ''}{listed}"


def _is_file(word: str) -> bool:
    try:
        return Path(word.rpartition("@")[0] or word).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _answer(command: Command, words: Sequence[str]) -> int:
    # What needs a guest has no source; given one all the same, that is what is to be said.
    shared = OUTPUT if command.live_only and {"-h", "--help"} & set(words) else SHARED
    raw = parser_for(command, "gdbtools", shared).parse_args(joined(command, words))
    if command.live_only:
        raise Unavailable(
            f"`{command.name}` needs a live guest: gdbtools attach, or in GDB source {gdbinit()} and mmu {command.name}"
        )
    _refuse_files(command, raw)
    raw.cpu = None if raw.cpu is None else number(raw.cpu)
    with contextlib.ExitStack() as held:
        symbols = Symbols(None if raw.elf is None else Path(raw.elf))
        # Opened when it is first asked: by `$pc` among the words, else when they have been read.
        opening = cache(lambda: held.enter_context(_machine(command, raw, symbols)))
        evaluate = _evaluator(symbols, lambda name: opening().register(name))
        options = parse(command, words, evaluate, "gdbtools", shared)
        form = form_of(options)
        machine = opening()
        answers = command.run(Session(machine, open=_opener(options)), options)
    assumed = (*options.readings, *machine.assumed)
    if options.output is None:
        size = shutil.get_terminal_size((DEFAULT_WIDTH, 24))
        is_terminal = sys.stdout.isatty()
        height = size.lines if is_terminal else None
        colour = wants_colour(is_terminal)
        shown = answered(command, answers, form, assumed, colour, size.columns, fit=is_terminal, height=height)
        print(shown, end="")
        sys.stdout.flush()
    else:
        write_whole(Path(options.output), answered(command, answers, form, assumed).encode())
    return FINDING if any(command.finding(answer) for answer in answers) else ANSWERED


def _refuse_files(command: Command, raw: Namespace) -> None:
    """Refuse a file where an address belongs: it is meant to be looked at."""
    for argument in command.arguments:
        if argument.kind in (Kind.ADDRESS, Kind.RANGE, Kind.WORD) and not argument.is_option:
            given = getattr(raw, argument.name)
            for word in given if isinstance(given, list) else [given]:
                if word is not None and _is_file(word):
                    raise UsageError(f"{word} is a file, where {argument.name} belongs; to look at it: -s {word}")


@contextlib.contextmanager
def _machine(command: Command, options: Namespace, symbols: Symbols) -> Iterator[Machine]:
    if not options.source and command.sourceless(options):
        names = [re.split("[=:.]", word)[0] for word in getattr(options, "name", None) or ()]
        whose = ARCHITECTURES.chosen(options.arch, names) if command.decodes else next(iter(ARCHITECTURES))
        yield no_source(ARCHITECTURES[whose])
        return
    if not options.source:
        raise UsageError(f"say what to look at: gdbtools {command.name} -s DUMP; `gdbtools {command.name} --help`")
    with opened(options.source, **source_choice(options)) as machine:
        yield replace(machine, named=symbols.name)


@contextlib.contextmanager
def _offline(options: Namespace) -> Iterator[Callable[[str, Sequence[str]], Sequence[str]]]:
    """Yield what answers a command's words with lines of JSON, from the source that `options` name."""
    symbols = Symbols(None if options.elf is None else Path(options.elf))
    with opened(options.source, **source_choice(options)) as machine:
        evaluate = _evaluator(symbols, machine.register)

        def ask(name: str, words: Sequence[str]) -> Sequence[str]:
            command = COMMANDS[name] if options.allow_writes else COMMANDS[name].looking()
            if command is None:
                raise UsageError(f"`{name}` does more than look, and that is not allowed here")
            session = Session(replace(machine, named=symbols.name), open=_opener(options))
            asked = parse(command, words, evaluate, "gdbtools")
            answers = command.run(session, asked)
            return answered(command, answers, OutputForm.JSON, (*asked.readings, *machine.assumed)).splitlines()

        yield ask


def _opener(options: Namespace) -> Open:
    """Open a second source as the first is: with `--registers`, unless it has its own, and with `--cpu`."""

    def open_other(name: str, registers: str | None) -> Machine:
        chosen = options.registers if registers is None else registers
        return open_source(name, chosen, options.cpu, options.dirty_convention, options.arch)

    return open_other


def _evaluator(symbols: Symbols, register: ReadRegister) -> Evaluate:
    """Read an address: a register, or a symbol of the ELF file that `--elf` names, with an offset if need be."""
    return Expressions(lambda: symbols.values, symbols.whence, register).evaluate


_OF_THIS_PROGRAM = {
    "gdbinit": 'Print the file to source inside GDB: gdb -x "$(gdbtools gdbinit)"',
    "mcp": "Serve the commands to an assistant (Model Context Protocol)",
    "demo": "Watch an access-flag fault be explained and repaired in a real guest",
    "completion": "Print what a shell needs to complete all this: bash, zsh, fish or tcsh",
}


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
