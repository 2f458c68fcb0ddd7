"""BRK and BKPT: breakpoints that are instructions."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.arch.aarch64.syndrome.exception_class import EC
from gdbtools.bits import Field


class SoftwareBreakpoint(Encoding):
    """ISS encoding for an exception from execution of a Breakpoint instruction."""

    Comment = Field((15, 0), doc="the instruction's immediate")

    @property
    def immediate(self) -> int:
        return self.Comment

    @property
    def instruction(self) -> str:
        return f"{'BRK' if self.EC == EC.BRK else 'BKPT'} #{self.Comment:#x}"
