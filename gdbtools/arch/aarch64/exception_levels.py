"""Exception levels, as the levels of privilege that they are."""

from __future__ import annotations

from typing import Final

from gdbtools.arch.model import Privilege

LEVELS: Final = tuple(Privilege(el, f"EL{el}", {"el": el}) for el in range(4))
"""EL0 to EL3, by their numbers."""
