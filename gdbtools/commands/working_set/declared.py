"""What may be asked of `working-set`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import RANGE, REGIME
from gdbtools.commands.model import Argument, Command, Kind, loaded

WORKING_SET = Command(
    name="working-set",
    summary="Let the guest run, and show what of a range it touches",
    description=(
        "Clear the access flags of a range, let the guest run for a while, and show what was touched: how much, where\n"
        "and when, and, where software sets the flags, first by which access. Then every flag is as if nobody had\n"
        "cleared it. Ends early at Ctrl-C and at any other stop, and shows what there is.\n"
        "\n"
        "Touches show by their faults where hardware does not set the flags: they are served, as\n"
        "`mmu service` does, and the guest's own handler is not asked. Where hardware sets them the flags are read;\n"
        "--by flags does so where the guest's own handler sets them. Do not ask for the faults of what a kernel's\n"
        "exception entry touches before it has saved what it interrupted: vectors and current stacks are left out,\n"
        "others cannot be known."
    ),
    arguments=(
        RANGE,
        Argument("--interval", "how many seconds each sample lasts (default: 1)", Kind.SECONDS),
        Argument("--samples", "how many samples are made (default: 1)", Kind.NUMBER),
        Argument(
            "--by",
            "how touches show (default: faults where hardware does not set the flags)",
            Kind.CHOICE,
            ("faults", "flags"),
        ),
        Argument("--everywhere", "also repair access-flag faults outside the range, as `mmu service` does", Kind.FLAG),
        Argument("--leave", "leave the flags clear of what was not touched", Kind.FLAG),
        REGIME,
    ),
    implementation=loaded("working_set"),
    live_only=True,
    changes_guest=True,
    runs_guest=True,
)
