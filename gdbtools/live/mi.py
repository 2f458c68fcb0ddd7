"""The answers of `-mmu`: lines of JSON, for GDB/MI clients; what a prompt outside GDB asks is in prompting.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import gdb

from gdbtools.commands import COMMANDS
from gdbtools.live.frontend import Face
from gdbtools.live.prompting import (
    EXPLAIN,
    FOR_ASSISTANT,
    FOR_PROMPT,
    answer_for_assistant,
    answer_for_prompt,
    explanation,
)


def answer(face: Face, words: Sequence[str]) -> Mapping[str, str | list[str]] | None:
    """Run a command and give the result record; None if the guest has run, and the answer is console output."""
    if list(words[:1]) == [FOR_PROMPT]:
        return answer_for_prompt(face, words[1:])
    if list(words[:1]) == [FOR_ASSISTANT]:
        return answer_for_assistant(face, words[1:])
    if list(words[:1]) == [EXPLAIN]:
        return explanation(" ".join(words[1:]))
    name, *rest = words or [""]
    if name not in COMMANDS:
        raise gdb.GdbError(f"there is no command {name!r}; they are {', '.join(COMMANDS)}")
    command = COMMANDS[name]
    with face.guest.interruptible() if command.runs_guest else nullcontext():
        response = face.ask(command, rest, called=name)
        lines = response.lines()
        if command.runs_guest:
            gdb.write("".join(f"{line}\n" for line in lines))
            return None
    if response.resumes:
        gdb.post_event(face.guest.resume)
    return {"answers": lines}
