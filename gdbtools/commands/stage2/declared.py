"""What may be asked of `stage2`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import GUEST, REGIME, ROOT, WHAT_IF
from gdbtools.commands.model import Argument, Command, Kind, loaded

STAGE2 = Command(
    name="stage2",
    aliases=("p2m",),
    summary="Count what a hypervisor maps for a guest, and what cleaning all of that costs",
    description=(
        "Read every table of a guest's second stage once, and count: leaves by size, memory type and rights, how many\n"
        "lead to their own address, and the entries that are soft-invalid, of which software has cleared nothing but\n"
        "the valid bit. Where a guest can clean caches by set/way, which its hypervisor can only answer by cleaning\n"
        "all of it by address, the cost of that is told: entries, memory and cache lines, as it is mapped now, in\n"
        "blocks, in pages, and if only what is valid now were there; and which of it each CPU traps."
    ),
    arguments=(
        replace(REGIME, help="which second stage (default: the one that the registers hold)"),
        ROOT,
        GUEST,
        Argument("--measure", "tell how long reading and decoding all of its tables took here", Kind.FLAG),
        *WHAT_IF,
    ),
    implementation=loaded("stage2"),
)
