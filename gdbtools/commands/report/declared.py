"""What may be asked of `report`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import EVERY_SPACE, GUEST
from gdbtools.commands.model import Argument, Command, Kind, loaded

REPORT = Command(
    name="report",
    summary="Put all that this stop has to tell on one page",
    description=(
        "The verdict, the walk as a picture of levels and bits, the address space of each regime drawn to scale, the\n"
        "registers, and all of it in tables. `-o report.html` makes one page that needs nothing else: no network, no\n"
        "other file. Give addresses to have their walks on it too."
    ),
    arguments=(Argument("address", "an address to walk as well", Kind.ADDRESS, many="*"), GUEST, EVERY_SPACE),
    implementation=loaded("report"),
)
