"""CPY* and SET* that were resumed on a PE that does them by the other option, or out of order (FEAT_MOPS)."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import NO_YES, Encoding, general
from gdbtools.bits import Field

_COPY_OPTIONS = ("", "WT", "RT", "T", "WN", "WTWN", "RTWN", "TWN", "RN", "WTRN", "RTRN", "TRN", "N", "WTN", "RTN", "TN")
_SET_OPTIONS = ("", "T", "N", "TN")


class MemoryCopy(Encoding):
    """ISS encoding for an exception from a Memory Copy instruction."""

    MemInst = Field(24, doc="instruction", values={0: "CPY*", 1: "SET*"})
    Options = Field((22, 19), doc="options", values=dict(enumerate(each or "none" for each in _COPY_OPTIONS)))
    FromEpilogue = Field(18, doc="raised by", values={0: "the main part", 1: "the epilogue"})
    WrongOption = Field(17, doc="PSTATE.C is of the other option than the PE's", values=NO_YES)
    OptionA = Field(16, doc="the PE's own option", values={0: "option B", 1: "option A"})
    destreg = Field((14, 10), doc="register with the destination address")
    srcreg = Field((9, 5), doc="register with the source address")
    sizereg = Field((4, 0), doc="register with the size in bytes")

    @property
    def _part(self) -> str:
        return "E" if self.FromEpilogue else "M"

    @property
    def instruction(self) -> str:
        """CPYF* and CPY* are not told apart."""
        name = f"CPY[F]{self._part}{_COPY_OPTIONS[self.Options]}"
        return f"{name} [{general(self.destreg)}]!, [{general(self.srcreg)}]!, {general(self.sizereg)}!"


class MemorySet(MemoryCopy):
    """ISS encoding for an exception from a Memory Set instruction."""

    isSETG = Field(23, doc="SETG*: sets tags too", values=NO_YES)
    Options = Field((20, 19), doc="options", values=dict(enumerate(each or "none" for each in _SET_OPTIONS)))
    srcreg = Field((9, 5), doc="register with the value")

    @property
    def instruction(self) -> str:
        name = f"{'SETG' if self.isSETG else 'SET'}{self._part}{_SET_OPTIONS[self.Options]}"
        return f"{name} [{general(self.destreg)}]!, {general(self.sizereg)}!, {general(self.srcreg)}"


def memory_operation(value: int) -> type[MemoryCopy]:
    return MemorySet if MemoryCopy.MemInst.of(value) else MemoryCopy
