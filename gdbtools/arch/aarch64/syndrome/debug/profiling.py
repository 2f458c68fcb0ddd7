"""Exceptions of the profiling extensions: PMU, Statistical Profiling, Trace Buffer."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding
from gdbtools.bits import Field


class Profiling(Encoding):
    """ISS encoding for a Profiling exception."""

    Code = Field(
        (5, 1), doc="what raised it", values={0: "Performance Monitors", 1: "Statistical Profiling", 2: "Trace Buffer"}
    )
    SYNC = Field(0, doc="synchronous with the instruction", values=NO_YES)
