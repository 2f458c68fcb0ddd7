"""What makes files, reads them and compares them: declared here, implemented in a file each."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.declared.shared import EVERY_SPACE, IGNORABLE, REGIME, TABLES
from gdbtools.commands.model import Argument, Command, Implementation, Kind


def _trace() -> Implementation:
    from gdbtools.commands.trace import IMPLEMENTATION

    return IMPLEMENTATION


TRACE = Command(
    name="trace",
    decodes=False,
    summary="Count a service's log, and turn it into a trace",
    description=(
        "Read the log that `mmu service --log FILE` wrote; with --perfetto, write it as a trace that the Perfetto UI\n"
        "opens, with one track for each CPU."
    ),
    arguments=(
        Argument("file", "the log", Kind.FILE),
        Argument("--perfetto", "write a trace here", Kind.FILE, writes=True),
    ),
    implementation=_trace,
    sourceless=lambda _: True,
)


def _capture() -> Implementation:
    from gdbtools.commands.capture import IMPLEMENTATION

    return IMPLEMENTATION


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
    ),
    implementation=_capture,
)


def _redact() -> Implementation:
    from gdbtools.commands.redact import IMPLEMENTATION

    return IMPLEMENTATION


REDACT = Command(
    name="redact",
    summary="Copy a capture without what is neither a table nor a register",
    description=(
        "Write the tables and registers of a capture or a dump to a new capture, and nothing else: code and data are\n"
        "left out, also what shares a page with a table. Registers may still hold what the guest worked on."
    ),
    arguments=(Argument("file", "where to write it", Kind.FILE, writes=True),),
    implementation=_redact,
)


def _find_roots() -> Implementation:
    from gdbtools.commands.find_roots import IMPLEMENTATION

    return IMPLEMENTATION


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
        Argument("--all", "list every root that was found", Kind.FLAG),
    ),
    implementation=_find_roots,
)


def _diff() -> Implementation:
    from gdbtools.commands.diff import IMPLEMENTATION

    return IMPLEMENTATION


DIFF = Command(
    name="diff",
    decodes=False,
    summary="Show what changed between two dumps, or since a capture",
    description=(
        "Compare what two sources map, and their translation registers: blocks that were split or merged, rights,\n"
        "memory types, where addresses lead, what is new (+) and what is gone (-); the access flag and the dirty\n"
        "state apart. With one source, compare it with what is attached: `mmu diff FILE` says what changed since\n"
        "`mmu capture FILE`. The exit status is 0 if nothing differs and 1 if something does."
    ),
    arguments=(
        Argument("before", "the older source: a capture, a dump, or PATH@BASE"),
        Argument("after", "the newer source (default: what is attached)", many="?"),
        REGIME,
        replace(
            EVERY_SPACE, help="the address space to compare (default: the kernel's where that in force is reduced)"
        ),
        Argument("--ignore", "leave this out; may be given again", Kind.CHOICE, IGNORABLE, many="*", metavar="WHAT"),
        Argument("--before-registers", "as --registers, of the older source only", metavar="FILE"),
        Argument("--after-registers", "as --registers, of the newer source only", metavar="FILE"),
    ),
    implementation=_diff,
    sourceless=lambda options: options.after is not None,
)
