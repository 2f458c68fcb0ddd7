"""WFI, WFE, WFIT and WFET."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Conditional, general
from gdbtools.bits import Field

WFI, WFE, WFIT, WFET = range(4)


class Wait(Conditional):
    """ISS encoding for an exception from a WF* instruction."""

    RN = Field((9, 5), doc="register with the timeout")
    RV = Field(2, doc="RN is valid", values=NO_YES)
    TI = Field((1, 0), doc="trapped instruction", values={WFI: "WFI", WFE: "WFE", WFIT: "WFIT", WFET: "WFET"})

    def applies(self, field: Field) -> bool:
        if field is Wait.RN:
            return bool(self.RV)
        return super().applies(field)

    @property
    def instruction(self) -> str:
        name = Wait.TI.meaning(self.TI)
        return f"{name} {general(self.RN)}" if self.RV else name
