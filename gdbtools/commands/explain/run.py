"""`explain`: what of the crashes in a text?  Each is a machine of a few registers and descriptors, asked by `fault`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from gdbtools.analysis.crashes.causes import causes
from gdbtools.analysis.crashes.instruction import PrintedInstruction, printed_instruction
from gdbtools.analysis.crashes.model import CrashCause
from gdbtools.commands.fault import run as fault
from gdbtools.commands.session import Session
from gdbtools.commands.syndrome import run as syndrome
from gdbtools.errors import GdbtoolsError, UsageError
from gdbtools.machine.dumps.crash_log import chosen, machine_of
from gdbtools.machine.dumps.crash_text import MOST, CrashText, crashes_of, open_text
from gdbtools.machine.logs.crash_symbols import placed_symbols, with_symbols
from gdbtools.systems.crash import Crash

STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `explain`, as `declared` has it."""

    log: str | None = None
    record: int | None = None
    format: str | None = None


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
    text: str = ""
    """The name of the text, where that is a file."""
    symbols: str = ""
    """Why the file of symbols that was given names nothing."""
    instruction: PrintedInstruction | None = None
    causes: Sequence[CrashCause] = ()
    """What it may come of, the strongest first."""


def sourceless(options: Options) -> bool:  # noqa: ARG001
    """Return that it looks at no source: the text is its own argument."""
    return True


Answer = Explained | Counted | NoCrash


def run(session: Session, options: Options) -> Sequence[Answer]:
    with closing(_text(session, options.log)) as file:
        text = CrashText(file)
        crashes = crashes_of(text)
    name = "" if options.log in (None, STANDARD_INPUT) else options.log
    last = crashes[-1] if len(crashes) == MOST else None
    if crashes and options.record is not None:
        crashes = [chosen(crashes, options.record, name or "the text")]
    # Beside a source, the symbols are that one's.
    elf = None if session.machine.cpus else session.elf
    found = [replace(explained(crash, elf), last=crash is last, text=name) for crash in crashes]
    counted = [Counted(each.grammar.whose, each.counted, text.lines) for each in text.exceptions if each.counted]
    return [*found, *([] if options.record is not None else counted)] or [NoCrash(text.lines)]


def _text(session: Session, log: str | None) -> BinaryIO:
    if log is None and session.machine.cpus:
        raise UsageError("name the text itself: explain LOG; a source (-s LOG) is for the other commands")
    if log is None or log == STANDARD_INPUT:
        return session.standard_input()
    return open_text(Path(log).expanduser())


def explained(crash: Crash, elf: Path | None) -> Explained:
    """Explain one crash, with the symbols of a file where one is given."""
    if crash.unread:
        return Explained(crash)
    symbols = None if elf is None else placed_symbols(crash, elf)
    if symbols is not None:
        crash = with_symbols(crash, symbols)
    machine = machine_of(crash)
    asked = Session(machine if symbols is None else replace(machine, named=symbols.name))
    found = Explained(crash, symbols="" if symbols is None else symbols.refused)
    found = found if crash.exception else _diagnosed(found, asked)
    diagnosis = None if found.fault is None else found.fault.diagnosis
    try:
        exception = None if crash.exception else machine.exception()
    except GdbtoolsError:
        exception = None
    instruction = printed_instruction(crash, machine.architecture, machine.register, exception)
    return replace(found, instruction=instruction, causes=causes(crash, machine.architecture, diagnosis, instruction))


def _diagnosed(found: Explained, asked: Session) -> Explained:
    """Add what tables and syndrome say of a crash: where it says too little for the tables, the syndrome alone."""
    try:
        (answer,) = fault.run(asked, fault.Options())
        return replace(found, fault=answer)
    except GdbtoolsError as error:
        found = replace(found, why=str(error))
    try:
        (decoded,) = syndrome.run(asked, syndrome.Options())
        return replace(found, syndrome=decoded)
    except GdbtoolsError:
        return found


def finding(answer: Answer) -> bool:
    """Return whether there was a crash: exit status 1."""
    return isinstance(answer, Explained)
