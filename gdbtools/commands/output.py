"""Where an answer goes, and in which form."""

from __future__ import annotations

import enum
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gdbtools.commands.model import Command
from gdbtools.errors import UsageError
from gdbtools.render.document import Document, Facts, Line, Role, Span
from gdbtools.render.json import json_line
from gdbtools.render.text import DEFAULT_WIDTH, render


class OutputForm(enum.Enum):
    """How an answer is written."""

    TEXT = enum.auto()
    JSON = enum.auto()
    HTML = enum.auto()


_BY_SUFFIX: Final = {
    ".html": OutputForm.HTML,
    ".htm": OutputForm.HTML,
    ".json": OutputForm.JSON,
    ".jsonl": OutputForm.JSON,
}


def form_of(options: Namespace) -> OutputForm:
    """Return the form that was asked for, by an option or by the name of the file."""
    if options.json and options.html:
        raise UsageError("--json and --html exclude each other; ask for one of them")
    if options.json or options.html:
        return OutputForm.JSON if options.json else OutputForm.HTML
    return _BY_SUFFIX.get(Path(options.output or "").suffix.lower(), OutputForm.TEXT)


def answered(
    command: Command,
    answers: Sequence[Any],
    form: OutputForm,
    assumed: Sequence[str] = (),
    colour: bool = False,
    width: int = DEFAULT_WIDTH,
    encoding: str = "utf-8",
    fit: bool = False,
    height: int | None = None,
) -> str:
    """Return the answers of a command as they are written; text has an empty line between two.

    `assumed` is what the source did not say and was taken for granted: it is said in every form.  The rest is as
    `render` has it.
    """
    if form is OutputForm.JSON:
        return "".join(f"{json_line(command.name, command.record(answer), assumed)}\n" for answer in answers)
    documents = documents_of(command, answers, assumed)
    if form is OutputForm.HTML:
        from gdbtools.render.html import page  # only a page needs it

        return page(f"gdbtools {command.name}", documents)
    return "\n".join(render(document, colour, width, encoding, fit, height) for document in documents)


def documents_of(command: Command, answers: Sequence[Any], assumed: Sequence[str] = ()) -> list[Document]:
    """Return the answers of a command as they are shown, and behind them what was assumed."""
    documents = command.documents(answers)
    if assumed:
        documents.append(Document([Facts([("" if at else "assumed", text) for at, text in enumerate(assumed)])]))
    return documents


def for_prompt(
    command: Command, options: Namespace, answers: Sequence[Any], assumed: Sequence[str]
) -> tuple[Sequence[Document], str]:
    """Return what a prompt shows: documents, or text that is as it is (`--json`, `--html`).

    With `--output`, which is the caller's to write, it is that it was written.
    """
    if options.output is not None:
        return [Document([Line(["Wrote ", Span(options.output, Role.GOOD), "."])])], ""
    form = form_of(options)
    if form is OutputForm.TEXT:
        return documents_of(command, answers, assumed), ""
    return (), answered(command, answers, form, assumed)
