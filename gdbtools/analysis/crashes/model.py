"""What a crash may come of: ranked by what speaks for it, and nothing without that."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Strength(enum.IntEnum):
    """How a cause is known; what is stronger comes first."""

    POSSIBLE = 1
    """One bit would explain it, and something else in the log has the value without."""
    LIKELY = 2
    """A value is one of a system's own list, or of a shape that no good one has."""
    SHOWN = 3
    """The system says so, or a register or a file shows it."""


@dataclass(frozen=True)
class CrashCause:
    """What a crash may come of, in a clause, and what speaks for it."""

    what: str
    strength: Strength
    evidence: tuple[str, ...]
