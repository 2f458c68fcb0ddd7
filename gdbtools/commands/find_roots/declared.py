"""What may be asked of `find-roots`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import GUEST
from gdbtools.commands.model import Argument, Command, Kind, loaded

FIND_ROOTS = Command(
    name="find-roots",
    summary="Find root tables in physical memory, and registers that fit them",
    description=(
        "Look at all of physical memory for translation tables, join them by what their entries lead to, and rank\n"
        "what may be a root: by what it maps, whether memory points there, whether it holds vectors, its own tables\n"
        "and the other roots. For an image of memory without registers: --write FILE, and then --registers FILE.\n"
        "RANGE is physical, FIRST,END (END not included) or FIRST,+SIZE. Ctrl-C ends the looking, not the ranking."
    ),
    arguments=(
        Argument("range", "only this range of physical memory", Kind.RANGE, many="?"),
        Argument(
            "--write", "write registers that have the chosen roots in use to this file, for --registers", writes=True
        ),
        Argument("--root", "choose this root for the register that it fits", Kind.ADDRESS, many="*"),
        replace(
            GUEST,
            help="in the memory of this guest, by its number in `guests`, and by its own addresses",
        ),
        Argument("--all", "list every root that was found", Kind.FLAG),
    ),
    implementation=loaded("find_roots"),
)
