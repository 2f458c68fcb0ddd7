"""LDC and STC: AArch32's transfers between memory and the debug data transfer registers."""

from __future__ import annotations

from gdbtools.arch.aarch64.syndrome.encoding import Conditional
from gdbtools.bits import Field

_UNINDEXED, _POST_INDEXED, _OFFSET, _PRE_INDEXED, _LITERAL_UNINDEXED, _LITERAL = (
    0b000,
    0b001,
    0b010,
    0b011,
    0b100,
    0b110,
)


class CoprocessorMemory(Conditional):
    """ISS encoding for an exception from an LDC or STC instruction."""

    imm8 = Field((19, 12), doc="immediate of the offset, in words")
    Rn = Field((9, 5), doc="base register, by its AArch64 number")
    Offset = Field(4, doc="offset", values={0: "subtracted", 1: "added"})
    AM = Field(
        (3, 1),
        doc="addressing mode",
        values={
            _UNINDEXED: "immediate unindexed",
            _POST_INDEXED: "immediate post-indexed",
            _OFFSET: "immediate offset",
            _PRE_INDEXED: "immediate pre-indexed",
            _LITERAL_UNINDEXED: "literal unindexed",
            _LITERAL: "literal offset",
        },
    )
    Direction = Field(0, doc="direction", values={0: "STC, to memory", 1: "LDC, from memory"})

    def applies(self, field: Field) -> bool:
        if field is CoprocessorMemory.Rn:
            return self.AM not in (_LITERAL_UNINDEXED, _LITERAL)
        return super().applies(field)

    @property
    def instruction(self) -> str:
        """LDC and STC can only be trapped for p14, c5: DBGDTRTXint and DBGDTRRXint."""
        base = f"R{self.Rn}" if self.applies(CoprocessorMemory.Rn) else "PC"
        offset = f"#{'' if self.Offset else '-'}{4 * self.imm8}"
        shown = {
            _UNINDEXED: f"[{base}], {{{self.imm8}}}",
            _POST_INDEXED: f"[{base}], {offset}",
            _PRE_INDEXED: f"[{base}, {offset}]!",
            _LITERAL_UNINDEXED: f"[{base}], {{{self.imm8}}}",
        }.get(self.AM, f"[{base}, {offset}]")
        return f"{'LDC' if self.Direction else 'STC'} p14, c5, {shown}"
