"""What the code just before an instruction did that matters to a translation, as far as it can still be told.

It is read from the code and from the registers as they are now, so it speaks only of instructions that lead straight
to the one asked about, and of registers that nothing between has written.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbtools.addresses import VA

INSTRUCTIONS = 32
"""How far back to look: what is further away has been through other code."""


class EffectKind(enum.Enum):
    """What an instruction did."""

    STORE = enum.auto()
    """Wrote memory, perhaps a descriptor."""
    WAIT = enum.auto()
    """Waited until earlier stores can be seen by table walks."""
    SYNCHRONIZE = enum.auto()
    """Had what follows fetched and translated anew."""
    INVALIDATE = enum.auto()
    """Had the TLB forget something."""


@dataclass(frozen=True, slots=True)
class EffectWords:
    """What an architecture calls the instructions that wait, synchronize and invalidate."""

    wait: str
    synchronize: str
    invalidate: str


@dataclass(frozen=True, slots=True)
class Effect:
    """One such instruction: its virtual address and its text.

    `target` is the virtual address that a store wrote, or that an invalidation names; None where it names none.
    `reaches` says whether an invalidation covers the translation asked about; None where that is not known.
    """

    address: VA
    deed: EffectKind
    text: str
    target: VA | None = None
    reaches: bool | None = None
