"""Software Step."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.debug.breakpoint import DEBUG_EXCEPTION
from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding
from gdbtools.bits import Field


class SoftwareStep(Encoding):
    """ISS encoding for an exception from a Software Step exception."""

    ISV = Field(24, doc="EX is valid", values=NO_YES)
    EX = Field(6, doc="a Load-Exclusive was stepped", values=NO_YES)
    IFSC = Field((5, 0), doc="fault status code", values=DEBUG_EXCEPTION)

    def applies(self, field: Field) -> bool:
        return bool(self.ISV) if field is SoftwareStep.EX else super().applies(field)

    @property
    def status(self) -> int:
        return self.IFSC
