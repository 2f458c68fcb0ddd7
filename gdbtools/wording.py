"""How members of an enum, counts and sizes are written, in every face and in JSON."""

from __future__ import annotations

import enum
from functools import lru_cache

_UNITS = ((1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))


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
    for unit, name in _UNITS:
        if size_bytes >= unit and size_bytes % unit == 0:
            return f"{size_bytes // unit}{name}"
    return f"{size_bytes} bytes"
