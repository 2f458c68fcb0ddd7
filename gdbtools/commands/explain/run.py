"""`explain`: what of the crashes in a text?  Each is a machine of a few registers and descriptors, asked by `fault`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from gdbtools.commands.fault import run as fault
from gdbtools.commands.session import Session
from gdbtools.commands.syndrome import run as syndrome
from gdbtools.errors import GdbtoolsError, UsageError
from gdbtools.machine.dumps.crash_log import machine_of
from gdbtools.machine.dumps.crash_text import CrashText, open_text
from gdbtools.systems.crash import Crash

MOST: Final = 100
"""How many crashes of one text are explained; it is not read further."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `explain`, as `declared` has it."""

    log: str | None = None


@dataclass(frozen=True)
class NoCrash:
    """A text of so many lines, and no crash in it."""

    lines: int


@dataclass(frozen=True)
class Counted:
    """How many exceptions an emulator logged of one architecture, by CPU and name, in a text of so many lines."""

    whose: str
    counted: Mapping[tuple[str, str], int]
    lines: int


@dataclass(frozen=True)
class Explained:
    """A crash, and its diagnosis; where it says too little for one, its syndrome alone and `why`.

    `last` says that this is as far as the text was read.
    """

    crash: Crash
    fault: fault.Answer | None = None
    syndrome: syndrome.Decoded | None = None
    why: str = ""
    last: bool = False


def sourceless(options: Options) -> bool:  # noqa: ARG001
    """Return that it looks at no source: the text is its own argument."""
    return True


Answer = Explained | Counted | NoCrash


def run(session: Session, options: Options) -> Sequence[Answer]:
    with closing(_text(session, options.log)) as file:
        text = CrashText(file)
        found: list[Answer] = []
        for crash in text:
            found.append(_explained(crash, len(found) + 1 == MOST))
            if len(found) == MOST:
                break
    found += [Counted(each.grammar.whose, each.counted, text.lines) for each in text.exceptions if each.counted]
    return found or [NoCrash(text.lines)]


def _text(session: Session, log: str | None) -> BinaryIO:
    if log is None and session.machine.cpus:
        raise UsageError("name the text itself: explain LOG; a source (-s LOG) is for the other commands")
    if log is None or log == "-":
        return session.standard_input()
    return open_text(Path(log).expanduser())


def _explained(crash: Crash, last: bool) -> Explained:
    if crash.unread:
        return Explained(crash, last=last)
    asked = Session(machine_of(crash))
    try:
        (answer,) = fault.run(asked, fault.Options())
        return Explained(crash, fault=answer, last=last)
    except GdbtoolsError as error:
        why = str(error)
    try:
        (decoded,) = syndrome.run(asked, syndrome.Options())
        return Explained(crash, syndrome=decoded, why=why, last=last)
    except GdbtoolsError:
        return Explained(crash, why=why, last=last)


def finding(answer: Answer) -> bool:
    """Return whether there was a crash: exit status 1."""
    return isinstance(answer, Explained)
