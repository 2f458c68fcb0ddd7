"""What GDB knows of from the start: the commands under the prefix `mmu`, one MI command, `$_mmu_fault`, settings.

To source this must be quick: nothing is imported that only an answer needs.  The face is made at the first question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import gdb

from gdbtools.commands import COMMANDS
from gdbtools.commands.arguments import OUTPUT
from gdbtools.commands.model import Command, Kind
from gdbtools.commands.parser import HelpWanted, complete, parser_for
from gdbtools.errors import GdbtoolsError, UsageError
from gdbtools.live.settings import Settings
from gdbtools.live.stub.attaching import Attaching
from gdbtools.printable import in_a_line
from gdbtools.spelling import nearest

if TYPE_CHECKING:
    from gdbtools.live.frontend import Face

MakeFace = Callable[[], "Face"]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Have GDB print an expected error, ours or its own, as one line without a Python traceback."""
    try:
        yield
    except (GdbtoolsError, gdb.error) as error:
        raise gdb.GdbError(in_a_line(str(error))) from None


class Prefix(gdb.Command):
    """Decode the MMU: translation tables, faults and their repair."""

    def __init__(self) -> None:
        super().__init__("mmu", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)

    def invoke(self, argument: str, from_tty: bool) -> None:  # noqa: ARG002
        if argument:
            name = argument.split()[0]
            meant = nearest(name, COMMANDS.spellings)
            near = f"did you mean mmu {meant}? " if meant else ""
            raise gdb.GdbError(f"mmu has no command {name!r}; {near}`help mmu` lists them")
        gdb.execute("help mmu")


class Subcommand(gdb.Command):
    """One command under `mmu`; its docstring, completion and parser come from its declaration."""

    def __init__(self, face: MakeFace, command: Command, called: str = "") -> None:
        self.__doc__ = f"{command.summary}.\n\n{parser_for(command, 'mmu', OUTPUT).format_help().rstrip()}"
        self._face = face
        self._command = command
        self._called = called or command.name
        super().__init__(f"mmu {self._called}", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:  # noqa: ARG002
        try:
            with one_line_errors():
                self._face().show(self._command, gdb.string_to_argv(argument), self._called)
        except HelpWanted as text:
            gdb.write(str(text))

    def complete(self, text: str, word: str) -> list[str] | int:
        words = text.split(" ")[:-1]
        found = complete(self._command, [each for each in words if each], word_of(text), OUTPUT)
        takes_address = any(argument.kind in (Kind.ADDRESS, Kind.WORD) for argument in self._command.arguments)
        if takes_address and not found and not word_of(text).startswith("-"):
            return gdb.COMPLETE_EXPRESSION
        # GDB breaks words at dashes, and wants what follows the last break.
        skip = len(word_of(text)) - len(word or "")
        return [each[skip:] for each in found]


def word_of(text: str) -> str:
    """Return the word under the cursor, dashes and all."""
    return text.rsplit(" ", 1)[-1]


class FaultFunction(gdb.Function):
    """$_mmu_fault(KIND [, REGIME [, ACCESS [, PRIVILEGE]]]): 1 at an exception vector if it is such a fault.

    KIND is as of `mmu catch`, like "permission" or "any", REGIME like "el1" or "stage2", ACCESS "read", "write" or
    "execute", PRIVILEGE a level's name; what is left out or empty is any.  While `mmu service` runs, access-flag faults
    are its.
    """

    def __init__(self, face: MakeFace) -> None:
        super().__init__("_mmu_fault")
        self._face = face

    def invoke(self, kind: gdb.Value | None = None, *conditions: gdb.Value) -> int:
        try:
            if kind is None:
                raise UsageError('KIND is missing, like $_mmu_fault("any")')
            from gdbtools.machine.model import CaughtFaults

            if len(conditions) > len(("REGIME", "ACCESS", "PRIVILEGE")):
                raise UsageError(
                    '$_mmu_fault takes no more than a kind and three conditions, like ("any", "", "write")'
                )
            words = [each.string() or None for each in conditions]
            return int(self._face().faulted(CaughtFaults(kind.string(), *words)))
        except GdbtoolsError as error:
            raise gdb.GdbError(str(error)) from None


def _mi_command(face: MakeFace) -> None:
    """Register `-mmu COMMAND ARGUMENTS...`: the same answers as JSON, for GDB/MI clients."""
    base: Any = gdb.MICommand  # absent from the type stubs' oldest version

    class Mi(base):  # type: ignore[misc]
        """-mmu COMMAND [ARGUMENTS...]: answers=[JSON, ...].

        The result record of a command that has run the guest is ^running: its answers come as console output.  A
        command that asks for the guest to be resumed answers first.
        """

        def invoke(self, words: list[str]) -> Mapping[str, str | list[str]] | None:
            from gdbtools.live.mi import answer

            try:
                with one_line_errors():
                    return answer(face(), words)
            except HelpWanted as text:
                raise gdb.GdbError(str(text)) from None

    Mi("-mmu")


def register() -> None:
    """Make the commands known to GDB; touches no target.  A second `source` changes nothing."""
    try:
        gdb.parameter("mmu-dirty")
    except RuntimeError:
        pass
    else:
        return
    settings = Settings()

    @cache
    def face() -> Face:
        try:
            from gdbtools.live.frontend import Face
        except ModuleNotFoundError as missing:
            advice = "run `make demo` in the checkout, or pip install gdbtools"
            raise gdb.GdbError(f"{missing.name} cannot be imported; {advice}") from None
        return Face(settings)

    gdb.events.stop.connect(Attaching().stopped)
    Prefix()
    for command in COMMANDS.values():
        Subcommand(face, command)
        # No aliases of GDB's: what a syndrome is called says whose a value is.
        for alias in command.aliases:
            Subcommand(face, command, alias)
    FaultFunction(face)
    _mi_command(face)
