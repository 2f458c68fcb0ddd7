"""What may be asked of `catch`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import CAUGHT, REGIME
from gdbtools.commands.model import Argument, Command, Kind, loaded

CATCH = Command(
    name="catch",
    summary="Stop on access-flag, translation, permission or any MMU faults",
    description=(
        "Set hardware breakpoints on the synchronous entries of the exception vectors (current EL with SP_EL0 and\n"
        "with SP_ELx, lower EL in AArch64 and in AArch32) that stop only for MMU faults of this kind.\n"
        "Every set of vectors that the guest uses has them: of this CPU and the others, of the kernel and of the\n"
        "trampoline where it hides from its processes (page-table isolation), and each VBAR_EL1 that a later stop\n"
        "meets. `info breakpoints` shows them, `delete` removes them."
    ),
    arguments=(
        Argument("kind", "the faults to stop on", Kind.CHOICE, CAUGHT),
        replace(
            REGIME,
            help="only faults of this regime, at the vectors of the level that takes them: stage2, at EL2's, while the "
            "CPU is in a guest (default: what the vectors in force take)",
        ),
    ),
    implementation=loaded("catch"),
    live_only=True,
    sets_breakpoints=True,
)
