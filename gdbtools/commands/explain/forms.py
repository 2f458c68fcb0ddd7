"""Crashes as a system of continuous integration shows them beside the log: messages of a GitHub workflow."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.commands.explain.run import Answer, Explained
from gdbtools.commands.syndrome import view as syndrome
from gdbtools.printable import in_a_line
from gdbtools.render.document import Span, Text
from gdbtools.render.workflow import message


def github(answers: Sequence[Answer]) -> str:
    """Return an error for each crash, with the file and the line where it has one."""
    return "".join(
        message(
            "error",
            in_a_line(said(each)),
            {"file": each.text, "line": each.crash.line, "title": in_a_line(each.crash.title)},
        )
        for each in answers
        if isinstance(each, Explained)
    )


def said(answer: Explained) -> str:
    """Return what a crash comes to, in a sentence: the verdict, else the syndrome, else why there is neither."""
    if answer.fault is not None:
        return _plain(answer.fault.verdict)
    if answer.syndrome is not None:
        return _plain(syndrome.with_reason(answer.syndrome.syndrome))
    return f"{answer.crash.system}: {answer.crash.exception or answer.crash.unread or answer.why}"


def _plain(text: Text) -> str:
    parts = [text] if isinstance(text, (str, Span)) else text
    return "".join(each if isinstance(each, str) else each.text for each in parts)
