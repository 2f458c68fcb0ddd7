"""Arguments that several commands have, and the choices that are a command's own words."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.model import Argument, Kind

OUTPUT = (
    Argument("--json", "print one JSON object a line", Kind.FLAG),
    Argument("--html", "print a page that needs nothing but itself", Kind.FLAG),
    Argument(
        "--output", "write the answer to this file; FILE.html, FILE.json and FILE.md get that form", metavar="FILE"
    ),
)
"""What every face adds to every command."""
ADDRESS = Argument(
    "address",
    "virtual address: an expression of the face you are in; 0000ffff, ffff8000 and the like are hexadecimal numbers "
    "unless a symbol has that name",
    Kind.ADDRESS,
)
LEVEL = Argument("--level", "the descriptor of this level (default: the last one on the way)", Kind.LEVEL)
RANGE = Argument(
    "range", "FIRST,END or FIRST-END (END not included), FIRST,+SIZE (like +64K), or one address", Kind.RANGE
)
REGIMES_OF = (
    ("Arm", ("el1", "el2", "el2-vhe", "el3", "stage2", "secure-stage2")),
    ("RISC-V", ("s", "vs", "g", "m")),
    ("x86-64", ("linear", "npt", "ept")),
    ("32-bit Arm", ("pl1", "pl2")),
)
REGIMES = tuple(name for _, names in REGIMES_OF for name in names)
REGIME = Argument(
    "--regime",
    "the translation regime to ask (default: the one the CPU is using)",
    Kind.CHOICE,
    REGIMES,
    metavar="REGIME",
    groups=REGIMES_OF,
)
PRIVILEGE = Argument(
    "--privilege",
    "the level of privilege that asks, by its name (default: the CPU's own)",
    metavar="NAME",
)
# What --privilege was called while there was one architecture.  Scripts have it so: it goes on as Arm's own spelling.
EXCEPTION_LEVEL = Argument("--el", "--privilege by the number of an exception level", Kind.CHOICE, ("0", "1", "2", "3"))
USER_OR_ABOVE = (
    Argument("--el0", "ask about the rights of the user, where a regime has one", Kind.FLAG),
    Argument("--el1", "ask about the rights of the highest level of each regime", Kind.FLAG),
)
SPACES = ("current", "kernel")
SPACE = Argument(
    "--space",
    "the address space to ask: the one in force, or the kernel's where that is a reduced one (default: current)",
    Kind.CHOICE,
    SPACES,
)
EVERY_SPACE = replace(
    SPACE,
    help="only this address space (default: the current one and, where that is a reduced one, the kernel's too); "
    "kernel: without a range that only processes have",
)
ROOT = Argument(
    "--root",
    "ask as if the tables of that regime began at this physical address; on x86-64, where EPT's may be an EPTP",
    Kind.ADDRESS,
)
GUEST = Argument(
    "--guest",
    "ask for this guest of a hypervisor, by its number in `guests` or as vmid=NUMBER, whatever level the CPU is at",
    metavar="GUEST",
)
TASK = Argument(
    "--task", "ask of the tables of this task, by its number or name, as `tasks` lists them", metavar="TASK"
)
NAMES = Argument(
    "--names",
    "also say what the guest's own kernel has there: a region of its own, or a process's area and file",
    Kind.FLAG,
)
PV_SPACES = (*SPACES, "pv")
SPACE_OR_GUESTS = replace(
    SPACE,
    help=f"{SPACE.help}; pv: a paravirtual guest's own, its kernel with it, by pseudo-physical frames too",
    choices=PV_SPACES,
)
EVERY_SPACE_OR_GUESTS = replace(
    EVERY_SPACE, help=f"{EVERY_SPACE.help}; pv: a paravirtual guest's, by its own frames", choices=PV_SPACES
)
WITH = Argument(
    "--with",
    "ask as if a field of a register, or all of it, were otherwise; writes nothing",
    Kind.REGISTER_CHANGE,
    many="*",
)
WHAT_IF = (
    WITH,
    Argument(
        "--pte",
        "ask as if the leaf that translates ADDRESS were otherwise, like 0x1000.AP=3; writes nothing",
        Kind.DESCRIPTOR_CHANGE,
        many="*",
    ),
)
"""Of a command that answers for a machine as it is not."""
INVALIDATE = Argument("--tlbi", "then invalidate it in the TLBs, by the guest's own instructions", Kind.FLAG)
BREAK = Argument("--break", "by break-before-make: invalid, TLB invalidation, then the new descriptor", Kind.FLAG)
LIVE = Argument("--live", "write in place although break-before-make is needed", Kind.FLAG)
DRY_RUN = Argument("--dry-run", "show the plan and write nothing", Kind.FLAG)
GRANULES = ("4k", "16k", "64k")
NAMED_EXCEPTIONS = (
    "general-protection",
    "stack-fault",
    "double-fault",
    "set-way",
    "system-register",
    "call",
    "exception",
)
"""What may be caught by its name, besides faults of the tables: the first three are x86-64's, the others Arm's."""
CAUGHT = (
    *("access-flag", "translation", "permission", "reserved-bit", "protection-key", "domain", "any"),
    *NAMED_EXCEPTIONS,
)
"""What `catch` stops at; each architecture has some of them."""
CAUGHT_ACCESSES = ("read", "write", "execute")
SERVICED = ("access-flag", "dirty")
"""What `service` repairs."""
DIRTY_CONVENTIONS = ("none", "bit55", "bit56", "bit57", "bit58", "dbm")
"""How a guest may mark what was written: the values of `DirtyConvention`."""
RECORD = Argument("--record", "which crash of a log, counted from 1 (default: the first)", Kind.NUMBER)
"""Of a source, and of a text."""
LOG_FORMS = ("github",)
"""What the crashes of a text are written in for others."""
AUDITED = (
    "writable-executable",
    "user-writable-executable",
    "executable-alias",
    "user-executable-alias",
    "writable-table",
    "user-accessible-kernel",
    "executable-linear-map",
    "kernel-access-flag",
    "mismatched-attributes",
    "beyond-memory",
    "contiguous-run",
    "reserved-bits",
    "output-size",
    "cpu-difference",
    "shared-table",
    "guest-isolation",
    "foreign-frame",
    "unrecorded-table",
)
"""The rules that `audit` knows."""
AUDIT_FORMS = ("sarif", "github")
"""What it writes its findings in for others."""
TABLES = ("all", "touched")
"""Which tables `capture` takes."""
IGNORABLE = (
    "output", "size", "rights", "memory", "shareability", "af", "dirty", "global", "contiguous", "guarded",
    "non-secure", "soft-invalid", "fault", "registers",
)  # fmt: skip
"""What `diff --ignore` leaves out: each aspect of a mapping, and the registers."""
