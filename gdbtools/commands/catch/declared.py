"""What may be asked of `catch`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import CAUGHT, CAUGHT_ACCESSES, PRIVILEGE, REGIME
from gdbtools.commands.model import Argument, Command, Kind, loaded

CATCH = Command(
    name="catch",
    summary="Stop on access-flag, translation, permission or any MMU faults",
    description=(
        "Set hardware breakpoints on the entries of the exception vectors at which MMU faults come in (of this level\n"
        "of privilege and of lower ones) that stop only for those of this kind.\n"
        "Every set of vectors that the guest uses has them: of this CPU and the others, of the kernel and of the\n"
        "trampoline where it hides from its processes (page-table isolation), and each other vectors that a later\n"
        "stop meets. `info breakpoints` shows them, `delete` removes them.\n"
        "Of AArch32 alone is domain, and of x86-64 reserved-bit, protection-key, and by their names\n"
        "general-protection (#GP), stack-fault (#SS) and double-fault (#DF).\n"
        "Of 64-bit Arm alone are set-way (a guest's DC ISW, CSW or CISW, trapped by its hypervisor), system-register\n"
        "(that and any other MSR, MRS or System instruction that is trapped), call (SVC, HVC, SMC) and exception (all\n"
        "that is synchronous). With --regime el2 they stop at the hypervisor, with stage2 for what its guests raise."
    ),
    arguments=(
        Argument("kind", "the faults to stop on", Kind.CHOICE, CAUGHT, metavar="KIND"),
        replace(
            REGIME,
            help="only faults of this regime, at the vectors of the level that takes them: stage2, at the "
            "hypervisor's, while the CPU is in a guest (default: what the vectors in force take)",
        ),
        Argument("--access", "only faults of this kind of access", Kind.CHOICE, CAUGHT_ACCESSES),
        replace(PRIVILEGE, help="only faults that this level of privilege asked for, by its name"),
        Argument(
            "--handler",
            "where page faults are handled, for a gdbstub that does not say where the IDT is (x86-64)",
            Kind.ADDRESS,
        ),
    ),
    implementation=loaded("catch"),
    live_only=True,
    sets_breakpoints=True,
)
