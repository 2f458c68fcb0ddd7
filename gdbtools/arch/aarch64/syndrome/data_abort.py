"""Data Aborts: an access that did not happen.

What bits [23:14] and [12:11] are depends on ISV and on the fault status code, so a layout is put together of parts.
"""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding, general
from gdbtools.arch.arm.fault_status import (
    ERROR_TYPE,
    EXTERNAL_ABORT_NOT_ON_WALK,
    STATUS_NAMES,
    UNSUPPORTED_EXCLUSIVE,
    UNSUPPORTED_UPDATE,
    fault_of,
    is_a,
)
from gdbtools.arch.model import AccessKind, AddressMeaning, Fault, FaultKind, Transfer
from gdbtools.bits import Field, FieldValue

# What an LD64B or a ST64B* can be told apart by.
_LS64_FAULTS = (FaultKind.TRANSLATION, FaultKind.ACCESS_FLAG, FaultKind.PERMISSION)
_ST64BV, _ST64BV0 = 0b01, 0b11


class DataAbort(Encoding):
    """ISS encoding for an exception from a Data Abort: what every layout of it has."""

    HDBSSF = Field(43, doc="fault of the hardware dirty state tracking structure", values=NO_YES)
    TnD = Field(42, doc="tags written to Canonically Tagged memory", values=NO_YES)
    TagAccess = Field(41, doc="NoTagAccess: tags accessed where they may not be", values=NO_YES)
    GCS = Field(40, doc="access by a Guarded Control Stack operation", values=NO_YES)
    AssuredOnly = Field(39, doc="AssuredOnly violation", values=NO_YES)
    Overlay = Field(38, doc="overlay permissions refused", values=NO_YES)
    DirtyBit = Field(37, doc="the permission fault is for the dirty state", values=NO_YES)
    Xs = Field((36, 32), doc="register with the status of a ST64BV or ST64BV0")
    ISV = Field(24, doc="instruction syndrome valid", values=NO_YES)
    VNCR = Field(13, doc="access through VNCR_EL2", values=NO_YES)
    FnV = Field(10, doc="FAR is not valid", values=NO_YES)
    EA = Field(9, doc="external abort type (IMPLEMENTATION DEFINED)")
    CM = Field(8, doc="cache maintenance or address translation", values=NO_YES)
    S1PTW = Field(7, doc="stage 2 fault on a stage 1 table walk", values=NO_YES)
    WnR = Field(6, doc="write, not read", values={0: "read", 1: "write"})
    DFSC = Field((5, 0), doc="data fault status code", values=STATUS_NAMES)

    def applies(self, field: Field) -> bool:
        cls = DataAbort
        if field in (cls.TnD, cls.AssuredOnly, cls.Overlay, cls.DirtyBit):
            return is_a(FaultKind.PERMISSION, self.DFSC)
        if field is cls.Xs:
            return self._is_64_bytes
        if field is cls.FnV:
            return self.DFSC == EXTERNAL_ABORT_NOT_ON_WALK
        if field is cls.EA:
            return is_a(FaultKind.EXTERNAL_ABORT, self.DFSC)
        if field is cls.WnR:
            return self.DFSC not in (UNSUPPORTED_UPDATE, UNSUPPORTED_EXCLUSIVE)
        return super().applies(field)

    @property
    def _is_64_bytes(self) -> bool:
        """Whether it is known to be a ST64BV or ST64BV0, which have a register for their status."""
        return False

    @property
    def status(self) -> int:
        return self.DFSC

    @property
    def fault(self) -> Fault | None:
        return fault_of(self.DFSC, self.on_stage1_walk)

    @property
    def on_stage1_walk(self) -> bool:
        return bool(self.S1PTW)

    @property
    def through_vncr(self) -> bool:
        return bool(self.VNCR)

    @property
    def access_kind(self) -> AccessKind | None:
        """Cache maintenance has WnR set, and writes nothing."""
        if self.CM:
            return AccessKind.MAINTENANCE
        if not self.applies(DataAbort.WnR):
            return None
        return AccessKind.WRITE if self.WnR else AccessKind.READ

    @property
    def address(self) -> AddressMeaning:
        return AddressMeaning.INVALID if self.applies(DataAbort.FnV) and self.FnV else AddressMeaning.ACCESSED

    @property
    def other_rules(self) -> tuple[FieldValue, ...]:
        names = ("HDBSSF", "TnD", "TagAccess", "GCS", "AssuredOnly", "TopLevel")
        return tuple(each for each in self.decoded() if each.applicable and each.value and each.field.name in names)

    @property
    def notes(self) -> tuple[str, ...]:
        said = []
        if self.CM and self.WnR:
            said.append("WnR is 1 for all cache maintenance: this was not a write")
        if self.GCS:
            said.append("a Guarded Control Stack access, which only a Guarded Control Stack page permits")
        if self.VNCR:
            said.append("an access to memory in place of a register, through VNCR_EL2: EL2's tables translate it")
        if self.DFSC == EXTERNAL_ABORT_NOT_ON_WALK:
            said.append("WnR says nothing if an atomic instruction met the abort")
        return tuple(said)


