"""illumos on x86-64: its window on all of memory, by which it is recognized, and what its entries say besides.

The window, segkpm, has each frame at one distance from its physical address, and tables are reached by it: so the root
leads back to itself there.  The base is lower in a machine with more than 1 TB, and no such machine is recognized, nor
is a process's reduced space, nor a guest of Xen, whose entries have the machine's frames.

Source: illumos, `usr/src/uts/i86pc/sys/machparam.h` (SEGKPM_BASE), `usr/src/uts/i86pc/sys/mach_mmu.h` (PT_SOFTWARE,
PT_NOSYNC, PT_NOCONSIST), `usr/src/uts/i86pc/vm/hat_i86.c` (hati_mkpte).
"""

from __future__ import annotations

from typing import Final

from gdbtools.addresses import PA, VA
from gdbtools.arch.model import Mapped, Read, ReadRegister, Step, Walk
from gdbtools.arch.walk import walk
from gdbtools.arch.x86_64.registers.control import PAGE
from gdbtools.arch.x86_64.tables.descriptors import PresentEntry
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.errors import Unavailable, Unreadable
from gdbtools.systems.system import System

WINDOW: Final = VA(0xFFFF_FE00_0000_0000)
WINDOW_BYTES: Final = 1 << 40
_INPUT_BITS: Final = 48
_SET_BEFORE: Final = "A and D were set when it was made, and say nothing"
_SOFTWARE: Final = {
    1: f"{_SET_BEFORE} (NOSYNC)",
    2: f"{_SET_BEFORE}, and its page has no record of this mapping (NOCONSIST)",
}


class X86Illumos(System):
    """illumos on x86-64."""

    title = "illumos"

    def presence(self, register: ReadRegister, read: Read) -> str:
        try:
            *_, upper = regimes.ranges(register, None)
            if not isinstance(upper, Linear) or not upper.upper or upper.mode.input_bits != _INPUT_BITS:
                return ""
            found = _through_the_window(upper, PA(upper.root), read)
            tables = {PA(step.pa & -PAGE) for step in found.steps[1:]} if found is not None else set()
            if not tables or not all(_through_the_window(upper, pa, read) for pa in tables):
                return ""
        except (Unavailable, Unreadable):
            return ""
        return f"segkpm has all of memory from VA {WINDOW:#x} on: the root and the tables on the way lead back there"

    def of_leaf(self, step: Step, register: ReadRegister, read: Read) -> str:
        said = _SOFTWARE.get(PresentEntry.AVL.of(step.entry.word), "")
        return said if said and self.presence(register, read) else ""


def _through_the_window(upper: Linear, pa: PA, read: Read) -> Walk | None:
    """Return the walk of a physical address's place in the window, if it leads there."""
    if pa >= WINDOW_BYTES:
        return None
    found = walk(upper, VA(WINDOW + pa), read)
    return found if isinstance(found.outcome, Mapped) and found.outcome.address == pa else None


ILLUMOS: Final = X86Illumos()
