"""What may be asked of `watch`, and how."""

from __future__ import annotations

from dataclasses import replace

from gdbtools.commands.arguments import LEVEL, REGIME, SPACE
from gdbtools.commands.model import Argument, Command, Kind, loaded

WATCH = Command(
    name="watch",
    summary="Stop when a mapping's descriptor changes, and say who changed it",
    description=(
        "Set hardware watchpoints on the descriptor that translates an address, through the virtual addresses at\n"
        "which this CPU's tables map it. Each change is printed: the fields that differ, the value before and after,\n"
        "and the writer's frames. What gdbtools itself writes is no change of the guest's, and stops nothing. With\n"
        "--regime stage2 the address is an intermediate physical one: ask at a stop in the hypervisor, whose tables\n"
        "map those of its guests. `info breakpoints` shows the watchpoints, `delete` removes them."
    ),
    arguments=(
        Argument("address", "the address whose mapping is watched", Kind.ADDRESS),
        LEVEL,
        replace(REGIME, help="the regime whose mapping it is (default: the one in force for the address)"),
        Argument("--go-on", "print each change and let the guest run on", Kind.FLAG),
        replace(SPACE, help="whose mapping (default: the kernel's, of an address that is in a reduced range now)"),
    ),
    implementation=loaded("watch"),
    live_only=True,
    sets_breakpoints=True,
)
