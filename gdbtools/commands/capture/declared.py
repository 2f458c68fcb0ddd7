"""What may be asked of `capture`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import EVERY_SPACE, GUEST, TABLES
from gdbtools.commands.model import Argument, Command, Kind, loaded

CAPTURE = Command(
    name="capture",
    summary="Save tables and registers to a small file that opens offline",
    description=(
        "Write an ELF core with every CPU's registers and all tables of the regimes that they are in; the kernel's,\n"
        "too, where it hides from the process that runs, and its root is proven. gdbtools, GDB and readelf open it;\n"
        "`gdbtools fault -s FILE` says offline what `mmu fault` says now. What else memory holds is not in it, but\n"
        "for what --va and --with-code ask for."
    ),
    arguments=(
        Argument("file", "where to write it", Kind.FILE, writes=True),
        Argument("--va", "also what this range of addresses holds; may be given again", Kind.RANGE, many="*"),
        Argument("--tables", "all of them, or those only that explain the fault", Kind.CHOICE, TABLES),
        Argument("--with-code", "also the code around pc and the fault, and the vectors", Kind.FLAG),
        EVERY_SPACE,
        replace(
            GUEST, help="also the second stage of this guest, by its number in `guests`, and what shows whose it is"
        ),
    ),
    implementation=loaded("capture"),
)
