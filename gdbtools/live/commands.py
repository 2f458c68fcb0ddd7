"""The GDB face: the commands under the prefix `mmu`, their settings, and one MI command."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import gdb

from gdbtools.analysis.diagnosis import diagnose
from gdbtools.analysis.loops import Loops, place_of
from gdbtools.analysis.seen import Seen, steps_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.architecture import DirtyConvention
from gdbtools.commands import COMMANDS
from gdbtools.commands.files import write_whole
from gdbtools.commands.model import Command, Kind, Session
from gdbtools.commands.output import ARGUMENTS as OUTPUT
from gdbtools.commands.output import Form, answered, form_of
from gdbtools.commands.parser import HelpWanted, complete, parse, parser_for
from gdbtools.errors import GdbtoolsError, UsageError
from gdbtools.live.catch import Catches, FaultFunction
from gdbtools.live.console import colour, show, width
from gdbtools.live.core import CoreFile, RegistersFile
from gdbtools.live.guest import LiveGuest
from gdbtools.live.memory import broken
from gdbtools.live.prompting import EXPLAIN, FOR_PROMPT, answer_for_prompt, explanation
from gdbtools.live.registers import unsigned
from gdbtools.live.target import Target
from gdbtools.machine.model import Machine, no_source
from gdbtools.machine.progress import Counted, Tell
from gdbtools.repair.log import Log

SHARED = OUTPUT
AT_STOP = ("nothing", "verdict", "fault")
# `set mmu-vectors`: which entries `mmu catch` stops at; the names are the architecture's own.
VECTORS: dict[str, tuple[str, ...]] = {
    "all": (),
    "current": ("current EL, SP_EL0", "current EL, SP_ELx"),
    "lower": ("lower EL, AArch64", "lower EL, AArch32"),
}


class Setting(gdb.Parameter):
    """One of the settings that commands obey."""

    def __init__(self, name: str, choices: Sequence[str], what: str, doc: str) -> None:
        self.__doc__ = doc
        self.set_doc = f"Set {what}."
        self.show_doc = f"Show {what}."
        super().__init__(name, gdb.COMMAND_DATA, gdb.PARAM_ENUM, list(choices))
        self.value = choices[0]
        self._what = what

    def get_set_string(self) -> str:
        return ""

    def get_show_string(self, value: str) -> str:
        return f"{self._what[0].upper()}{self._what[1:]} is {value}."


class Face:
    """Everything that lives as long as GDB does: the target, the settings, the log of writes."""

    def __init__(self) -> None:
        self.dirty = Setting(
            "mmu-dirty",
            [each.value for each in DirtyConvention],
            "how a repaired write is recorded as dirty",
            "none: not at all. bit55 to bit58: that software bit (OSv and Linux use bit55).\n"
            "dbm: as hardware does, clear AP[2] where DBM is set.",
        )
        self.at_stop = Setting(
            "mmu-at-stop",
            AT_STOP,
            "what is printed when `mmu catch` stops",
            "nothing, the verdict, or all of mmu fault.",
        )
        self.vectors = Setting(
            "mmu-vectors",
            list(VECTORS),
            "the vector entries that `mmu catch` stops at",
            "all, current EL, or lower EL.",
        )
        self.target = Target(CoreFile(RegistersFile()))
        self.catches = Catches(lambda: VECTORS[str(self.vectors.value)])
        self.guest = LiveGuest(self.target, self.catches)
        self.written = Log()
        self.loops = Loops()
        self.seen = Seen()
        self._attachment = self.target.attachment
        FaultFunction(self.guest.machine, lambda: self.guest.serving)
        gdb.events.stop.connect(self._stopped)
        gdb.events.breakpoint_deleted.connect(self._deleted)

    def session(self, sourceless: bool) -> Session:
        if sourceless:
            return Session(no_source(ARCHITECTURES["aarch64"]), open=open_file)
        self.target.stopped()
        if self.target.attachment is not self._attachment:
            self._attachment, self.seen, self.loops = self.target.attachment, Seen(), Loops()
            self.written.connected()
        convention = DirtyConvention(str(self.dirty.value))
        return Session(self.guest.machine(), convention, self.written, self.seen, open=open_file)

    def ask(
        self, command: Command, words: Sequence[str], tell: Tell | None = None
    ) -> tuple[Namespace, Session, Sequence[Any]]:
        """Parse, run and, with `--output`, write; physical memory mode is off afterwards, whatever happened.

        `tell` hears how far it is.
        """
        options = parse(command, words, evaluate, "mmu", SHARED)
        form = form_of(options)
        try:
            sourceless = command.sourceless(options)
            session = self.session(sourceless)
            if command.live_only and not sourceless:
                _ = session.live
            self.guest.past_stub(not command.changes_guest)
            if tell is not None:
                session.machine = replace(session.machine, memory=Counted(session.machine.memory, tell))
            answers = command.run(session, options)
            if command.changes_guest and not getattr(options, "dry_run", False):
                self.loops = Loops()
                self.guest.written()
            if options.output is not None:
                text = answered(command, answers, form, session.machine.assumed)
                write_whole(Path(options.output).expanduser(), text.encode())
            return options, session, answers
        except gdb.error as error:
            attachment = self.target.attachment
            if attachment is not None and not attachment.connection.is_valid():
                # GDB speaks of what it misses then, registers say, and not of why.
                raise broken(error) from None
            raise
        finally:
            self.guest.past_stub(True)
            if self.target.attachment is not None:
                self.target.attachment.release()

    def show(self, command: Command, words: Sequence[str]) -> None:
        """Answer at the prompt, then resume the guest if the command asked for that."""
        # What has been done to the guest is said, whenever Ctrl-C comes.
        with self.guest.interruptible() if command.runs_guest else nullcontext():
            options, session, answers = self.ask(command, words)
            form = form_of(options)
            if options.output is not None:
                gdb.write(f"Wrote {options.output}.\n")
            else:
                text = answered(command, answers, form, session.machine.assumed, colour(), width(), gdb.host_charset())
                gdb.write(text)
        if session.resume_wanted:
            self.guest.resume()

    def _stopped(self, event: gdb.StopEvent) -> None:
        """Follow a changed VBAR, and say what was caught."""
        self.seen.moved_on()
        if not self.catches.active:
            return
        try:
            news = self.catches.follow(self.guest.machine())
            if news:
                gdb.write(f"mmu: {news}\n")
            caught = isinstance(event, gdb.BreakpointEvent) and self.catches.caught(event.breakpoints)
            if caught:
                self._name_loop()
            if caught and self.at_stop.value != "nothing":
                self._explain()
        except (GdbtoolsError, gdb.error) as error:
            gdb.write(f"mmu: {error}\n", gdb.STDERR)

    def _name_loop(self) -> None:
        """Say so if this CPU's last caught fault was the same, and nothing has been done about it since."""
        try:
            machine = self.guest.machine()
            found = diagnose(machine.architecture, machine.register, machine.memory.read)
            place = place_of(found)
            if found.walk is not None:
                self.seen.remember(steps_of(found.walk), machine.current)
        finally:
            self.target.attached().release()
        if self.loops.times(machine.current, place) > 1:
            gdb.write(f"mmu: {place.said()}\n")

    def _explain(self) -> None:
        command = COMMANDS["fault"]
        _, _, answers = self.ask(command, ())
        for answer in answers:
            document = command.view(answer)
            if self.at_stop.value == "verdict":
                document = type(document)(document.blocks[:1])
            show(document)

    def _deleted(self, deleted: gdb.Breakpoint) -> None:
        """A catch lives and dies as one; GDB must be done with this deletion before the next."""
        catch = self.catches.forget(deleted)
        if catch is not None:
            gdb.post_event(catch.delete)


