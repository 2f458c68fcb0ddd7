"""A prompt on a source: the commands run in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path

from gdbtools.addresses import VA
from gdbtools.arch.capabilities import Architecture
from gdbtools.children.debugger import Progressed
from gdbtools.commands import COMMANDS
from gdbtools.commands.answering import query, respond
from gdbtools.commands.expressions import Expressions
from gdbtools.commands.session import Kept
from gdbtools.errors import GdbtoolsError, Unavailable, UsageError
from gdbtools.machine.model import Machine
from gdbtools.machine.naming import named
from gdbtools.machine.symbols import Symbols
from gdbtools.render.json import JsonObject
from gdbtools.repl.command_line import OWN, PREFIX, ForGdb, Question, first_word
from gdbtools.repl.events import Hear
from gdbtools.repl.session import Answered, Doing, PromptSubject, State, answer_from, state_of
from gdbtools.spelling import nearest

NEEDS_A_GUEST = "needs a live guest, and a dump is not one: gdbtools attach"


class Opened(PromptSubject):
    """A prompt's session on a machine that nothing changes."""

    def __init__(
        self, hear: Hear, name: str, elf: Path | None, opened: Callable[[], AbstractContextManager[Machine]]
    ) -> None:
        super().__init__(hear)
        self._name = name
        self._opened = opened
        self._held = ExitStack()
        self._symbols = Symbols(elf)
        self._machine: Machine | None = None
        self._kept = Kept()

    @property
    def machine(self) -> Machine:
        assert self._machine is not None, "it was opened"
        return self._machine

    @property
    def architecture(self) -> Architecture:
        return self.machine.architecture

    @property
    def registers(self) -> Collection[str] | None:
        return self.machine.cpu.registers.names()

    @property
    def files(self) -> Collection[str]:
        return self.machine.files

    async def open(self) -> None:
        self._held.close()
        machine = self._held.enter_context(self._opened())
        self._machine = named(machine, self._symbols)
        self.state = State(Doing.SOURCE)

    async def close(self) -> None:
        self._held.close()

    async def look(self) -> None:
        status, fault = self._record("status"), self._record("fault")
        try:
            place = self._symbols.place(VA(self.machine.register(self.architecture.pc)))
        except GdbtoolsError:
            place = ""
        self.state = state_of(Doing.SOURCE, self.architecture, status, fault, place)

    def _record(self, name: str) -> JsonObject | None:
        from gdbtools.commands.session import Session as CommandSession

        command = COMMANDS[name]
        try:
            (answer,) = respond(query(command, (), self._evaluate, PREFIX), CommandSession(self.machine)).answers
        except GdbtoolsError:
            return None
        return command.record(answer)

    @property
    def _evaluate(self) -> Callable[[str], int]:
        return Expressions(lambda: self._symbols.values, self._symbols.whence, self.machine.value_of).evaluate

    async def ask(self, question: Question) -> Answered:
        def tell(reads: int, size_bytes: int) -> None:
            self.hear(Progressed(reads, size_bytes))

        return answer_from(self.machine, question, self._evaluate, tell, NEEDS_A_GUEST, self._kept)

    async def through(self, line: ForGdb) -> int:
        name = first_word(line.text) or line.text
        meant = nearest(name, (*COMMANDS.spellings, *OWN))
        near = f"did you mean {meant}? " if meant else ""
        raise UsageError(
            f"{name!r} is no command of gdbtools, and {self._name} is not behind a GDB; {near}`help` lists them"
        )

    async def select(self, cpu: int) -> None:
        wanted = replace(self.machine, current=cpu)
        _ = wanted.cpu
        self._machine = wanted
        await self.look()

    async def symbols(self, prefix: str) -> Sequence[str]:
        return self._symbols.beginning(prefix)

    async def completions(self, line: str) -> Sequence[str]:  # noqa: ARG002
        return ()


def snapshot_question(machine: Machine, question: Question, symbols: Symbols, hear: Hear, why: str) -> Answered:
    """Answer from what was kept of the last stop; `why` is why nothing else can be asked now."""
    if question.command.changes_guest:
        raise Unavailable(f"`{question.command.name}` changes the guest, and {why}")
    evaluate = Expressions(lambda: symbols.values, symbols.whence, machine.value_of).evaluate
    tell = lambda reads, size_bytes: hear(Progressed(reads, size_bytes))  # noqa: E731
    named = symbols.of(machine)
    return answer_from(named, question, evaluate, tell, f"needs the guest stopped, and {why}", Kept())
