"""How members of an enum, counts and sizes are written, in every face and in JSON."""

from __future__ import annotations

import enum
from functools import lru_cache

_UNITS = ((1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))
"""As processors' manuals have them, without a space: a 4KB granule."""
_BYTES = (1, " bytes")


def name_of(member: enum.Enum) -> str:
    """Return an enum's member as JSON and sentences have it: its name in lower case, with spaces."""
    return member.name.lower().replace("_", " ")


def hyphenated(member: enum.Enum) -> str:
    """Return an enum's member as one word: its name in lower case, with hyphens."""
    return member.name.lower().replace("_", "-")


def number_of(count: int, one: str, many: str = "") -> str:
    """Return how many there are, with the word that goes with it; `many` is `one` with an s unless it is given."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


@lru_cache(maxsize=1 << 10)
def size(size_bytes: int) -> str:
    """Return a size in the largest unit that divides it."""
    unit, name = next((each for each in _UNITS if size_bytes >= each[0] and size_bytes % each[0] == 0), _BYTES)
    return f"{size_bytes // unit}{name}"


def amount(size_bytes: int) -> str:
    """Return a size to about three figures, in the largest unit that it has one of."""
    unit, name = next((each for each in _UNITS if size_bytes >= each[0]), _BYTES)
    units = size_bytes / unit
    return f"{units:.0f}{name}" if units >= 100 else f"{units:.3g}{name}"
