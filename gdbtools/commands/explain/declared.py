"""What may be asked of `explain`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import LOG_FORMS, RECORD
from gdbtools.commands.model import Argument, Command, Kind, loaded

EXPLAIN = Command(
    name="explain",
    decodes=False,
    of_text=True,
    summary="Explain every crash in a log, as `fault` does for a dump",
    description=(
        "Find the crashes in a text, with whatever stands before its lines, and explain each: by the registers that\n"
        "it prints, and the descriptors on the way to the address. What the text does not say is assumed, and printed\n"
        "as assumed. `-s LOG` has the first crash as a source, for the other commands. docs/logs.md says what is read."
    ),
    arguments=(
        Argument("log", "the text: a file, or - for standard input (default: -)", Kind.FILE, many="?", reads=True),
        replace(RECORD, help="answer this crash alone, counted from 1 (default: each)"),
        Argument("--format", "write them as messages of a workflow", Kind.CHOICE, LOG_FORMS),
    ),
    implementation=loaded("explain"),
    may_be_sourceless=True,
)
