"""What a Linux entry of a process is that is not present: swapped out, on its way elsewhere, poisoned, a device's.

The type of such an entry is the same on every architecture, and its place in the entry each one's own.  Source: Linux
6.1 to 6.19, `include/linux/swap.h`, `include/linux/swapops.h`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

MARKER: Final = 31
"""Of the kinds that are no swap area, the last: whichever the kernel's configuration has."""
_MARKERS: Final[Mapping[int, str]] = {1: "userfaultfd write-protects it", 2: "poisoned", 4: "a guard (6.13 and later)"}
_KINDS: Final[Sequence[str]] = (
    "a page with a hardware error",
    "a page on its way elsewhere (migration), for reading",
    "a page on its way elsewhere (migration), for reading, exclusive",
    "a page on its way elsewhere (migration), for writing",
)
_DEVICES: Final[Mapping[str, tuple[int, Sequence[str]]]] = {
    "6.1 to 6.14": (
        23,
        (
            "a device's page, for writing",
            "a device's page, for reading",
            "a device has it to itself, for writing",
            "a device has it to itself, for reading",
        ),
    ),
    "6.15 to 6.18": (
        24,
        ("a device's page, for writing", "a device's page, for reading", "a device has it to itself"),
    ),
    "6.19": (
        21,
        (
            "a device's page, for writing",
            "a device's page, for reading",
            "a device has it to itself",
            "a device's page on its way elsewhere, for reading",
            "a device's page on its way elsewhere, for reading, exclusive",
            "a device's page on its way elsewhere, for writing",
        ),
    ),
}
"""By versions, of a kernel that is configured with all kinds: which is the first that is no swap area, and devices'."""


def kind(number: int, offset: int) -> str:
    """Return what an entry of a type is; the first number that is no swap area is another by version."""
    if number == MARKER:
        what = ", ".join(said for bit, said in _MARKERS.items() if offset & bit) or f"{offset:#x}"
        return f"a marker: {what}"
    told = {versions: _special(number, first, devices) for versions, (first, devices) in _DEVICES.items()}
    if not any(told.values()):
        return f"swapped out: page {offset:#x} of swap area {number}"
    by_meaning: dict[str, list[str]] = {}
    for versions, said in told.items():
        by_meaning.setdefault(said or f"page {offset:#x} of swap area {number}", []).append(versions)
    return f"type {number}: " + ", or ".join(f"{said} ({', '.join(which)})" for said, which in by_meaning.items())


def _special(number: int, first: int, devices: Sequence[str]) -> str:
    kinds = (*_KINDS, *devices)
    return kinds[number - first] if first <= number < first + len(kinds) else ""
