"""What the code just before an instruction did that matters to a translation, as far as it can still be told.

It is read from the code and from the registers as they are now, so it speaks only of instructions that lead straight
to the one asked about, and of registers that nothing between has written.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbtools.addresses import VA, Input

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
    """What an architecture calls the instructions that wait, synchronize and invalidate.

    One instruction may do all three.  `of_leaves` says that what invalidates an address is about leaves alone.
    `regime` names the one whose translations they are of, where that is not the CPU's own.  `by_hand` is what has a TLB
    forget such a translation, `{}` for its address, where no command here has the CPU do it.  `table_cache` is what
    keeps entries that lead to tables.
    """

    wait: str
    synchronize: str
    invalidate: str
    of_leaves: bool = False
    regime: str = ""
    by_hand: str = ""
    table_cache: str = "TLB"

    @property
    def barriers(self) -> str:
        """What has to come between the store to a descriptor and the access."""
        return self.wait if self.wait == self.synchronize else f"{self.wait} and {self.synchronize}"

    @property
    def either(self) -> str:
        """One of them, nobody knows which."""
        return self.wait if self.wait == self.synchronize else f"{self.wait} or {self.synchronize}"


@dataclass(frozen=True, slots=True)
class Effect:
    """One such instruction: its virtual address and its text.

    `target` is the virtual address that a store wrote, or the address that an invalidation names, of whichever stage
    that is about; None where it names none.
    `reaches` says whether an invalidation covers the translation asked about; None where that is not known.  With
    `leaves_only` it does so for what a leaf says of it alone, and so does a barrier.  `instead` says why one does not,
    where `target` does not tell; `needs` is what has to come between a store and it.  With `of_tables` it covers what
    is cached of tables whatever it names.
    """

    address: VA
    deed: EffectKind
    text: str
    target: Input | None = None
    reaches: bool | None = None
    leaves_only: bool = False
    instead: str = ""
    needs: str = ""
    of_tables: bool = False
