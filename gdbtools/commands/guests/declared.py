"""What may be asked of `guests`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Command, loaded

GUESTS = Command(
    name="guests",
    summary="List the guests of a hypervisor, and which CPU holds which",
    description=(
        "List every guest that can be known at this stop: those that the CPUs' registers hold, those that the\n"
        "hypervisor's own structures tell of, or else those whose root is found in memory. Each has a number, by\n"
        "which --guest asks about it elsewhere. What a CPU at the hypervisor's own level holds is the last guest that\n"
        "was loaded, not one that runs: the answer says which it is."
    ),
    arguments=(),
    implementation=loaded("guests"),
)
