"""What may be asked of `map`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import (
    EVERY_SPACE_OR_GUESTS,
    GUEST,
    PRIVILEGE,
    REGIME,
    ROOT,
    TASK,
    USER_OR_ABOVE,
    WHAT_IF,
)
from gdbtools.commands.model import Argument, Command, Kind, loaded

MAP = Command(
    name="map",
    summary="List everything that is mapped",
    description=(
        "List all mappings of a translation regime as maximal uniform runs: where they lead, the size of the leaves,\n"
        "what each level of privilege may do, memory type, access flag and dirty state. Filters join: all have to\n"
        "hold. RANGE is FIRST,END or FIRST-END (END not included), as /proc/PID/maps has it, or FIRST,+SIZE.\n"
        "\n"
        "On a terminal that the list is too long for, runs are merged as with --areas. A pipe, a file and JSON have\n"
        "every run, and so has a terminal with --runs.\n"
        "\n"
        "Where the kernel hides from a process that runs (page-table isolation), its half of the space in force is a\n"
        "reduced one of a few leaves: then the kernel's own root, if it is proven, is read as well, and the answer\n"
        "says so. With --expect-none, what could not be seen is no pass: exit status 3."
    ),
    arguments=(
        Argument("range", "only these input addresses", Kind.RANGE, many="?"),
        REGIME,
        ROOT,
        GUEST,
        TASK,
        EVERY_SPACE_OR_GUESTS,
        Argument("--perm", "only what grants at least these (wx, rw) or exactly these (r-x, --x)", dashes=True),
        replace(PRIVILEGE, help="ask about the rights of the level of privilege of that name (default: of any)"),
        *USER_OR_ABOVE,
        Argument("--type", "only memory types that have this in their name: device, normal, non-cacheable, ..."),
        Argument("--unaccessed", "only what has its access flag clear", Kind.FLAG),
        Argument(
            "--dirty", "only what was written, as DBM or the guest's convention says (`set mmu-dirty`)", Kind.FLAG
        ),
        Argument("--size", "only leaves of this size: 4k, 64k, 2m, 1g, ..."),
        Argument("--physical", "only what leads into this range of physical addresses", Kind.RANGE),
        Argument("--areas", "merge neighbours of equal attributes, and count the pieces that they lead to", Kind.FLAG),
        Argument("--runs", "list every run, on a terminal too that the list is too long for", Kind.FLAG),
        Argument(
            "--limit",
            "list this many runs at most, and say where to go on (default: 20000)",
            Kind.NUMBER,
            metavar="RUNS",
        ),
        Argument("--expect-none", "say that nothing should fit: what does is a finding, exit status 1", Kind.FLAG),
        *WHAT_IF,
    ),
    implementation=loaded("map"),
)
