"""A prompt on a source: the commands run in this process."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from gdbtools.arch.architecture import Architecture
from gdbtools.commands import COMMANDS
from gdbtools.commands.expressions import Expressions
from gdbtools.errors import GdbtoolsError, Unavailable, UsageError
from gdbtools.machine.model import Machine
from gdbtools.machine.symbols import symbol_values
from gdbtools.render.json import JsonObject
from gdbtools.repl.news import Hear, Progressed
from gdbtools.repl.session import Answered, Doing, Session, State, answer_from, state_of
from gdbtools.repl.words import ForGdb, Question, first_word

NEEDS_A_GUEST = "needs a live guest, and a dump is not one: gdbtools attach"
MOST_SYMBOLS = 200


class Symbols:
    """The symbols of an ELF file, read when they are first asked for; without a file, none."""

    def __init__(self, elf: Path | None) -> None:
        self.elf = elf

    @cached_property
    def values(self) -> Mapping[str, int]:
        return {} if self.elf is None else symbol_values(self.elf)

    @cached_property
    def _sorted(self) -> Sequence[tuple[int, str]]:
        return sorted((value, name) for name, value in self.values.items() if not name.startswith("$"))

    @property
    def whence(self) -> str:
        """What to say of a name that is none of them."""
        return "is not a number; for symbols give --elf FILE" if self.elf is None else f"is not a symbol of {self.elf}"

    def beginning(self, prefix: str) -> Sequence[str]:
        """Give those that begin so, not too many of them."""
        found = sorted(
            name for name in self.values if name.startswith(prefix) and not name.startswith("$") and name.isprintable()
        )
        return found[:MOST_SYMBOLS]

    def place(self, address: int) -> str:
        """Write an address with the symbol it is behind, as GDB does: `0x40200210 <vectors+528>`."""
        at = bisect_right(self._sorted, (address, "\U0010ffff")) - 1
        if at < 0:
            return f"{address:#x}"
        value, name = self._sorted[at]
        return f"{address:#x} <{name}{f'+{address - value}' if address > value else ''}>"


class Opened(Session):
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

    @property
    def machine(self) -> Machine:
        assert self._machine is not None, "it was opened"
        return self._machine

    @property
    def architecture(self) -> Architecture:
        return self.machine.architecture

    async def open(self) -> None:
        self._held.close()
        self._machine = self._held.enter_context(self._opened())
        self.state = State(Doing.SOURCE)

    async def close(self) -> None:
        self._held.close()

    async def look(self) -> None:
        status, fault = self._record("status"), self._record("fault")
        try:
            place = self._symbols.place(self.machine.register(self.architecture.pc))
        except GdbtoolsError:
            place = ""
        self.state = state_of(Doing.SOURCE, status or {"cpu": None, "cpus": 0, "el": None}, fault, place)

    def _record(self, name: str) -> JsonObject | None:
        from gdbtools.commands.parser import parse
        from gdbtools.commands.session import Session as CommandSession

        command = COMMANDS[name]
        try:
            (answer,) = command.run(CommandSession(self.machine), parse(command, (), self._evaluate, "mmu"))
        except GdbtoolsError:
            return None
        return command.record(answer)

    @property
    def _evaluate(self) -> Callable[[str], int]:
        return Expressions(lambda: self._symbols.values, self._symbols.whence, self.machine.register).evaluate

    async def ask(self, question: Question) -> Answered:
        def tell(reads: int, size_bytes: int) -> None:
            self.hear(Progressed(reads, size_bytes))

        return answer_from(self.machine, question, self._evaluate, tell, NEEDS_A_GUEST)

    async def through(self, line: ForGdb) -> int:
        name = first_word(line.text) or line.text
        raise UsageError(f"{name!r} is no command of gdbtools, and {self._name} is not behind a GDB; `help` lists them")

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
    evaluate = Expressions(lambda: symbols.values, symbols.whence, machine.register).evaluate
    tell = lambda reads, size_bytes: hear(Progressed(reads, size_bytes))  # noqa: E731
    return answer_from(machine, question, evaluate, tell, f"needs the guest stopped, and {why}")
