"""What may be asked of `hardware-af`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import DRY_RUN
from gdbtools.commands.model import Argument, Command, Kind, loaded

STATES = ("on", "off")

HARDWARE_AF = Command(
    name="hardware-af",
    summary="Have hardware set the access flags itself, or leave them to software again",
    description=(
        "Where the CPU can set access flags and software has not asked it to, ask: write the control register of the\n"
        "regime in force on every CPU, by the guest's own instruction where a stub does not let it be written, and\n"
        "empty the TLBs. All CPUs are changed or none: one that cannot be asked where it stands is named, and nothing\n"
        "is done; with --wait, one in user code runs on alone until it takes an exception or an interrupt.\n"
        "No access faults for its flag then, and whoever learns of accesses by such faults learns of none.\n"
        "`mmu undo` puts everything back."
    ),
    arguments=(
        Argument("state", "whether hardware is to set them", Kind.CHOICE, STATES, metavar="on|off"),
        Argument("--dirty", "have it record what is written, too", Kind.FLAG),
        Argument(
            "--wait",
            "have each CPU in user code run on into its kernel first, for SECONDS at most",
            Kind.SECONDS,
            metavar="SECONDS",
        ),
        DRY_RUN,
    ),
    implementation=loaded("hardware_af"),
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)
