"""`redact`: a capture without the memory that is neither a table nor a register, to attach where others read it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from gdbtools.commands.capture.run import Captured, captured_tables, write_capture
from gdbtools.commands.session import Session
from gdbtools.machine.layers import Recording


def run(session: Session, options: Namespace) -> Sequence[Captured]:
    recording = Recording(session.machine.memory)
    unreadable = captured_tables(session.machine, recording, code=False)
    return (write_capture(session, Path(options.file), recording.extents(), unreadable),)
