"""Where QEMU departs from the manual in AArch32, in which versions, and what the manual has instead.

A difference that is none of these, or one of these in another version, is a failure.  Headings are of chapter G5 of
DDI 0487.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

ALL = ("7.2", "11.1")
OLD, NEW = ("7.2",), ("11.1",)
# The oldest with both formats, of Armv7, which has neither PD0 nor PAN, and one of Armv8.
ARMV7, ARMV8 = "cortex-a15", "max"
CPUS = (ARMV7, ARMV8)


@dataclass(frozen=True)
class Departure:
    """`rule` is what the manual has instead, under this heading."""

    what: str
    rule: str
    heading: str
    versions: tuple[str, ...]
    cpus: tuple[str, ...] = CPUS


class Known(Enum):
    DOMAIN_FIRST = Departure(
        "a domain that gives no access is refused before the second-level descriptor is read",
        "what is not valid, and then the access flag, goes before the domain",
        "The MMU fault-checking sequence",
        ALL,
    )
    MANAGER_FLAG = Departure(
        "the access flag does not count for a domain's manager",
        "it does: a manager's accesses are not checked for permissions alone",
        "Domains, Short-descriptor format only",
        ALL,
    )
    NEVER_FIRST = Departure(
        "a fetch that XN or PXN refuses is refused before the access flag is looked at",
        "the access flag goes before the permissions",
        "The MMU fault-checking sequence",
        OLD,
    )
    SHORT_WXN = Departure(
        "SCTLR.WXN and UWXN do not count for short descriptors",
        "they do for either format",
        "Preventing execution from writable locations",
        OLD,
    )
    WIDE_OUTPUT = Departure(
        "bits [47:40] of a long descriptor's address are ignored, as Armv7 leaves it open",
        "an address that has one is refused by an Address size fault",
        "Address size fault",
        ALL,
        (ARMV7,),
    )
    PAN_FETCH = Departure(
        "under PAN, PL1 may not fetch what PL0 may access by long descriptors",
        "PAN is about data accesses",
        "PSTATE.PAN",
        ALL,
        (ARMV8,),
    )
    SHORT_PAN_FETCH = Departure(
        "under PAN, PL1 may not fetch what PL0 may access by short descriptors",
        "PAN is about data accesses",
        "PSTATE.PAN",
        NEW,
        (ARMV8,),
    )
