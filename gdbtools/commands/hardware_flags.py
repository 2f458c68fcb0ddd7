"""Whether hardware sets access flags here, and which controls have it do so."""

from __future__ import annotations

from collections.abc import Sequence

from gdbtools.addresses import VA
from gdbtools.analysis.faults.diagnosis import left_to_software
from gdbtools.bits import FieldValue
from gdbtools.commands.evidence import field_value
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.machine.model import Machine
from gdbtools.repair.accessed import set_by_hardware_at


def hardware_sets(machine: Machine) -> str:
    """Return the controls by which hardware sets the access flags where this CPU executes; empty if it does not."""
    architecture = machine.architecture
    pc = VA(machine.register(architecture.pc))
    try:
        regime = architecture.regime_for(machine.register, pc)
        if not set_by_hardware_at(architecture, regime, pc, machine.memory.read):
            return ""
        controls = architecture.repair.access_flag_controls(machine.register, None)
    except (Unavailable, Unreadable):
        return ""
    return _said(controls) or architecture.repair.flag_control


def can_be_asked(machine: Machine) -> str:
    """Return the controls by which software leaves them to itself, where hardware can be asked; empty elsewhere."""
    architecture = machine.architecture
    if not architecture.has("hardware_flags"):
        return ""
    try:
        controls = architecture.repair.access_flag_controls(machine.register, None)
    except Unavailable:
        return ""
    return _said(controls) if left_to_software(controls) else ""


def _said(controls: Sequence[tuple[str, FieldValue]]) -> str:
    return ", ".join(f"{register}.{field_value(control)}" for register, control in controls)
