"""A machine's memory for analyses that look at all of a guest's, and must not look at a device's registers."""

from __future__ import annotations

from gdbtools.analysis.devices.second_stage_cause import MachineMemory
from gdbtools.arch.model import Read
from gdbtools.machine.dumps.extents import map_of
from gdbtools.machine.model import Machine


def machine_memory(machine: Machine, read: Read | None = None) -> MachineMemory:
    """Return where a machine has memory, and how to read it; `read` is to see all that an answer rests on."""
    own = machine.memory.read
    return MachineMemory(read or own, own, map_of(machine.memory), machine.live is not None)
