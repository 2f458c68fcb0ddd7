"""What software's own bits say of the entry that decided, by the convention of an operating system."""

from __future__ import annotations

from gdbtools import systems
from gdbtools.addresses import VA
from gdbtools.analysis.faults.descriptor_history import steps_of
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.model import Refusal, Walk


def of_deciding_entry(architecture: Architecture, found: Walk | None, refused: Refusal | None) -> str:
    """Return what a convention says of the entry that a refusal was decided by, and whose; empty where none does."""
    if found is None or refused is None or found.regime.stage != 1:
        return ""
    step = next((each for each in steps_of(found) if each.pa == refused.decider.pa), None)
    return "" if step is None else systems.of_entry(architecture, VA(found.input), step)
