"""What may be asked of `walk`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import (
    ADDRESS,
    EXCEPTION_LEVEL,
    GUEST,
    NAMES,
    PRIVILEGE,
    REGIME,
    ROOT,
    SPACE_OR_GUESTS,
    TASK,
    WHAT_IF,
)
from gdbtools.commands.model import Argument, Command, Kind, loaded

WALK = Command(
    name="walk",
    summary="Walk the translation tables for addresses",
    description=(
        "Show every descriptor on the way, through both stages where there are two, where each was read and what it\n"
        "says, and the output address or the reason that there is none. With --access or --privilege it also answers\n"
        "whether that access may happen; read-code is a load that needs the right to execute instead of that to read,\n"
        "shadow-stack accesses are those of x86-64's calls and returns. --root asks of tables that no register has,\n"
        "--with and --pte ask the same of registers and descriptors that are not there."
    ),
    arguments=(
        replace(ADDRESS, many="+"),
        Argument(
            "--access",
            "ask whether this access may happen",
            Kind.CHOICE,
            ("read", "write", "execute", "read-code", "shadow-stack-read", "shadow-stack-write"),
            metavar="KIND",
        ),
        PRIVILEGE,
        EXCEPTION_LEVEL,
        Argument("--unprivileged", "ask for a load or store that is checked as the user's", Kind.FLAG),
        REGIME,
        ROOT,
        GUEST,
        TASK,
        NAMES,
        SPACE_OR_GUESTS,
        *WHAT_IF,
    ),
    implementation=loaded("walk"),
)
