"""SError: asynchronous errors, from where only the implementation knows or as the RAS Extension reports them."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding
from gdbtools.bits import Field

_ASYNCHRONOUS = 0b010001
_IDS = Field(24, doc="IMPLEMENTATION DEFINED syndrome", values=NO_YES)


class SError(Encoding):
    """ISS encoding for an SError exception."""

    IDS = _IDS
    WU = Field(
        (17, 16),
        doc="was memory updated",
        values={0: "not said", 2: "a store that did not update", 3: "a store that updated"},
    )
    PFV = Field(14, doc="PFAR_ELx is valid (FEAT_PFAR)", values=NO_YES)
    IESB = Field(13, doc="an implicit error synchronization event took it", values=NO_YES)
    AET = Field(
        (12, 10),
        doc="asynchronous error type",
        values={
            0b000: "Uncontainable (UC)",
            0b001: "Unrecoverable state (UEU)",
            0b010: "Restartable state (UEO)",
            0b011: "Recoverable state (UER)",
            0b110: "Corrected (CE)",
        },
    )
    EA = Field(9, doc="external abort type (IMPLEMENTATION DEFINED)")
    WnRV = Field(7, doc="WnR is valid", values=NO_YES)
    WnR = Field(6, doc="write, not read", values={0: "read", 1: "write"})
    DFSC = Field((5, 0), doc="fault status code", values={0: "uncategorized", _ASYNCHRONOUS: "asynchronous SError"})

    def applies(self, field: Field) -> bool:
        if field in (SError.IDS, SError.DFSC, SError.EC, SError.IL):
            return True
        if self.DFSC != _ASYNCHRONOUS:
            return False
        return bool(self.WnRV) if field is SError.WnR else True

    @property
    def status(self) -> int:
        return self.DFSC


class ImplementationDefinedSError(Encoding):
    """ISS encoding for an SError exception whose syndrome is IMPLEMENTATION DEFINED."""

    IDS = _IDS
    ISS = Field((23, 0), doc="IMPLEMENTATION DEFINED")


def serror(value: int) -> type[Encoding]:
    return ImplementationDefinedSError if _IDS.of(value) else SError
