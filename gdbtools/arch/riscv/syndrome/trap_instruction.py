"""What htinst and mtinst hold: nothing, a transformed instruction, or why a table was read or written.

Source: The RISC-V Privileged Architecture, H extension, "Transformed Instruction or Pseudoinstruction for mtinst or
htinst".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.model import Transfer
from gdbtools.arch.riscv import X
from gdbtools.arch.riscv.instructions.memory import Wide
from gdbtools.bits import Field

PSEUDO: Final[Mapping[int, str]] = {
    0x2000: "the reading of a 32-bit entry of the VS-stage",
    0x2020: "the writing of a 32-bit entry of the VS-stage",
    0x3000: "the reading of a 64-bit entry of the VS-stage",
    0x3020: "the writing of a 64-bit entry of the VS-stage",
}
"""The pseudoinstructions: "implicit memory accesses for VS-stage address translation"."""
_KIND: Final = Field((1, 0), doc="what it is: 01 and 11 are transformed instructions, of two and of four bytes")
_TRANSFORMED, _COMPRESSED, _CUSTOM = 0b11, 0b01, 0b10
_FUNCT3_SIZE: Final = Field((13, 12), doc="size of a load or store")
_FUNCT3_UNSIGNED: Final = Field(14)
_LOAD, _STORE = 0b00000, 0b01000


@dataclass(frozen=True, slots=True)
class TrapInstruction:
    """What it says: `walk` that a table was accessed, None where it does not tell; `said` in words, empty for 0."""

    walk: bool | None
    said: str
    transfer: Transfer | None = None


def decode(value: int) -> TrapInstruction:
    """Decode htinst or mtinst; never refuses a value."""
    if not value:
        return TrapInstruction(None, "")
    if value in PSEUDO:
        return TrapInstruction(True, PSEUDO[value])
    kind = _KIND.of(value)
    if kind == _CUSTOM:
        return TrapInstruction(None, "a custom value")
    if kind not in (_TRANSFORMED, _COMPRESSED):
        return TrapInstruction(None, "a pseudoinstruction that is not defined")
    length = "four" if kind == _TRANSFORMED else "two"
    # Bit 1 says how long it was; as an instruction of its own it has both.
    word = Wide(value | _TRANSFORMED)
    transfer = _transfer(word)
    return TrapInstruction(False, f"an instruction of {length} bytes, transformed", transfer)


def _transfer(word: Wide) -> Transfer | None:
    size_bytes = 1 << _FUNCT3_SIZE.of(word)
    if word.opcode == _LOAD:
        return Transfer(size_bytes, X[word.rd], not _FUNCT3_UNSIGNED.of(word) and size_bytes < 8, False)
    if word.opcode == _STORE:
        return Transfer(size_bytes, X[word.rs2], False, False)
    return None