def open_file(name: str, registers: str | None) -> Machine:
    """Open a source that is a file, to look at it beside the guest."""
    from gdbtools.machine import open_source  # the reader of ELF files: only what opens a file has to wait for it

    return open_source(str(Path(name).expanduser()), None if registers is None else Path(registers).expanduser())


def evaluate(text: str) -> int:
    """Read an expression as GDB does, as an unsigned 64-bit integer."""
    try:
        value = gdb.parse_and_eval(text)
        if value.type.code == gdb.TYPE_CODE_VOID:
            raise UsageError(f"{text} has no value here; give an address, like $pc, &symbol or 0xffff000012345000")
        if value.type.strip_typedefs().code == gdb.TYPE_CODE_FLT:
            raise UsageError(f"{text} is a floating-point number; give an address, like $pc, &symbol or 0x40000000")
        if value.type.code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRUCT):
            return unsigned(value.address or value)
        if value.type.code == gdb.TYPE_CODE_PTR or value.type.sizeof <= 8:
            # As C converts to a 64-bit address: a smaller signed value is extended.
            return int(value) & (1 << 64) - 1
    except (gdb.error, ValueError, TypeError) as error:
        raise UsageError(f"{text}: {error}; give an address, like $pc, &symbol or 0xffff000012345000") from None
    raise UsageError(f"{text} is not an address: its value has {value.type.sizeof} bytes")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Have GDB print an expected error, ours or its own, as one line without a Python traceback."""
    try:
        yield
    except (GdbtoolsError, gdb.error) as error:
        raise gdb.GdbError(" ".join(str(error).split())) from None


class Prefix(gdb.Command):
    """Decode the MMU: translation tables, faults and their repair."""

    def __init__(self) -> None:
        super().__init__("mmu", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)

    def invoke(self, argument: str, from_tty: bool) -> None:  # noqa: ARG002
        if argument:
            raise gdb.GdbError(f"mmu has no command {argument.split()[0]!r}; `help mmu` lists them")
        gdb.execute("help mmu")


class Subcommand(gdb.Command):
    """One command under `mmu`; its docstring, completion and parser come from its declaration."""

    def __init__(self, face: Face, command: Command) -> None:
        self.__doc__ = f"{command.summary}.\n\n{parser_for(command, 'mmu', SHARED).format_help().rstrip()}"
        self._face = face
        self._command = command
        super().__init__(f"mmu {command.name}", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:  # noqa: ARG002
        try:
            with one_line_errors():
                self._face.show(self._command, gdb.string_to_argv(argument))
        except HelpWanted as text:
            gdb.write(str(text))

    def complete(self, text: str, word: str) -> list[str] | int:
        words = text.split(" ")[:-1]
        found = complete(self._command, [each for each in words if each], word_of(text), SHARED)
        takes_address = any(argument.kind is Kind.ADDRESS for argument in self._command.arguments)
        if takes_address and not found and not word_of(text).startswith("-"):
            return gdb.COMPLETE_EXPRESSION
        # GDB breaks words at dashes, and wants what follows the last break.
        skip = len(word_of(text)) - len(word or "")
        return [each[skip:] for each in found]


def word_of(text: str) -> str:
    """Give the word under the cursor, dashes and all."""
    return text.rsplit(" ", 1)[-1]


def _mi_command(face: Face) -> None:
    """Register `-mmu COMMAND ARGUMENTS...`: the same answers as JSON, for GDB/MI clients."""
    base: Any = gdb.MICommand  # absent from the type stubs' oldest version

    class Mi(base):  # type: ignore[misc]
        """-mmu COMMAND [ARGUMENTS...]: answers=[JSON, ...].

        The result record of a command that has run the guest is ^running: its answers come as console output.  A
        command that asks for the guest to be resumed answers first.
        """

        def invoke(self, words: list[str]) -> Mapping[str, str | list[str]] | None:
            if words[:1] == [FOR_PROMPT]:
                return answer_for_prompt(face, words[1:])
            if words[:1] == [EXPLAIN]:
                return explanation(" ".join(words[1:]))
            name, *rest = words or [""]
            if name not in COMMANDS:
                raise gdb.GdbError(f"there is no command {name!r}; they are {', '.join(COMMANDS)}")
            command = COMMANDS[name]
            try:
                with one_line_errors(), face.guest.interruptible() if command.runs_guest else nullcontext():
                    _, session, answers = face.ask(command, rest)
                    lines = answered(command, answers, Form.JSON, session.machine.assumed).splitlines()
                    if command.runs_guest:
                        gdb.write("".join(f"{line}\n" for line in lines))
                        return None
            except HelpWanted as text:
                raise gdb.GdbError(str(text)) from None
            if session.resume_wanted:
                gdb.post_event(face.guest.resume)
            return {"answers": lines}

    Mi("-mmu")


def register() -> None:
    """Make the commands known to GDB; touches no target.  A second `source` changes nothing."""
    try:
        gdb.parameter("mmu-dirty")
    except RuntimeError:
        pass
    else:
        return
    face = Face()
    Prefix()
    for command in COMMANDS.values():
        Subcommand(face, command)
    _mi_command(face)
