"""`redact`: a capture without the memory that is neither a table nor a register, to attach where others read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gdbtools.commands.capture.run import Captured, captured_tables, write_capture
from gdbtools.commands.session import Session
from gdbtools.machine.layers import Recording


@dataclass(frozen=True, kw_only=True)
class Options:
    """What may be asked of `redact`, as `declared` has it."""

    file: str


def run(session: Session, options: Options) -> Sequence[Captured]:
    recording = Recording(session.machine.memory)
    unreadable = captured_tables(session.machine, recording, code=False)
    return (write_capture(session, Path(options.file), recording.extents(), unreadable),)
