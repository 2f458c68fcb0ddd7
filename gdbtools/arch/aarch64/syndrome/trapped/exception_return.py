"""ERET, ERETAA and ERETAB, trapped by HCR_EL2.NV or by a fine-grained trap."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Encoding
from gdbtools.bits import Field


class ExceptionReturn(Encoding):
    """ISS encoding for an exception from ERET, ERETAA, or ERETAB instruction."""

    ERET = Field(1, doc="instruction", values={0: "ERET", 1: "ERETAA or ERETAB"})
    ERETA = Field(0, doc="which of the two", values={0: "ERETAA", 1: "ERETAB"})

    def applies(self, field: Field) -> bool:
        return bool(self.ERET) if field is ExceptionReturn.ERETA else super().applies(field)

    @property
    def instruction(self) -> str:
        return ExceptionReturn.ERETA.meaning(self.ERETA) if self.ERET else "ERET"
