"""What may be asked of `trace`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Argument, Command, Kind, loaded

TRACE = Command(
    name="trace",
    decodes=False,
    summary="Count a service's log, and turn it into a trace",
    description=(
        "Read the log that `mmu service --log FILE` wrote; with --perfetto, write it as a trace that the Perfetto UI\n"
        "opens, with one track for each CPU."
    ),
    arguments=(
        Argument("file", "the log", Kind.FILE, reads=True),
        Argument("--perfetto", "write a trace here", Kind.FILE, writes=True),
    ),
    implementation=loaded("trace"),
    may_be_sourceless=True,
)
