"""What may be asked of `redact`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Argument, Command, Kind, loaded

REDACT = Command(
    name="redact",
    summary="Copy a capture without what is neither a table nor a register",
    description=(
        "Write the tables and registers of a capture or a dump to a new capture, and nothing else: code and data are\n"
        "left out, also what shares a page with a table. Registers may still hold what the guest worked on."
    ),
    arguments=(Argument("file", "where to write it", Kind.FILE, writes=True),),
    implementation=loaded("redact"),
)
