"""LDC and STC: AArch32's transfers between memory and the debug data transfer registers."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Conditional
from gdbtools.bits import Field

# "ISS encoding for an exception from an LDC or STC instruction": a literal is what only an LDC loads.
_UNINDEXED, _POST_INDEXED, _OFFSET, _PRE_INDEXED, _LITERAL_UNINDEXED, _LITERAL = (
    0b000,
    0b001,
    0b010,
    0b011,
    0b100,
    0b110,
)


_BY_REGISTER = {
    _UNINDEXED: "immediate unindexed",
    _POST_INDEXED: "immediate post-indexed",
    _OFFSET: "immediate offset",
    _PRE_INDEXED: "immediate pre-indexed",
}
_ADDRESSING = (3, 1)
_WITHOUT_REGISTER = 0b100


class _CoprocessorMemory(Conditional):
    imm8 = Field((19, 12), doc="immediate of the offset, in words")
    Rn = Field((9, 5), doc="base register, by its AArch64 number")
    Offset = Field(4, doc="offset", values={0: "subtracted", 1: "added"})
    AM = Field(_ADDRESSING, doc="addressing mode")
    Direction = Field(0, doc="direction", values={0: "STC, to memory", 1: "LDC, from memory"})

    def applies(self, field: Field) -> bool:
        if field is _CoprocessorMemory.Rn:
            return not self.AM & _WITHOUT_REGISTER
        return super().applies(field)

    @property
    def instruction(self) -> str:
        """LDC and STC can only be trapped for p14, c5: DBGDTRTXint and DBGDTRRXint."""
        if not type(self).AM.meaning(self.AM):
            return f"{self._mnemonic} p14, c5"
        base = f"R{self.Rn}" if self.applies(_CoprocessorMemory.Rn) else "PC"
        offset = f"#{'' if self.Offset else '-'}{4 * self.imm8}"
        shown = {
            _UNINDEXED: f"[{base}], {{{self.imm8}}}",
            _POST_INDEXED: f"[{base}], {offset}",
            _PRE_INDEXED: f"[{base}, {offset}]!",
            _LITERAL_UNINDEXED: f"[{base}], {{{self.imm8}}}",
        }.get(self.AM, f"[{base}, {offset}]")
        return f"{self._mnemonic} p14, c5, {shown}"

    @property
    def _mnemonic(self) -> str:
        return "LDC" if self.Direction else "STC"


class StoreToMemory(_CoprocessorMemory):
    """ISS encoding for an exception from an STC instruction."""

    AM = Field(_ADDRESSING, doc="addressing mode", values=_BY_REGISTER)


class LoadFromMemory(_CoprocessorMemory):
    """ISS encoding for an exception from an LDC instruction."""

    AM = Field(
        _ADDRESSING,
        doc="addressing mode",
        values={**_BY_REGISTER, _LITERAL_UNINDEXED: "literal unindexed", _LITERAL: "literal offset"},
    )


def coprocessor_memory(value: int) -> type[_CoprocessorMemory]:
    return LoadFromMemory if _CoprocessorMemory.Direction.of(value) else StoreToMemory
