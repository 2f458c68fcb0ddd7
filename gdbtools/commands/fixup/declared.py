"""What may be asked of `fixup`, and how."""

from __future__ import annotations

from gdbtools.commands.arguments import DRY_RUN
from gdbtools.commands.model import Argument, Command, Kind, loaded

FIXUP = Command(
    name="fixup",
    summary="Repair the current access-flag fault",
    description=(
        "Set the access flag in the leaf that faulted and, for a true write and by the convention of `set mmu-dirty`,\n"
        "record that it is dirty: plan, compare, write, read back. With --resume, return to the faulting instruction\n"
        "through an exception return that the guest itself has."
    ),
    arguments=(
        Argument("--resume", "return to the faulting instruction afterwards", Kind.FLAG),
        DRY_RUN,
    ),
    implementation=loaded("fixup"),
    changes_guest=True,
)
