"""What may be asked of `clear-af`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import DRY_RUN, INVALIDATE, RANGE, REGIME
from gdbtools.commands.model import Command, loaded

CLEAR_AF = Command(
    name="clear-af",
    summary="Clear the access flags of a range",
    description=(
        "Clear the access flag of every leaf that maps any of RANGE, in whole leaves: all are made or none. The next\n"
        "access to each faults, or has hardware set it again; `mmu map --unaccessed` lists what has not been touched.\n"
        "What a TLB holds is not seen until it is invalidated: --tlbi. `mmu undo` takes all of it back."
    ),
    arguments=(
        RANGE,
        INVALIDATE,
        DRY_RUN,
        REGIME,
    ),
    implementation=loaded("clear_af"),
    changes_guest=True,
)
