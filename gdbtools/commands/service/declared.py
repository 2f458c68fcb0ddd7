"""What may be asked of `service`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import SERVICED
from gdbtools.commands.model import Argument, Command, Kind, loaded

SERVICE = Command(
    name="service",
    summary="Repair access-flag faults and go on, until something else happens",
    description=(
        "Run the guest; at each access-flag fault set the flag and return to the faulting instruction. Every other\n"
        "exception is the guest's own and runs on unseen. Ends at any other stop, at Ctrl-C, or after --count faults,\n"
        "with a table of what was repaired.\n"
        "\n"
        "dirty is a write to a leaf that is clean: DBM=1 and AP[2]=1. --around takes from the guest the knowledge\n"
        "that the neighbours have not been accessed; they are counted apart."
    ),
    arguments=(
        Argument("--kinds", "what to repair (default: access-flag); may be given again", Kind.CHOICE, SERVICED, "*"),
        Argument("--count", "end after this many repairs", Kind.NUMBER),
        Argument("--around", "also set the access flag of up to this many neighbours in the same table", Kind.NUMBER),
        Argument("--log", "write one JSON object a fault to this file", Kind.FILE, writes=True),
    ),
    implementation=loaded("service"),
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)
