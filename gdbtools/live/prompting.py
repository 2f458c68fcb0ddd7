"""`-mmu --prompt COMMAND ARGUMENTS...`: an answer for a prompt outside GDB, which shows it its own way.

The answer is one JSON object: `status` is the exit status that the command line would give, and beside it is one of
`documents` (as render/document_json.py has them), `lines` (with `--json` or `--html`), `help` or `error` (as
`errors.crossing` writes it, with its kind by name).  `resumes` says that the guest is to run on: the prompt sees to
that.  Meanwhile the log stream says `mmu-progress READS BYTES` now and then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import gdb

from gdbtools.commands import COMMANDS
from gdbtools.commands.model import Command
from gdbtools.commands.parser import HelpWanted
from gdbtools.errors import GdbtoolsError, Interrupted, Unavailable, UsageError, crossing
from gdbtools.live.console import console
from gdbtools.render.document_json import carried
from gdbtools.render.json import SCHEMA, JsonObject

if TYPE_CHECKING:
    from gdbtools.live.frontend import Face

FOR_PROMPT, FOR_ASSISTANT, EXPLAIN = "--prompt", "--assistant", "--explain"
ALLOW = "--allow-writes"
PROGRESS = "mmu-progress"


def answer_for_prompt(face: Face, words: Sequence[str]) -> dict[str, str] | None:
    """Run a command and give the result record; None if the guest has run, and the answer is console output."""
    command = COMMANDS.get(words[0]) if words else None
    runs = command is not None and command.runs_guest
    with face.guest.interruptible() if runs else nullcontext():
        line = json.dumps({"schema": SCHEMA, **_guarded(lambda: _answered(face, command, words))})
        if runs:
            gdb.write(f"{line}\n")
            return None
    return {"answer": line}


def answer_for_assistant(face: Face, words: Sequence[str]) -> dict[str, str] | None:
    """Run a command for one who may only look, or with `--allow-writes` may act, and give what a prompt is given.

    Its expressions are numbers, symbols and registers, with arithmetic: none of GDB's own.
    """
    acts, words = list(words[:1]) == [ALLOW], words[1:] if list(words[:1]) == [ALLOW] else words
    asked = COMMANDS.get(words[0]) if words else None
    command = asked if acts or asked is None else asked.looking()
    runs = command is not None and command.runs_guest
    with face.guest.interruptible() if runs else nullcontext():
        said = _guarded(lambda: _for_assistant(face, command, words))
        line = json.dumps({"schema": SCHEMA, **said})
        if runs:
            gdb.write(f"{line}\n")
            return None
    if said.get("resumes"):
        gdb.post_event(face.guest.resume)
    return {"answer": line}


def _for_assistant(face: Face, command: Command | None, words: Sequence[str]) -> JsonObject:
    if command is None:
        raise UsageError(f"there is no command {' '.join(words[:1])!r} that may be asked here")
    response = face.harmlessly(command, words[1:])
    return {"command": command.name, "status": 0, "resumes": response.resumes, "lines": response.lines()}


def explanation(name: str) -> dict[str, str]:
    """Return the sentence that GDB's own help begins with, empty for no command of its."""
    try:
        said = console(f"help {name}")
    except gdb.error:
        said = ""
    # Aliases come first, on a line of their own.
    return {"explanation": next((line for line in said.splitlines() if line.endswith(".")), "")}


def _answered(face: Face, command: Command | None, words: Sequence[str]) -> JsonObject:
    if command is None:
        raise UsageError(f"there is no command {' '.join(words[:1])!r}; they are {', '.join(COMMANDS)}")
    response = face.ask(command, words[1:], None if command.runs_guest else _tell)
    shown, text = response.for_prompt()
    said: JsonObject = {"lines": text.splitlines()} if text else {"documents": [carried(each) for each in shown]}
    return {"command": command.name, "status": response.status, "resumes": response.resumes, **said}


def _guarded(answer: Callable[[], JsonObject]) -> JsonObject:
    """Return an answer, or in its place what kept it from being given."""
    try:
        return answer()
    except HelpWanted as wanted:
        return {"status": 0, "help": str(wanted)}
    except GdbtoolsError as error:
        return _failed(error)
    except gdb.error as error:
        return _failed(Unavailable(" ".join(str(error).split())))
    except KeyboardInterrupt:
        return _failed(Interrupted("interrupted"))


def _failed(error: GdbtoolsError) -> JsonObject:
    return {"status": error.status, "error": crossing(error)}


def _tell(reads: int, size_bytes: int) -> None:
    gdb.write(f"{PROGRESS} {reads} {size_bytes}\n", gdb.STDLOG)
    gdb.flush(gdb.STDLOG)
