"""What may be asked of `walk`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import ADDRESS, REGIME, SPACE, WHAT_IF
from gdbtools.commands.model import Argument, Command, Kind, loaded

WALK = Command(
    name="walk",
    summary="Walk the translation tables for addresses",
    description=(
        "Show every descriptor on the way, through both stages where there are two, where each was read and what it\n"
        "says, and the output address or the reason that there is none. With --access or --el it also answers whether\n"
        "that access may happen. --with and --pte ask the same of registers and descriptors that are not there."
    ),
    arguments=(
        replace(ADDRESS, many="+"),
        Argument("--access", "ask whether this access may happen", Kind.CHOICE, ("read", "write", "execute")),
        Argument("--el", "the exception level that asks (default: the CPU's own)", Kind.CHOICE, ("0", "1", "2", "3")),
        Argument("--unprivileged", "ask for an LDTR or STTR", Kind.FLAG),
        REGIME,
        SPACE,
        *WHAT_IF,
    ),
    implementation=loaded("walk"),
)
