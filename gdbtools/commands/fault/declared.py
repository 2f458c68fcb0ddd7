"""What may be asked of `fault`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import NAMES, WHAT_IF
from gdbtools.commands.model import Command, loaded

FAULT = Command(
    name="fault",
    summary="Explain the current fault: the verdict, the deciding bit, the evidence",
    description=(
        "Join the syndrome and the fault address with a walk of that address and a replay of the permission check,\n"
        "and say which bit decided and where it lives; or that the tables disagree with what the hardware said."
    ),
    arguments=(NAMES, *WHAT_IF),
    implementation=loaded("fault"),
)
