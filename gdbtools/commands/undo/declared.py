"""What may be asked of `undo`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import DRY_RUN
from gdbtools.commands.model import Argument, Command, Kind, loaded

UNDO = Command(
    name="undo",
    summary="Take back what was written to the tables",
    description=(
        "Take the last repairs back (one, or COUNT, or --all), the last first, each in the way it was made. All is\n"
        "compared before anything is written: what somebody else has changed since is refused, and left alone.\n"
        "--forget drops the last repairs from the journal and writes nothing: of a table that is no more, say."
    ),
    arguments=(
        Argument("count", "how many repairs (default: 1)", Kind.NUMBER, many="?"),
        Argument("--all", "every repair of this session", Kind.FLAG),
        Argument("--forget", "drop them from the journal, and leave the guest as it is", Kind.FLAG),
        DRY_RUN,
    ),
    implementation=loaded("undo"),
    live_only=True,
    changes_guest=True,
)
