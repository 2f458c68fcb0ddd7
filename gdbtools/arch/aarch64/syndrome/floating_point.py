"""Floating-point exceptions that FPCR or FPSCR traps."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding
from gdbtools.arch.aarch64.syndrome.exception_class import EC
from gdbtools.bits import Field


class FloatingPointException(Encoding):
    """ISS encoding for an exception from a trapped floating-point exception."""

    TFV = Field(23, doc="the bits below say which", values=NO_YES)
    VECITR = Field((10, 8), doc="element of a VFP short vector, for AArch32")
    IDF = Field(7, doc="Input Denormal", values=NO_YES)
    IXF = Field(4, doc="Inexact", values=NO_YES)
    UFF = Field(3, doc="Underflow", values=NO_YES)
    OFF = Field(2, doc="Overflow", values=NO_YES)
    DZF = Field(1, doc="Divide by Zero", values=NO_YES)
    IOF = Field(0, doc="Invalid Operation", values=NO_YES)

    def applies(self, field: Field) -> bool:
        cls = FloatingPointException
        if field is cls.VECITR:
            return self.EC == EC.FLOATING_POINT_AARCH32
        if field in (cls.IDF, cls.IXF, cls.UFF, cls.OFF, cls.DZF, cls.IOF):
            return bool(self.TFV)
        return super().applies(field)
