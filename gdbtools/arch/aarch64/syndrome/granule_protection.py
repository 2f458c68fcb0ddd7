"""Granule Protection Check exceptions, which EL3 takes (FEAT_RME)."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding
from gdbtools.arch.arm.fault_status import STATUS_NAMES, fault_of
from gdbtools.arch.model import AccessKind, AddressMeaning, Fault
from gdbtools.bits import Field

_FAULTS = {
    0b00000: "granule protection table address size fault",
    0b00010: "granule protection table walk fault",
    0b00110: "granule protection fault",
    0b01010: "synchronous External abort on the fetch of a granule protection table entry",
}


class GranuleProtectionCheck(Encoding):
    """ISS encoding for a Granule Protection Check exception."""

    HDBSSF = Field(43, doc="fault of the hardware dirty state tracking structure", values=NO_YES)
    GCS = Field(40, doc="access by a Guarded Control Stack operation", values=NO_YES)
    S2PTW = Field(21, doc="on a stage 2 table walk", values=NO_YES)
    InD = Field(20, doc="access", values={0: "data", 1: "instruction fetch"})
    GPCSC = Field(
        (19, 14),
        doc="granule protection check status code",
        values={code << 1 | level: f"{name}, level {level}" for code, name in _FAULTS.items() for level in (0, 1)},
    )
    VNCR = Field(13, doc="access through VNCR_EL2", values=NO_YES)
    CM = Field(8, doc="cache maintenance or address translation", values=NO_YES)
    S1PTW = Field(7, doc="on a stage 1 table walk", values=NO_YES)
    WnR = Field(6, doc="write, not read", values={0: "read", 1: "write"})
    xFSC = Field((5, 0), doc="fault status code", values=STATUS_NAMES)

    def applies(self, field: Field) -> bool:
        data_only = (GranuleProtectionCheck.CM, GranuleProtectionCheck.WnR, GranuleProtectionCheck.VNCR)
        return not self.InD if field in data_only else super().applies(field)

    @property
    def status(self) -> int:
        return self.xFSC

    @property
    def fault(self) -> Fault | None:
        return fault_of(self.xFSC, s1ptw=False)

    @property
    def access_kind(self) -> AccessKind:
        if self.InD:
            return AccessKind.EXECUTE
        return AccessKind.MAINTENANCE if self.CM else AccessKind.WRITE if self.WnR else AccessKind.READ

    @property
    def address(self) -> AddressMeaning:
        return AddressMeaning.FETCHED if self.InD else AddressMeaning.ACCESSED
