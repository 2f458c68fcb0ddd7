"""TSTART, trapped (FEAT_TME, since withdrawn)."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding, general
from gdbtools.bits import Field


class TransactionStart(Encoding):
    """ISS encoding for an exception from a TSTART instruction."""

    Rd = Field((9, 5), doc="destination register")

    @property
    def instruction(self) -> str:
        return f"TSTART {general(self.Rd)}"
