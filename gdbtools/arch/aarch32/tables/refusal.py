"""A refusal that a field of an entry decided, in either format."""

from __future__ import annotations

from gdbtools.arch.model import Cause, Decider, Fault, FaultKind, Refusal, Step
from gdbtools.bits import Field


def refusal(step: Step, stage: int, kind: FaultKind, cause: Cause, field: Field) -> Refusal:
    """Return the refusal at a step that one of its descriptor's fields decided."""
    level = step.level.number
    decider = Decider(cause, "descriptor", field, field.of(step.entry.word), step.pa, level)
    return Refusal(Fault(kind, stage, level), decider)
