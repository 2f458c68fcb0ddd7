"""What may be asked of `catch`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import CAUGHT, REGIME
from gdbtools.commands.model import Argument, Command, Kind, loaded

CATCH = Command(
    name="catch",
    summary="Stop on access-flag, translation, permission or any MMU faults",
    description=(
        "Set hardware breakpoints on the entries of the exception vectors at which MMU faults come in (of this level\n"
        "of privilege and of lower ones) that stop only for those of this kind.\n"
        "Every set of vectors that the guest uses has them: of this CPU and the others, of the kernel and of the\n"
        "trampoline where it hides from its processes (page-table isolation), and each other vectors that a later\n"
        "stop meets. `info breakpoints` shows them, `delete` removes them."
    ),
    arguments=(
        Argument("kind", "the faults to stop on", Kind.CHOICE, CAUGHT),
        replace(
            REGIME,
            help="only faults of this regime, at the vectors of the level that takes them: stage2, at the "
            "hypervisor's, while the CPU is in a guest (default: what the vectors in force take)",
        ),
    ),
    implementation=loaded("catch"),
    live_only=True,
    sets_breakpoints=True,
)
