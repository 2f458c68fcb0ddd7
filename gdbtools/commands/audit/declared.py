"""What may be asked of `audit`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import AUDITED
from gdbtools.commands.model import Argument, Command, Kind, loaded

AUDIT = Command(
    name="audit",
    summary="Look for mappings that no system should have",
    description=(
        "Hold everything that is mapped against rules, and list what breaks one, with the descriptor and how to look\n"
        "closer; the linear map (physmap, kpm, PAGE_OFFSET) is found by the distance that most pages have in common.\n"
        "\n"
        "Everywhere: whether a privileged level may execute what it may write, and, apart from that, whether a user\n"
        "may. Where the address space in force is a reduced one, the kernel's is looked at, too. Exit status 3 says\n"
        "that there was nothing to check.\n"
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
        ),
        Argument("--pages", "list each part of the linear map that ought to be read-only", Kind.FLAG),
    ),
    implementation=loaded("audit"),
)
