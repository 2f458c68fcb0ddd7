"""What a stage 1 asks of the stage 2 below it, in whichever execution state each of them is.

The tables of stage 2 belong to EL2, which may be in AArch64 state while EL1 is in AArch32: then one architecture's
stage 1 goes through the other's stage 2, and knows of it what is here.
"""

from __future__ import annotations

import abc
from typing import Final

from gdbtools.arch.model import AccessKind, Attributes, Refusal, Regime, Walk

GRANULE: Final = "granule"
"""What both execution states call the smallest unit of translation."""


class ArmSecondStage(Regime):
    """A stage 2 of EL1&0, as a stage 1 above it sees it."""

    called_pages = GRANULE

    @abc.abstractmethod
    def check(self, walk: Walk, kind: AccessKind, el: int) -> Refusal | None:
        """Return stage 2's refusal of an access from EL1 or EL0; `walk` is a walk of this regime."""

    @abc.abstractmethod
    def fetch_refused_by_stage_2(self, via: Walk, kind: AccessKind = AccessKind.READ) -> Refusal | None:
        """Return what refuses to fetch a stage 1 descriptor, or, of a write, to update it: with S1PTW set."""

    @abc.abstractmethod
    def of_both(self, own: Attributes, attr: int | None, sh: int, final: Walk) -> Attributes:
        """Return what stage 1 and stage 2 grant together; `final` is the walk here of stage 1's output.

        `attr` is stage 1's memory type as MAIR has it, None where that is not known, `sh` its shareability.
        """
