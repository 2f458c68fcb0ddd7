"""Authentication instructions that failed (FEAT_FPAC)."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.bits import Field


class PointerAuthenticationFailure(Encoding):
    """ISS encoding for an exception from a Pointer Authentication instruction authentication failure."""

    DataKey = Field(1, doc="key", values={0: "instruction key", 1: "data key"})
    BKey = Field(0, doc="which of the two", values={0: "A key", 1: "B key"})
