"""Classes that say all in EC: unknown reasons, Illegal Execution state, PC and SP alignment, some traps."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding, ESR_ELx


class NoISS(Encoding):
    """ISS encoding of exceptions whose ISS is RES0."""


class Unallocated(Encoding):
    """ESR_ELx of a class that is not allocated, or IMPLEMENTATION DEFINED: what the ISS means, nobody says."""

    ISS2 = ESR_ELx.ISS2
    ISS = ESR_ELx.ISS
