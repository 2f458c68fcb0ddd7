"""Breakpoints and AArch32's Vector Catch."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.bits import Field

DEBUG_EXCEPTION = {0b100010: "debug exception"}


class Breakpoint(Encoding):
    """ISS encoding for an exception from a Breakpoint or Vector Catch debug exception."""

    IFSC = Field((5, 0), doc="fault status code", values=DEBUG_EXCEPTION)

    @property
    def status(self) -> int:
        return self.IFSC
