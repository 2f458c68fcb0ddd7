"""What may be asked of `audit`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import AUDIT_FORMS, AUDITED
from gdbtools.commands.model import Argument, Command, Kind, loaded

AUDIT = Command(
    name="audit",
    summary="Look for mappings that no system should have",
    description=(
        "Hold everything that is mapped against rules, and list what breaks one: the entry, its value, the field that\n"
        "decides, and the command that looks closer. --rules lists them: nothing is written and executed, by one\n"
        "address or by two; one memory has one type; tables, reserved bits, contiguous runs and access flags are as\n"
        "they ought to be; CPUs agree, and address spaces and guests share nothing that is their own.\n"
        "\n"
        "Every regime is looked at that a CPU uses or has loaded, with --roots those that find-roots lists, too, and\n"
        "where the address space in force is a reduced one, the kernel's. The linear map (physmap, kpm, PAGE_OFFSET)\n"
        "is found by the distance that most pages have in common. A rule that cannot be asked of a source says why.\n"
        "Exit status 3 says that there was nothing to check.\n"
        "\n"
        "In a paravirtual guest every address space of the guest is looked at: whether a table, a descriptor table or\n"
        "a pinned page is writable by any address, whether a frame is mapped that is not the guest's and that the\n"
        "hypervisor's own records do not explain, and whether it keeps a table as something else. Pages of the linear\n"
        "map that ought to be read-only are listed."
    ),
    arguments=(
        Argument(
            "--rule",
            "ask this rule alone; may be given again (default: all)",
            Kind.CHOICE,
            AUDITED,
            many="*",
            metavar="RULE",
            listed_by="--rules",
        ),
        Argument(
            "--ignore",
            "leave this rule out; may be given again",
            Kind.CHOICE,
            AUDITED,
            many="*",
            metavar="RULE",
            listed_by="--rules",
        ),
        Argument("--baseline", "tell only what this file does not have, and what of it is gone", Kind.FILE, reads=True),
        Argument(
            "--write-baseline",
            "write what is found to this file, for --baseline; of rules that are not asked it keeps what it has",
            Kind.FILE,
            writes=True,
        ),
        Argument("--format", "write them as SARIF 2.1.0, or as messages of a workflow", Kind.CHOICE, AUDIT_FORMS),
        Argument("--roots", "look through every root that find-roots lists, too", Kind.FLAG),
        Argument("--rules", "list every rule, what it means and whose it is; needs no source", Kind.FLAG),
        Argument("--pages", "list each part of the linear map that ought to be read-only", Kind.FLAG),
    ),
    implementation=loaded("audit"),
    may_be_sourceless=True,
    decodes=False,
)
