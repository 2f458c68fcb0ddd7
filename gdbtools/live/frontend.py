"""The GDB face: everything that lives as long as GDB does, made when the first command is given."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial

import gdb

from gdbtools.analysis.faults.descriptor_history import DescriptorHistory, steps_of
from gdbtools.analysis.faults.diagnosis import diagnose
from gdbtools.analysis.faults.loops import Loops, place_of
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.capabilities import DirtyConvention
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import OutputForm, Query, Response, query, respond
from gdbtools.commands.arguments import OUTPUT
from gdbtools.commands.expressions import Expressions
from gdbtools.commands.model import Command
from gdbtools.commands.own_help import own
from gdbtools.commands.session import Kept, Session
from gdbtools.errors import GdbtoolsError, Unavailable, UsageError
from gdbtools.live.catch import Catch, Catches, matches
from gdbtools.live.console import manner, show
from gdbtools.live.core import CoreFile, has_core
from gdbtools.live.expressions import LIKE, GdbSymbols, evaluate
from gdbtools.live.guest import LiveGuest
from gdbtools.live.settings import VECTORS, Settings
from gdbtools.live.stub.memory import broken
from gdbtools.live.stub.target import Target
from gdbtools.live.whose import in_gdbs_words, stand_in, told
from gdbtools.machine.layers import no_source, unsaid
from gdbtools.machine.model import CaughtFaults, Machine
from gdbtools.machine.progress import CountedMemory, Tell
from gdbtools.machine.sources import open_source
from gdbtools.printable import in_a_line
from gdbtools.repair.log import Log

LOOP = 3
"""How often in a row a caught fault has to come with nothing changed: QEMU 7.2 says now and then that it has stepped,
and has not, and GDB, which steps past its breakpoint, then stops twice at one exception."""


class Face:
    """The target, what was seen of it, and the log of writes; obeys the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.target = Target(CoreFile(lambda: settings.registers.path))
        self.catches = Catches(lambda: VECTORS[str(settings.vectors.value)])
        self.guest = LiveGuest(self.target, self.catches, self.dirty)
        self.written = Log()
        self.loops = Loops()
        self.seen = DescriptorHistory()
        self.kept = Kept()
        self._attachment = self.target.attachment
        self._held: Sequence[gdb.Breakpoint] | None = None
        """What GDB stopped at last while a command ran the guest."""
        gdb.events.stop.connect(self._stopped)
        gdb.events.breakpoint_deleted.connect(self._deleted)
        gdb.events.before_prompt.connect(self._sweep)
        self._doomed: list[Catch] = []

    def session(self, sourceless: bool, called: str = "") -> Session:
        self._sweep()
        if sourceless:
            return Session(replace(self._without_memory(called), files=_symbol_files()), open=_open)
        self.target.stopped()
        self._meet()
        machine = self.guest.machine()
        ARCHITECTURES.check_called(called, machine.architecture)
        other = partial(open_source, like=machine)
        machine = replace(machine, files=(*machine.files, *_symbol_files()))
        return Session(machine, self.written, self.seen, open=other, kept=self.kept, make_sure=self.make_sure)

    def _meet(self) -> None:
        """Notice a new connection: what was seen of an older guest is forgotten, as far as this one is another."""
        before, now = self._attachment, self.target.attachment
        if now is before:
            return
        self._attachment, self.seen, self.loops = now, DescriptorHistory(), Loops()
        self.written.connected()
        if before is None or now is None or not now.has_another_guest_than(before):
            return
        changed, abandoned = self.written.forget(), self.catches.abandon()
        self._doomed += abandoned
        gone = [f"{changed} to take back"] if changed else []
        gone += [f"catch {each.wanted.kind}" for each in abandoned]
        if gone:
            gdb.write(f"mmu: this is another guest; forgotten with the one before: {', '.join(gone)}\n", gdb.STDERR)

    def _without_memory(self, called: str) -> Machine:
        """Return the registers of a guest that is stopped, else the architecture that GDB was told, or the first.

        What a command is `called` says it first: an architecture has a name of its own for a syndrome.
        """
        whose = ARCHITECTURES.of_syndrome(called)
        with suppress(GdbtoolsError, gdb.error):
            self.target.stopped()
            machine = self.guest.machine()
            if whose in (None, machine.architecture.name) or machine.architecture.identity.syndrome == called:
                return replace(no_source(machine.architecture), cpus=machine.cpus, current=machine.current)
        if whose is not None:
            return no_source(ARCHITECTURES[whose])
        with suppress(GdbtoolsError, gdb.error):
            return no_source(self.guest.machine().architecture)
        machine = no_source(told() or ARCHITECTURES[next(iter(ARCHITECTURES))])
        return machine if told() else replace(machine, assumed=(unsaid(machine.architecture),))

    def dirty(self) -> DirtyConvention:
        """Return how the guest marks what is dirty, as far as the user has said."""
        return DirtyConvention(str(self._settings.dirty.value))

    def ask(self, command: Command, words: Sequence[str], tell: Tell | None = None, called: str = "") -> Response:
        """Read, answer and, with `--output`, write; physical memory mode is off afterwards, whatever happened.

        `tell` hears how far it is; `called` is the name by which the command was asked, if not its own.
        """
        response = self._respond(query(self._own(command, words, called), words, evaluate, "mmu", OUTPUT), tell, called)
        response.write()
        return response

    def harmlessly(self, command: Command, words: Sequence[str]) -> Response:
        """Answer one who is not trusted as the user is: expressions are read here, not by GDB."""
        expressions = Expressions(GdbSymbols, f"is no symbol that GDB knows; {LIKE}", self._register)
        return self._respond(query(command, words, expressions.evaluate, "mmu"))

    def _register(self, name: str) -> int:
        if not name.isidentifier():
            raise UsageError(f"${name} is no register; {LIKE}")
        return self.guest.machine().register(name)

    def _own(self, command: Command, words: Sequence[str], called: str) -> Command:
        """Return a command for its help, with the words of the architecture that calls it so, else of the guest's."""
        if not {"-h", "--help"} & set(words):
            return command
        whose = ARCHITECTURES.of_syndrome(called)
        with suppress(GdbtoolsError, gdb.error):
            return own(command, ARCHITECTURES[whose] if whose is not None else self.guest.machine().architecture)
        return command

    def _respond(self, asked: Query, tell: Tell | None = None, called: str = "") -> Response:
        with in_gdbs_words():
            return self._answered(asked, tell, called)

    def _answered(self, asked: Query, tell: Tell | None, called: str) -> Response:
        try:
            sourceless = asked.sourceless
            session = self.session(sourceless, called)
            if asked.command.live_only and not sourceless:
                _ = session.live
            self.guest.past_stub(not asked.changes_guest)
            if not sourceless:
                # First, so that a stub that does not answer is asked one thing, and not each register in turn.
                self.make_sure()
            if tell is not None:
                session.machine = replace(session.machine, memory=CountedMemory(session.machine.memory, tell))
            response = respond(asked, session)
            if asked.changes_guest and not asked.rehearses:
                self.loops = Loops()
                self.guest.written()
            if not sourceless:
                self.make_sure()
            return response
        except GdbtoolsError:
            # Said of answers that may have been other questions'.
            self._make_sure_if_stopped()
            raise
        except gdb.error as error:
            attachment = self.target.attachment
            if attachment is not None and not attachment.connection.is_valid():
                # GDB speaks of what it misses then, registers say, and not of why.
                raise broken(error) from None
            self._make_sure_if_stopped()
            raise
        finally:
            self.guest.past_stub(True)
            if self.target.attachment is not None:
                self.target.attachment.release()

    def make_sure(self) -> None:
        """Raise `Unavailable` if what the guest's stub has answered cannot be believed."""
        if self.target.attachment is not None and not has_core():
            self.target.attachment.make_sure()

    def _make_sure_if_stopped(self) -> None:
        """Make sure where that may be asked: QEMU stops a guest that runs for whatever it is sent."""
        thread = gdb.selected_thread()
        if thread is not None and not thread.is_running():
            self.make_sure()

    def faulted(self, wanted: CaughtFaults) -> bool:
        """Return whether the last exception is such a fault; while `mmu service` runs, access-flag faults are its."""
        machine = self.guest.machine()
        if _at_interrupt(machine):
            # It has no syndrome: what there is, is of an exception before it.
            return False
        taken = self.guest.serving and matches(machine, CaughtFaults("access-flag"))
        return matches(machine, wanted) and not taken

    def show(self, command: Command, words: Sequence[str], called: str = "") -> None:
        """Answer at the prompt, then resume the guest if the command asked for that."""
        # What has been done to the guest is said, whenever Ctrl-C comes.
        with self.guest.interruptible() if command.runs_guest else nullcontext():
            response = self.ask(command, words, called=called)
            output = response.query.output
            gdb.write(response.text(*manner()) if output is None else f"Wrote {in_a_line(output)}.\n")
        if command.runs_guest and response.query.form is OutputForm.TEXT:
            self._tell_held()
        if response.resumes:
            self.guest.resume()

    def _stopped(self, event: gdb.StopEvent) -> None:
        """Follow changed vectors, and say what was caught; of a command that runs the guest, when it is done."""
        self.seen.moved_on()
        self.written.moved_on()
        self._held = None
        self._sweep()
        self._meet_at_a_stop()
        if not self.catches.active:
            return
        try:
            try:
                news = self.catches.follow(self.guest.machine())
            finally:
                self.target.attached().release()
            if news and not self.guest.busy:
                gdb.write(f"mmu: {in_a_line(news)}\n")
            if not isinstance(event, gdb.BreakpointEvent):
                return
            if self.guest.busy:
                self._held = event.breakpoints
            else:
                self._tell_caught(event.breakpoints)
        except (GdbtoolsError, gdb.error) as error:
            gdb.write(f"mmu: {in_a_line(str(error))}\n", gdb.STDERR)

    def _meet_at_a_stop(self) -> None:
        """Notice a guest that GDB has just attached to, before it sets an older one's breakpoints in it."""
        if self.target.attachment is self._attachment is None or has_core():
            return
        with suppress(GdbtoolsError, gdb.error):
            self.target.attached()
            self._meet()

    def _tell_caught(self, breakpoints: Sequence[gdb.Breakpoint]) -> None:
        """Report what a catch stopped at, if one did: nothing where the CPU has left its vector, as after a repair."""
        machine = self.guest.machine()
        if not machine.architecture.exceptions.entry(machine.register) or not self.catches.caught(machine, breakpoints):
            return
        self._name_loop()
        if self._settings.at_stop.value != "nothing":
            self._explain()

    def _tell_held(self) -> None:
        """Report what ended a command that ran the guest, if that was a catch."""
        held, self._held = self._held, None
        if held is None or not self.target.connected():
            return
        try:
            self._tell_caught([each for each in held if each.is_valid()])
        except (GdbtoolsError, gdb.error) as error:
            gdb.write(f"mmu: {in_a_line(str(error))}\n", gdb.STDERR)

    def _name_loop(self) -> None:
        """Say so if this CPU's last caught fault was the same, and nothing has been done about it since."""
        try:
            machine = self.guest.machine()
            found = diagnose(machine.architecture, machine.register, machine.memory.read)
            self.make_sure()
            if found.exception.syndrome.fault is None:
                # Software traps what it will, as often as it is done: nothing is to be mapped or repaired.
                self.loops.forget(machine.current)
                return
            place = place_of(found)
            if found.walk is not None:
                self.seen.remember(steps_of(found.walk), machine.current)
        finally:
            self.target.attached().release()
        if self.loops.times(machine.current, place) >= LOOP:
            gdb.write(f"mmu: {in_a_line(place.said())}\n")

    def _explain(self) -> None:
        command = COMMANDS["fault"]
        for answer in self.ask(command, ()).answers:
            document = command.view(answer)
            if self._settings.at_stop.value == "verdict":
                document = type(document)(document.blocks[:1])
            show(document)

    def _deleted(self, deleted: gdb.Breakpoint) -> None:
        """A catch lives and dies as one; GDB must be done with this deletion before the next.

        Until then the others are disabled.  No event is posted for them: GDB 13 dies of one that is pending when it
        exits, as in batch mode each is.
        """
        catch = self.catches.forget(deleted)
        if catch is not None:
            self._doomed.append(catch)

    def _sweep(self, _: None = None) -> None:
        """Delete what is left of catches of which one breakpoint was deleted."""
        while self._doomed:
            self._doomed.pop().delete()


def _open(name: str, registers: str | None) -> Machine:
    """Open a source that is looked at alone: of the architecture that GDB was told, where it does not say so itself."""
    return open_source(name, registers, like=stand_in())


def _symbol_files() -> tuple[str, ...]:
    """Return the names of the files that GDB has symbols of."""
    return tuple(each.filename for each in gdb.objfiles() if each.filename)


def _at_interrupt(machine: Machine) -> bool:
    """Return whether the CPU is at the vector entry of an interrupt, as far as that is known."""
    try:
        entry = machine.architecture.exceptions.vector_entry(machine.register)
    except Unavailable:
        return False
    return entry is not None and bool(entry.interrupt)
