"""`gdbtools attach`, `run` and `open`: from the words of a command line to a prompt, or a script."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from gdbtools.children.folders import made_folder
from gdbtools.children.launch import LaunchPlan, explained, guest_words, plan
from gdbtools.commands.parser import Parser
from gdbtools.commands.sources import add_source_options, source_choice
from gdbtools.errors import Unavailable, UsageError
from gdbtools.machine.sources import opened
from gdbtools.render.text import render
from gdbtools.repl import PROMPTS
from gdbtools.repl.attached import Attached, AttachTarget
from gdbtools.repl.opened import Opened
from gdbtools.repl.runner import Runner
from gdbtools.repl.script import run as run_script
from gdbtools.repl.session import PromptSubject
from gdbtools.repl.terminal.screen import Screen, terminal_size
from gdbtools.repl.terminal.themes import THEMES, theme_for

DEFAULT_ADDRESS = ":1234"
QEMU_NAMES = "qemu-"
"""What the program of a QEMU begins with."""


class _Given(argparse.Action):
    """Keep `-c` and `-x` in the order in which they were given."""

    def __call__(self, parser: object, namespace: argparse.Namespace, value: object, option: object = None) -> None:  # noqa: ARG002
        namespace.script = [*namespace.script, (self.dest, value)]


def parser(name: str) -> Parser:
    """Return the parser of `gdbtools attach`, `run` or `open`."""
    made = Parser(
        prog=f"gdbtools {name}",
        description=f"{PROMPTS[name]}.",
        epilog="With -c or -x, or when standard input is no terminal, there is no prompt; the exit status is the last "
        "command's: 0 answered, 1 a fault or a finding, 2 not understood, 3 not there, 4 refused.",
    )
    if name == "attach":
        made.add_argument(
            "address", nargs="?", default=DEFAULT_ADDRESS, help=":1234 (default), HOST:PORT or unix:/path"
        )
    elif name == "run":
        made.usage = "gdbtools run [OPTIONS] [--guest NAME] [-- QEMU ARGUMENTS...]"
        made.add_argument("--guest", metavar="NAME", help="a guest of fixtures/guests; ARGUMENTS are added")
        made.add_argument("--dry-run", action="store_true", help="say what is added to the command line, and why")
    else:
        made.add_argument("source", nargs="+", help="a dump, raw images as PATH@BASE, or qmp:PATH, a QEMU")
        add_source_options(made)
    made.add_argument("--elf", type=Path, metavar="FILE", help="an ELF file with the guest's symbols")
    made.add_argument(
        "-c",
        dest="command",
        metavar="COMMAND",
        action=_Given,
        help="run a command; may be repeated: the first that fails is the last",
    )
    made.add_argument(
        "-x", dest="file", metavar="FILE", action=_Given, help="run the commands of a file, up to one that fails"
    )
    made.add_argument("--json", action="store_true", help="print answers as JSON; everything else goes to stderr")
    made.add_argument("--theme", choices=list(THEMES), help="colours for this background")
    made.add_argument("--keys", choices=("emacs", "vi"), help="keys (default: as ~/.inputrc says)")
    if name != "open":
        made.add_argument("--gdb", default="", metavar="PROGRAM", help="the GDB to use")
        made.add_argument("--nx", action="store_true", help="do not read .gdbinit")
        made.add_argument("--no-snapshots", action="store_true", help="do not keep each stop for while the guest runs")
    made.set_defaults(script=[])
    return made


def start(name: str, words: Sequence[str], init: Path) -> int:
    """Run `gdbtools attach`, `run` or `open`; returns the exit status.  `init` is the file to source inside GDB."""
    before, after = _parted(words) if name == "run" else (list(words), [])
    options = parser(name).parse_args(before)
    made = _planned(options, after) if name == "run" else None
    try:
        if made is not None and options.dry_run:
            print(render(explained(made), width=terminal_size()[0]), end="")
            return 0
        return asyncio.run(_work(name, options, made, init))
    finally:
        if made is not None:
            shutil.rmtree(made.folder, ignore_errors=True)


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cut at `--`: what is ours, and QEMU's."""
    if "--" not in words:
        at = next((at for at, word in enumerate(words) if Path(word).name.startswith(QEMU_NAMES)), None)
        if at is not None:
            line = shlex.join(["gdbtools", "run", *words[:at], "--", *words[at:]])
            raise UsageError(f"QEMU's command line stands behind `--`: {line}")
        return list(words), []
    at = words.index("--")
    return list(words[:at]), list(words[at + 1 :])


def _planned(options: argparse.Namespace, words: Sequence[str]) -> LaunchPlan:
    asked = [*(guest_words(options.guest) if options.guest else ()), *words]
    folder, room_bytes, lock = made_folder()
    try:
        return replace(plan(asked, folder, room_bytes), lock=lock)
    except UsageError:
        shutil.rmtree(folder)
        raise


def _session(
    name: str, options: argparse.Namespace, made: LaunchPlan | None, init: Path, runner: Runner
) -> PromptSubject:
    if name == "open":
        whole = partial(opened, options.source, **source_choice(vars(options)))
        return Opened(runner.hear, " ".join(options.source), options.elf, whole)
    address = made.address if made is not None else options.address.removeprefix("unix:")
    elf = options.elf or (made.elf if made is not None else None)
    target = AttachTarget(address, init, elf, options.gdb, made, options.nx, not options.no_snapshots)
    return Attached(runner.hear, target, terminal_size()[0])


async def _work(name: str, options: argparse.Namespace, made: LaunchPlan | None, init: Path) -> int:
    interactive = not options.script and sys.stdin.isatty()
    theme = theme_for(options.theme, os.environ if sys.stdout.isatty() else {})
    screen = Screen(theme.palette, is_terminal=sys.stdout.isatty())
    runner = Runner(screen, interactive=interactive, json=options.json)
    session = _session(name, options, made, init, runner)
    me = asyncio.current_task()
    assert me is not None, "this is one"
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)
    try:
        opening = asyncio.create_task(session.open())
        if interactive:
            # Only a prompt needs the library that draws it; and GDB takes as long to start.
            await asyncio.sleep(0)
            from gdbtools.repl.terminal.prompt import Manner, Prompt, likes_vi

            await opening
            return await Prompt(session, runner, Manner(theme, likes_vi(options.keys, os.environ))).run()
        await opening
        return await run_script(session, runner, _lines(options))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    finally:
        with suppress(asyncio.CancelledError):
            await session.close()


def _lines(options: argparse.Namespace) -> list[str]:
    lines: list[str] = []
    for kind, value in options.script or [("input", "")]:
        if kind == "command":
            lines.append(value)
        elif kind == "file":
            try:
                lines += Path(value).read_text().splitlines()
            except OSError as error:
                raise Unavailable(f"{value}: {error.strerror}; name a file of commands") from None
        else:
            lines += sys.stdin.read().splitlines()
    return lines
