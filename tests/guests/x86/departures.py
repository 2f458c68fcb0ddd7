"""Where QEMU departs from the manual on x86-64, in which versions, and what the manual has instead.

A difference that is none of these, or one of these in another version, is a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.guests.x86.oracle import Request
from tests.guests.x86.rules import Raised


@dataclass(frozen=True)
class Departure:
    """`rule` is what the manual has instead."""

    what: str
    rule: str
    versions: tuple[str, ...]


class Known(Enum):
    RESERVED_ABSENT = Departure(
        "the error code of a reserved bit has P clear",
        'RSVD is set only with P: "Page-Fault Exceptions"',
        ("7.2", "10.0", "11.1"),
    )


def departs(
    version: str, by_manual: Raised | int, got: object, request: Request, registers: Mapping[str, int]
) -> Known | None:
    """Return the departure that explains a difference; None where there is none, or none is known."""
    if got == by_manual or not isinstance(by_manual, Raised) or not isinstance(got, Raised):
        return None
    known = Known.RESERVED_ABSENT
    without = Raised(by_manual.vector, by_manual.error & ~1)
    if version in known.value.versions and by_manual.error & 8 and got == without:
        return known
    return None
