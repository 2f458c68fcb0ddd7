"""The one way of an answer, whoever asks: words, a query, a response; then what is shown, written and exited with.

A face brings what is its own: how an expression is read, what the session works on, and where the text goes.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gdbtools.commands.files import keep_apart, write_whole
from gdbtools.commands.model import Argument, Command
from gdbtools.commands.parser import Words, parse, read
from gdbtools.commands.reading import Evaluate
from gdbtools.commands.session import OfGuest, OfTask, Session
from gdbtools.errors import ANSWERED, FINDING, UsageError
from gdbtools.render.document import Document, Line, Role, Span, gathered
from gdbtools.render.json import json_line
from gdbtools.render.text import DEFAULT_WIDTH, PIPE_WIDTH, render


class OutputForm(enum.Enum):
    """How an answer is written."""

    TEXT = enum.auto()
    JSON = enum.auto()
    HTML = enum.auto()
    MARKDOWN = enum.auto()
    FOREIGN = enum.auto()
    """One of a command's own, which is not ours: `--format` names it."""


_BY_SUFFIX: Final = {
    ".html": OutputForm.HTML,
    ".htm": OutputForm.HTML,
    ".json": OutputForm.JSON,
    ".jsonl": OutputForm.JSON,
    ".md": OutputForm.MARKDOWN,
    ".markdown": OutputForm.MARKDOWN,
}


def form_of(json: bool, html: bool, output: str | None, foreign: str | None = None) -> OutputForm:
    """Return the form that was asked for, by an option or by the name of the file."""
    asked = [name for name, wanted in (("--json", json), ("--html", html), ("--format", foreign)) if wanted]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} exclude each other; ask for one of them")
    if foreign:
        return OutputForm.FOREIGN
    if json or html:
        return OutputForm.JSON if json else OutputForm.HTML
    return _BY_SUFFIX.get(Path(output or "").suffix.lower(), OutputForm.TEXT)


@dataclass(frozen=True)
class Query:
    """A command, and what it is asked: `options` is of its own class, `output` the file that `--output` names."""

    command: Command
    options: Any
    form: OutputForm = OutputForm.TEXT
    output: str | None = None
    foreign: str | None = None
    """What the form is called that is not ours."""
    rehearses: bool = False
    """Whether it is asked to show what it would do, and to do nothing (`--dry-run`)."""
    readings: tuple[str, ...] = ()
    """How numbers were read that could have meant another."""
    writes: tuple[tuple[str, str], ...] = ()
    """The files that it writes: what asks for each, and its name."""
    reads: tuple[str, ...] = ()
    """The files that it reads besides the source that is asked."""

    @property
    def sourceless(self) -> bool:
        return self.command.sourceless(self.options)

    @property
    def changes_guest(self) -> bool:
        return self.command.changes_guest and not self.sourceless


def query(
    command: Command, words: Sequence[str], evaluate: Evaluate, program: str, shared: Sequence[Argument] = ()
) -> Query:
    """Read a command's words; raises `UsageError` for what makes no sense and `HelpWanted` for `--help`.

    `program` is what its usage begins with, and `shared` are the arguments that a face adds to every command.
    """
    return query_of(parse(command, words, program, shared), evaluate)


def query_of(words: Words, evaluate: Evaluate) -> Query:
    """Read words that have been parsed."""
    values, readings = read(words, evaluate)
    output, foreign = words.output, words.given.get("format")
    return Query(
        command=words.command,
        options=words.command.options(values),
        form=form_of(values.get("json", False), values.get("html", False), output, foreign),
        output=output,
        foreign=foreign,
        rehearses=bool(values.get("dry_run")),
        readings=readings,
        writes=words.writes,
        reads=words.reads,
    )


@dataclass(frozen=True)
class Response:
    """The answers to a query, and what was taken for granted in them, which is said in every form."""

    query: Query
    answers: Sequence[Any]
    assumed: tuple[str, ...]
    resumes: bool = False
    """Whether the guest is to run on once this has been shown."""

    @property
    def status(self) -> int:
        """The exit status: whether one of the answers is a fault or a finding."""
        return FINDING if any(map(self.query.command.finding, self.answers)) else ANSWERED

    def lines(self) -> list[str]:
        """Return the answers as JSON objects, a line each."""
        command = self.query.command
        return [json_line(command.name, command.record(answer), self.assumed) for answer in self.answers]

    def documents(self) -> list[Document]:
        """Return the answers as they are shown, and behind them what was assumed, in them or for all."""
        documents = self.query.command.documents(self.answers)
        return gathered(documents, "assumed", self.assumed) if self.assumed else documents

    def text(
        self,
        colour: bool = False,
        width: int = DEFAULT_WIDTH,
        encoding: str = "utf-8",
        fit: bool = False,
        height: int | None = None,
        table_width: int | None = None,
    ) -> str:
        """Return the answers in the form that was asked for; text has an empty line between two.

        The layout is as `render` has it.
        """
        if self.query.form is OutputForm.JSON:
            return "".join(f"{line}\n" for line in self.lines())
        if self.query.foreign is not None:
            return self.query.command.formatted(self.query.foreign, self.answers)
        if self.query.form is OutputForm.HTML:
            from gdbtools.render.html import page  # only a page needs it

            return page(f"gdbtools {self.query.command.name}", self.documents())
        if self.query.form is OutputForm.MARKDOWN:
            from gdbtools.render.markdown import markdown  # only such a file needs it

            return markdown(self.documents())
        return "\n".join(render(each, colour, width, encoding, fit, height, table_width) for each in self.documents())

    def write(self) -> None:
        """Write the answers to the file that `--output` names, if it names one; `~` is a home directory."""
        if self.query.output is not None:
            write_whole(Path(self.query.output).expanduser(), self.text(table_width=PIPE_WIDTH).encode())

    def for_prompt(self) -> tuple[Sequence[Document], str]:
        """Return what a prompt shows: documents, or text that is as it is (`--json`, `--html`).

        With `--output` it is that it was written.
        """
        if self.query.output is not None:
            return [Document([Line(["Wrote ", Span(self.query.output, Role.GOOD), "."])])], ""
        return (self.documents(), "") if self.query.form is OutputForm.TEXT else ((), self.text())


def respond(query: Query, session: Session) -> Response:
    """Answer a query; raises `GdbtoolsError`.  Nothing is shown or written yet.

    What would overwrite what it reads is refused before there is anything to lose.
    """
    keep_apart(query.writes, [*session.machine.files, *query.reads])
    if isinstance(query.options, OfTask) and query.options.task is not None:
        from gdbtools.commands.tasks.asked import for_task  # only such a question needs it

        session = for_task(session, query.options)
    if isinstance(query.options, OfGuest) and query.options.guest is not None:
        from gdbtools.commands.guests.asked import for_guest  # only such a question needs it

        session = for_guest(session, query.options, query.sourceless)
    answers = query.command.run(session, query.options)
    return Response(
        query, answers, (*query.readings, *(each.text for each in session.machine.assumed)), session.resume_wanted
    )
