"""What may be asked of `status`, and how."""

from __future__ import annotations

from gdbtools.commands.model import Command, loaded

STATUS = Command(
    name="status",
    summary="Show what is attached and what can be done with it",
    description="Show the source, the CPU, its translation regime, and what this source can and cannot do.",
    arguments=(),
    implementation=loaded("status"),
)
