"""What can be drawn: words cut into bits, tables that lead to tables, ranges of addresses.

Each is data; a renderer that can draw decides how it looks, and one that cannot shows what stands beside it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.render.document import Role


@dataclass(frozen=True)
class Box:
    """Bits [high:low] of a word, under one name.

    `tint` numbers a colour that says what belongs together; `quiet` boxes say nothing of interest.
    """

    high: int
    low: int
    name: str
    value: str
    meaning: str = ""
    role: Role = Role.PLAIN
    tint: int | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Strip:
    """A word as a row of boxes, most significant first."""

    title: str
    boxes: Sequence[Box]


@dataclass(frozen=True)
class Rung:
    """One table of a walk: which of its entries was read, where that is, and the bits that were there."""

    title: str
    index: int
    entries: int
    at: str
    word: str
    says: str
    boxes: Sequence[Box]
    role: Role = Role.PLAIN


@dataclass(frozen=True)
class Ladder:
    """A walk through tables: the address cut into indices, a rung for each, and the address that comes of it.

    Rung n has the tint of the box of `input` that is its index.
    """

    input: Strip
    rungs: Sequence[Rung]
    output: Strip | None
    ending: str


class Tone(enum.Enum):
    """What may be done with a range, as far as it has a colour; the value is what a legend says."""

    NONE = "---"
    READ = "r--"
    WRITE = "rw-"
    EXECUTE = "r-x"
    WRITE_EXECUTE = "rwx"
    EXECUTE_ONLY = "--x"
    WRITE_ONLY = "-w-"
    SHADOW_STACK = "rg-"
    FAULT = "any access faults"
    UNKNOWN = "not readable"


@dataclass(frozen=True)
class Lane:
    """What somebody may do with a range, in colour and in a word."""

    tone: Tone
    text: str


@dataclass(frozen=True)
class Band:
    """A range of addresses that looks the same: one lane for each of the map's; `shaded` is what has not been used."""

    first: int
    size_bytes: int
    lanes: Sequence[Lane]
    shaded: bool
    title: str


@dataclass(frozen=True)
class AddressMap:
    """A range of addresses with what is in it, in order of address.  `lanes` names those whose lanes a band has."""

    title: str
    first: int
    last: int
    lanes: Sequence[str]
    bands: Sequence[Band]
    shade: str
    """What it means that a band is shaded."""


Drawing = Strip | Ladder | AddressMap
