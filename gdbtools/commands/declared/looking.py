"""What looks at the tables, the registers and the fault: declared here, implemented in a file each."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.declared.shared import ADDRESS, EVERY_SPACE, REGIME, SPACE, WHAT_IF
from gdbtools.commands.model import Argument, Command, Implementation, Kind


def _status() -> Implementation:
    from gdbtools.commands.status import IMPLEMENTATION

    return IMPLEMENTATION


STATUS = Command(
    name="status",
    summary="Show what is attached and what can be done with it",
    description="Show the source, the CPU, its translation regime, and what this source can and cannot do.",
    arguments=(),
    implementation=_status,
)


def _regs() -> Implementation:
    from gdbtools.commands.regs import IMPLEMENTATION

    return IMPLEMENTATION


REGS = Command(
    name="regs",
    summary="Show the translation and fault registers",
    description=(
        "Without names, the registers that translate now and those of the last exception, a line each; --all has\n"
        "every field named and explained of all that this source has, and NAME those of one. Those that say which\n"
        "instructions trap have to be named. NAME.FIELD is one field. --json always has all.\n"
        "\n"
        "NAME=VALUE decodes a value, as a log prints it (TCR_EL1=0x200803519, or 'ESR: 96000046'), and reads nothing:\n"
        "no source is needed. Values without 0x are hexadecimal."
    ),
    arguments=(
        Argument(
            "name",
            "register, like TCR_EL1 or tcr; a field of one; or a value for it",
            Kind.REGISTER,
            many="*",
            metavar="NAME[=VALUE]",
        ),
        Argument("--all", "every field of every register of translation and of faults", Kind.FLAG),
    ),
    implementation=_regs,
    sourceless=lambda options: bool(options.name) and all("=" in each or ":" in each for each in options.name),
)


def _esr() -> Implementation:
    from gdbtools.commands.esr import IMPLEMENTATION

    return IMPLEMENTATION


ESR = Command(
    name="esr",
    summary="Decode an exception syndrome",
    description=(
        "Decode a syndrome value: what it says, what the address registers then hold, and every field. Without a\n"
        "value, the syndrome this CPU holds, and which control register's bit trapped the instruction."
    ),
    arguments=(
        Argument("value", "the syndrome, in hexadecimal (default: the current one)", Kind.WORD, many="?"),
        Argument("--class", "the value is an ISS alone, of this class: 0x24 is a guest's Data Abort", Kind.WORD),
    ),
    implementation=_esr,
    sourceless=lambda options: options.value is not None,
)


def _walk() -> Implementation:
    from gdbtools.commands.walk import IMPLEMENTATION

    return IMPLEMENTATION


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
    implementation=_walk,
)


def _map() -> Implementation:
    from gdbtools.commands.map import IMPLEMENTATION

    return IMPLEMENTATION


MAP = Command(
    name="map",
    summary="List everything that is mapped",
    description=(
        "List all mappings of a translation regime as maximal uniform runs: where they lead, the size of the leaves,\n"
        "what each exception level may do, memory type, access flag and dirty state. Filters join: all have to hold.\n"
        "RANGE is FIRST,END or FIRST-END (END not included), as /proc/PID/maps has it, or FIRST,+SIZE.\n"
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
        EVERY_SPACE,
        Argument("--perm", "only what grants at least these (wx, rw) or exactly these (r-x, --x)", dashes=True),
        Argument("--el0", "ask about EL0's rights", Kind.FLAG),
        Argument("--el1", "ask about the rights of the level above EL0: EL1, or EL2 in its own regime", Kind.FLAG),
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
    implementation=_map,
)


def _fault() -> Implementation:
    from gdbtools.commands.fault import IMPLEMENTATION

    return IMPLEMENTATION


FAULT = Command(
    name="fault",
    summary="Explain the current fault: the verdict, the deciding bit, the evidence",
    description=(
        "Join the syndrome and the fault address with a walk of that address and a replay of the permission check,\n"
        "and say which bit decided and where it lives; or that the tables disagree with what the hardware said."
    ),
    arguments=WHAT_IF,
    implementation=_fault,
)


def _report() -> Implementation:
    from gdbtools.commands.report import IMPLEMENTATION

    return IMPLEMENTATION


REPORT = Command(
    name="report",
    summary="Put all that this stop has to tell on one page",
    description=(
        "The verdict, the walk as a picture of levels and bits, the address space of each regime drawn to scale, the\n"
        "registers, and all of it in tables. `-o report.html` makes one page that needs nothing else: no network, no\n"
        "other file. Give addresses to have their walks on it too."
    ),
    arguments=(Argument("address", "an address to walk as well", Kind.ADDRESS, many="*"), EVERY_SPACE),
    implementation=_report,
)
