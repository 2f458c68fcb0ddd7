"""`redact`: a capture without the memory that is neither a table nor a register, to attach where others read it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from gdbtools.commands.capture import Captured, captured_tables, record, view, write_capture
from gdbtools.commands.model import Argument, Command, Kind, Session
from gdbtools.machine.model import Recording


def run(session: Session, options: Namespace) -> Sequence[Captured]:
    recording = Recording(session.machine.memory)
    unreadable = captured_tables(session.machine, recording.read, code=False)
    return (write_capture(session.machine, Path(options.file), recording.extents(), unreadable),)


COMMAND = Command(
    name="redact",
    summary="Copy a capture without what is neither a table nor a register",
    description=(
        "Write the tables and registers of a capture or a dump to a new capture, and nothing else: code and data are\n"
        "left out, also what shares a page with a table. Registers may still hold what the guest worked on."
    ),
    arguments=(Argument("file", "where to write it", Kind.FILE),),
    run=run,
    view=view,
    record=record,
    writes_files=True,
)
