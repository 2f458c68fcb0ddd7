"""What raises each exception class for real: instructions, the registers they run under, what the manual says of it.

Every number here is the manual's. Where QEMU departs from it, and what no QEMU raises, is data in `departures`.
"""

from __future__ import annotations

from tests.guests.syndromes import Syndromes
from tests.guests.triggers import (
    aarch32,
    aborts,
    access,
    calls,
    control_stack,
    debug,
    extensions,
    system,
    watched,
    worlds,
)
from tests.guests.triggers.model import Trigger

TRIGGERS: tuple[Trigger, ...] = (
    *calls.TRIGGERS,
    *access.TRIGGERS,
    *system.TRIGGERS,
    *aarch32.TRIGGERS,
    *aborts.TRIGGERS,
    *extensions.TRIGGERS,
    *control_stack.TRIGGERS,
    *worlds.TRIGGERS,
    *debug.TRIGGERS,
    *watched.TRIGGERS,
)


def lay(guest: Syndromes) -> None:
    """Write the tables that triggers run under."""
    for each in (aborts, control_stack, worlds):
        each.lay(guest)