class _WithoutRegister(DataAbort):
    """ISV = 0."""

    TopLevel = Field(21, doc="TopLevel permission attribute checks refused", values=NO_YES)
    WU = Field(
        (17, 16),
        doc="was memory updated",
        values={0: "not said", 2: "a store that did not update", 3: "a store that updated"},
    )
    FnP = Field(15, doc="FAR is not precise: any address in the same fault granule", values=NO_YES)
    PFV = Field(14, doc="PFAR_ELx is valid (FEAT_PFAR)", values=NO_YES)

    def applies(self, field: Field) -> bool:
        cls = _WithoutRegister
        if field is cls.TopLevel:
            return is_a(FaultKind.PERMISSION, self.DFSC)
        if field in (cls.WU, cls.PFV):
            return is_a(FaultKind.EXTERNAL_ABORT, self.DFSC)
        return super().applies(field)

    @property
    def address(self) -> AddressMeaning:
        known = super().address
        return AddressMeaning.IMPRECISE if self.FnP and known is AddressMeaning.ACCESSED else known


class _WithRegister(DataAbort):
    """ISV = 1: the instruction moved one general-purpose register, and these bits say how."""

    SAS = Field((23, 22), doc="access size", values={0: "byte", 1: "halfword", 2: "word", 3: "doubleword"})
    SSE = Field(21, doc="sign extended", values=NO_YES)
    SRT = Field((20, 16), doc="transferred register")
    SF = Field(15, doc="register width", values={0: "32 bits", 1: "64 bits"})
    AR = Field(14, doc="acquire or release", values=NO_YES)

    @property
    def transfer(self) -> Transfer:
        register = general(self.SRT, "X" if self.SF else "W")
        return Transfer(1 << self.SAS, register, signed=bool(self.SSE), ordered=bool(self.AR))


class _External(DataAbort):
    """A synchronous External abort that was not on a table walk."""

    SET = Field((12, 11), doc="synchronous error type", values=ERROR_TYPE)


class _Loads64Bytes(DataAbort):
    """Any other fault status code."""

    LST = Field(
        (12, 11),
        doc="load/store type (FEAT_LS64)",
        values={0b00: "not given", _ST64BV: "ST64BV", 0b10: "LD64B or ST64B", _ST64BV0: "ST64BV0"},
    )

    def applies(self, field: Field) -> bool:
        if field is _Loads64Bytes.LST:
            return any(is_a(kind, self.DFSC) for kind in _LS64_FAULTS)
        return super().applies(field)

    @property
    def _is_64_bytes(self) -> bool:
        return self.applies(_Loads64Bytes.LST) and self.LST in (_ST64BV, _ST64BV0)


class DataAbortWithoutRegister(_Loads64Bytes, _WithoutRegister):
    """ISS encoding for an exception from a Data Abort, ISV = 0."""


class DataAbortWithRegister(_Loads64Bytes, _WithRegister):
    """ISS encoding for an exception from a Data Abort, ISV = 1."""


class ExternalDataAbort(_External, _WithoutRegister):
    """ISS encoding for an exception from a Data Abort, ISV = 0, a synchronous External abort."""


class ExternalDataAbortWithRegister(_External, _WithRegister):
    """ISS encoding for an exception from a Data Abort, ISV = 1, a synchronous External abort."""


def data_abort(value: int) -> type[DataAbort]:
    with_register = DataAbort.ISV.of(value)
    if DataAbort.DFSC.of(value) == EXTERNAL_ABORT_NOT_ON_WALK:
        return ExternalDataAbortWithRegister if with_register else ExternalDataAbort
    return DataAbortWithRegister if with_register else DataAbortWithoutRegister
