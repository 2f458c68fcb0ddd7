"""Where QEMU departs from the manuals for a guest of x86-64, in which versions, and what the manuals have instead.

A difference that is none of these, or one of these in another version, is a failure.
"""

from __future__ import annotations

from enum import Enum

from tests.guests.x86.departures import Departure
from tests.guests.x86.guest_rules import NestedFault
from tests.guests.x86.rules import Raised


class Known(Enum):
    RESERVED_ABSENT = Departure(
        "the error code of a reserved bit has P clear",
        'RSVD is set only with P: "Page-Fault Exceptions"',
        ("7.2", "10.0", "11.1"),
    )
    POINTER_BITS = Departure(
        "the low reserved bits of PAE's first level are not looked at",
        'they are looked at when cr3 is loaded, which is #GP: "PDPTE Registers"',
        ("7.2", "10.0", "11.1"),
    )


def departs(version: str, by_manual: object, by_lax_rules: object, got: object) -> Known | None:
    """Return the departure that explains a difference; None where there is none, or none is known."""
    if got == by_manual:
        return None
    if by_lax_rules != by_manual and version in Known.POINTER_BITS.value.versions:
        lax = got == by_lax_rules or _without_present(version, by_lax_rules, got)
        return Known.POINTER_BITS if lax else None
    return _without_present(version, by_manual, got)


def _without_present(version: str, by_manual: object, got: object) -> Known | None:
    known = Known.RESERVED_ABSENT
    if version not in known.value.versions:
        return None
    if isinstance(by_manual, Raised) and by_manual.error & 8 and got == Raised(by_manual.vector, by_manual.error & ~1):
        return known
    if isinstance(by_manual, NestedFault) and by_manual.info & 8:
        return known if got == NestedFault(by_manual.info & ~1, by_manual.gpa) else None
    return None
