"""What software's own bits say of an entry, by the convention of an operating system."""

from __future__ import annotations

from gdbtools import systems
from gdbtools.addresses import VA
from gdbtools.analysis.faults.descriptor_history import steps_of
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Mapped, Read, ReadRegister, Refusal, Walk


def of_deciding_entry(architecture: Architecture, found: Walk | None, refused: Refusal | None) -> str:
    """Return what a convention says of the entry that a refusal was decided by, and whose; empty where none does."""
    if found is None or refused is None or found.regime.stage != 1:
        return ""
    step = next((each for each in steps_of(found) if each.pa == refused.decider.pa), None)
    return "" if step is None else systems.of_entry(architecture, VA(found.input), step)


def of_mapped_leaf(architecture: Architecture, found: Walk, register: ReadRegister, read: Read) -> str:
    """Return what the convention of a system that is there says of the leaf of a mapped address; empty where none."""
    leaf = found.leaf
    if leaf is None or found.regime.stage != 1 or not isinstance(found.outcome, Mapped):
        return ""
    return systems.of_leaf(architecture, leaf, register, read)
