"""What a prompt works on: a guest behind GDB or a source, with the same questions to both."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gdbtools.arch.capabilities import Architecture
from gdbtools.commands.answering import query, respond
from gdbtools.commands.arguments import OUTPUT
from gdbtools.commands.parser import HelpWanted
from gdbtools.commands.reading import Evaluate
from gdbtools.commands.session import Kept
from gdbtools.commands.session import Session as CommandSession
from gdbtools.errors import Unavailable
from gdbtools.machine.model import Machine
from gdbtools.machine.progress import CountedMemory, Tell
from gdbtools.machine.sources import open_source
from gdbtools.render.document import Document, Line, Role, Span
from gdbtools.repl.command_line import PREFIX, ForGdb, Question
from gdbtools.repl.events import Hear, PromptNote
from gdbtools.repl.terminal.interrupts import interruptible

SHARED = OUTPUT
"""What the prompt adds to every command, as GDB's own face does."""


class Doing(enum.Enum):
    """What the thing that is looked at is doing, as the toolbar says it."""

    ABSENT = "no guest"
    STOPPED = "stopped"
    RUNNING = "running"
    BUSY = "busy"
    SOURCE = "dump"
    LOST = "no GDB"


@dataclass(frozen=True)
class State:
    """What the toolbar shows; empty strings and None where it is not known."""

    doing: Doing
    cpu: int | None = None
    cpus: int = 0
    privilege: str = ""
    place: str = ""
    regime: str = ""
    verdict: str = ""
    entry: str = ""
    """The vector entry that pc is at."""


@dataclass(frozen=True)
class Answered:
    """What a question came to: documents, or text that is shown as it is, and the exit status it stands for."""

    status: int
    documents: Sequence[Document] = ()
    text: str = ""
    note: str = ""
    """What is to be known about the answer, said before it and never piped."""
    resumes: bool = False
    """Whether the guest is to run on once this has been shown: `Session.resume`."""


class PromptSubject(abc.ABC):
    """A guest or a source.  `hear` is told whatever no question asked for, and `changed` that `state` has changed."""

    def __init__(self, hear: Hear) -> None:
        self.hear = hear
        self.changed: Callable[[], None] = lambda: None
        self._state = State(Doing.ABSENT)

    @property
    def state(self) -> State:
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        self.changed()

    def say(self, text: str, role: Role = Role.WARNING) -> None:
        """Have the prompt say something of its own."""
        self.hear(PromptNote(Document([Line(Span(text, role))])))

    @property
    @abc.abstractmethod
    def architecture(self) -> Architecture:
        """The architecture whose names are completed."""

    @property
    def registers(self) -> Collection[str] | None:
        """The names of the registers that there are; None where nobody knows."""
        return None

    @property
    def files(self) -> Collection[str]:
        """The names of the files that it is read from."""
        return ()

    @abc.abstractmethod
    async def open(self) -> None:
        """Make the connection, or make again what of it is gone; raises `GdbtoolsError`."""

    @abc.abstractmethod
    async def look(self) -> None:
        """Find out where the guest or the source stands, for `state`; what cannot be told is left out."""

    @abc.abstractmethod
    async def ask(self, question: Question) -> Answered:
        """Answer a command of ours; raises `GdbtoolsError`."""

    @abc.abstractmethod
    async def through(self, line: ForGdb) -> int:
        """Have GDB execute a line, and give its exit status; what it prints is heard."""

    @abc.abstractmethod
    async def select(self, cpu: int) -> None:
        """Look at another CPU; raises `GdbtoolsError`."""

    @abc.abstractmethod
    async def symbols(self, prefix: str) -> Sequence[str]:
        """Return symbols that begin so; none where that would have to wait."""

    @abc.abstractmethod
    async def completions(self, line: str) -> Sequence[str]:
        """Return GDB's own completions of a line, as whole lines; none where that would have to wait."""

    async def explanation(self, name: str) -> str:  # noqa: ARG002
        """Return a line on a command of GDB's, empty where there is none, or it would have to wait."""
        return ""

    @property
    def waits(self) -> bool:
        """Whether a guest runs, or GDB is at something: the prompt may be used meanwhile."""
        return self.state.doing in (Doing.RUNNING, Doing.BUSY)

    def interrupt(self) -> None:  # noqa: B027 (a dump has nothing to stop)
        """Stop what goes on."""

    async def resume(self) -> None:  # noqa: B027
        """Let the guest run on, as an answer asked for."""

    async def settled(self) -> None:  # noqa: B027
        """Wait until no guest runs, and everything about its stop has been heard."""

    async def close(self) -> None:  # noqa: B027
        """Let go of everything."""


def answer_from(
    machine: Machine, question: Question, evaluate: Evaluate, tell: Tell, live_only_because: str, kept: Kept
) -> Answered:
    """Answer a question in this process, by what is `kept` of earlier ones too.

    Raises `GdbtoolsError`, and `Unavailable` for what needs a live guest.
    """
    command = question.command
    try:
        asked = query(command, question.words, evaluate, PREFIX, SHARED)
    except HelpWanted as wanted:
        return Answered(0, text=str(wanted))
    if command.live_only:
        raise Unavailable(f"`{command.name}` {live_only_because}")
    with interruptible():
        counted = replace(machine, memory=CountedMemory(machine.memory, tell))
        response = respond(asked, CommandSession(counted, open=partial(open_source, like=machine), kept=kept))
        response.write()
        documents, text = response.for_prompt()
    return Answered(response.status, documents, text)


def state_of(
    doing: Doing,
    architecture: Architecture,
    status: Mapping[str, Any] | None,
    fault: Mapping[str, Any] | None,
    place: str,
) -> State:
    """Make the toolbar's state of what `status` and `fault` have recorded."""
    status = {"cpu": None, "cpus": 0} if status is None else status
    regimes: Sequence[Mapping[str, Any]] = status.get("regimes") or ()
    privilege = next((each.label for each in architecture.privileges if each.record.items() <= status.items()), "")
    on = any(regime["levels"] for regime in regimes)
    regime = "MMU off" if regimes else ""
    if on:
        regime = str(regimes[0]["regime_name"])
    known = fault if fault is not None and int(fault["syndrome"]["value"], 16) else {}
    return State(
        doing,
        status["cpu"],
        status["cpus"] or 1,
        privilege,
        place,
        regime,
        str(known.get("sentence", "")).rstrip("."),
        str(known.get("vector_entry") or ""),
    )
