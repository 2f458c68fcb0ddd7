"""Instruction Aborts: a fetch that did not happen."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding
from gdbtools.arch.arm.fault_status import (
    DATA_ONLY,
    ERROR_TYPE,
    EXTERNAL_ABORT_NOT_ON_WALK,
    FETCH_STATUS_NAMES,
    fault_of,
    is_a,
)
from gdbtools.arch.model import AccessKind, AddressMeaning, Fault, FaultKind
from gdbtools.bits import Field, FieldValue


class InstructionAbort(Encoding):
    """ISS encoding for an exception from an Instruction Abort."""

    HDBSSF = Field(43, doc="fault of the hardware dirty state tracking structure", values=NO_YES)
    AssuredOnly = Field(39, doc="AssuredOnly violation", values=NO_YES)
    Overlay = Field(38, doc="overlay permissions refused", values=NO_YES)
    DirtyBit = Field(37, doc="the permission fault is for the dirty state", values=NO_YES)
    TopLevel = Field(21, doc="TopLevel permission attribute checks refused", values=NO_YES)
    PFV = Field(14, doc="PFAR_ELx is valid (FEAT_PFAR)", values=NO_YES)
    SET = Field((12, 11), doc="synchronous error type", values=ERROR_TYPE)
    FnV = Field(10, doc="FAR is not valid", values=NO_YES)
    EA = Field(9, doc="external abort type (IMPLEMENTATION DEFINED)")
    S1PTW = Field(7, doc="stage 2 fault on a stage 1 table walk", values=NO_YES)
    IFSC = Field((5, 0), doc="instruction fault status code", values=FETCH_STATUS_NAMES)

    def applies(self, field: Field) -> bool:
        cls = InstructionAbort
        if field in (cls.AssuredOnly, cls.Overlay, cls.DirtyBit, cls.TopLevel):
            return is_a(FaultKind.PERMISSION, self.IFSC)
        if field in (cls.SET, cls.FnV):
            return self.IFSC == EXTERNAL_ABORT_NOT_ON_WALK
        if field in (cls.PFV, cls.EA):
            return is_a(FaultKind.EXTERNAL_ABORT, self.IFSC)
        return super().applies(field)

    @property
    def status(self) -> int:
        return self.IFSC

    @property
    def fault(self) -> Fault | None:
        return None if self.IFSC in DATA_ONLY else fault_of(self.IFSC, self.on_stage1_walk)

    @property
    def on_stage1_walk(self) -> bool:
        return bool(self.S1PTW)

    @property
    def access_kind(self) -> AccessKind:
        return AccessKind.EXECUTE

    @property
    def other_rules(self) -> tuple[FieldValue, ...]:
        names = ("HDBSSF", "AssuredOnly", "TopLevel")
        return tuple(each for each in self.decoded() if each.applicable and each.value and each.field.name in names)

    @property
    def address(self) -> AddressMeaning:
        return AddressMeaning.INVALID if self.applies(InstructionAbort.FnV) and self.FnV else AddressMeaning.FETCHED
