"""What may be asked of `diff`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import EVERY_SPACE, GUEST, IGNORABLE, REGIME, WITH
from gdbtools.commands.model import Argument, Command, Kind, loaded

DIFF = Command(
    name="diff",
    decodes=False,
    summary="Show what changed between two dumps, or since a capture",
    description=(
        "Compare what two sources map, and their translation registers: blocks that were split or merged, rights,\n"
        "memory types, where addresses lead, what is new (+) and what is gone (-); the access flag and the dirty\n"
        "state apart. With one source, compare it with what is attached: `mmu diff FILE` says what changed since\n"
        "`mmu capture FILE`. Without any, compare what is attached, or -s, with itself under other registers: two\n"
        "processes by their roots. The exit status is 0 if nothing differs and 1 if something does."
    ),
    arguments=(
        Argument("before", "the older source: a capture, a dump, or PATH@BASE", many="?", reads=True),
        Argument("after", "the newer source (default: what is attached)", many="?", reads=True),
        REGIME,
        GUEST,
        replace(
            EVERY_SPACE, help="the address space to compare (default: the kernel's where that in force is reduced)"
        ),
        Argument("--ignore", "leave this out; may be given again", Kind.CHOICE, IGNORABLE, many="*", metavar="WHAT"),
        Argument("--before-registers", "as --registers, of the older source only", metavar="FILE", reads=True),
        Argument("--after-registers", "as --registers, of the newer source only", metavar="FILE", reads=True),
        replace(WITH, name="--before-with", help="as --with, of the older one only"),
        replace(WITH, name="--after-with", help="as --with, of the newer one only"),
    ),
    implementation=loaded("diff"),
    may_be_sourceless=True,
)
