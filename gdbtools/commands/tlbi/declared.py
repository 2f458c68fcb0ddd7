"""What may be asked of `tlbi`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import DRY_RUN, REGIMES, REGIMES_OF
from gdbtools.commands.model import Argument, Command, Kind, loaded

TLBI = Command(
    name="tlbi",
    summary="Invalidate an address, an ASID or everything in the TLB",
    description=(
        "Borrow the guest's own invalidation and its barriers: find them in what this CPU may execute, put the\n"
        "operand into the register that the instruction names, step that one instruction on this CPU only, and put\n"
        "every register back. One that is broadcast reaches the TLBs of the other CPUs. Is refused where the guest\n"
        "has none, or where its CPU may not execute it. With --outside nothing is borrowed: a QEMU that interprets\n"
        "its guest empties every TLB that it has."
    ),
    arguments=(
        Argument("what", "what is to be invalidated (default: all)", Kind.SCOPE, many="?"),
        Argument(
            "--regime",
            "whose translations, where this CPU reaches others than its own: a hypervisor its guest's",
            Kind.CHOICE,
            REGIMES,
            metavar="REGIME",
            groups=REGIMES_OF,
        ),
        Argument("--outside", "have QEMU empty the TLBs of every CPU itself, at any privilege", Kind.FLAG),
        DRY_RUN,
    ),
    implementation=loaded("tlbi"),
    live_only=True,
    changes_guest=True,
)
