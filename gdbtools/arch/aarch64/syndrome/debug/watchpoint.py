"""Watchpoints."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.debug.breakpoint import DEBUG_EXCEPTION
from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding
from gdbtools.arch.model import AccessKind, AddressMeaning
from gdbtools.bits import Field


class Watchpoint(Encoding):
    """ISS encoding for an exception from a Watchpoint exception."""

    GCS = Field(40, doc="access by a Guarded Control Stack operation", values=NO_YES)
    WPT = Field((23, 18), doc="number of the watchpoint")
    WPTV = Field(17, doc="WPT is valid", values=NO_YES)
    WPF = Field(16, doc="perhaps a false match", values=NO_YES)
    FnP = Field(15, doc="FAR is not precise", values=NO_YES)
    VNCR = Field(13, doc="access through VNCR_EL2", values=NO_YES)
    FnV = Field(10, doc="FAR is not valid", values=NO_YES)
    CM = Field(8, doc="cache maintenance", values=NO_YES)
    WnR = Field(6, doc="write, not read", values={0: "read", 1: "write"})
    DFSC = Field((5, 0), doc="fault status code", values=DEBUG_EXCEPTION)

    def applies(self, field: Field) -> bool:
        return bool(self.WPTV) if field is Watchpoint.WPT else super().applies(field)

    @property
    def status(self) -> int:
        return self.DFSC

    @property
    def through_vncr(self) -> bool:
        return bool(self.VNCR)

    @property
    def access_kind(self) -> AccessKind:
        return AccessKind.MAINTENANCE if self.CM else AccessKind.WRITE if self.WnR else AccessKind.READ

    @property
    def address(self) -> AddressMeaning:
        if self.FnV:
            return AddressMeaning.INVALID
        return AddressMeaning.IMPRECISE if self.FnP else AddressMeaning.WATCHED
